"""Claims that are written before their slot's instant, and what a change of the job in between makes of them."""

import threading
from collections.abc import Callable
from uuid import UUID

import structlog

from engine.agenda import Agenda
from engine.dispatcher import hint_of
from engine.errors import StoreUnavailable
from engine.gate import Refusal, StartGate, Ticket
from engine.nouns import Assignment, Job, Run
from engine.ports import Clock, Store
from engine.reason_codes import ReasonCode

log = structlog.get_logger("scheduler.engine")

LOOK_SECONDS = 0.005
"""How often a change looks again that finds a claim ahead which is not this node's to take back."""


class AheadClaims:
    """Takes back what this node has claimed ahead, and waits for what others have. May be used from any thread.

    Whoever is told that a job is changed, paused or deleted must not see it start as it was. A claim of this node is
    taken back, as if it had never been. Of another node's nobody here knows how far it is; but it is over within
    `ahead_seconds`, so the change waits until the slot has come, and then comes after its start.
    """

    def __init__(
        self,
        *,
        store: Store,
        clock: Clock,
        agenda: Agenda,
        gate: StartGate,
        withdraw: Callable[[Run], None],
        end_unstarted: Callable[[Assignment, Refusal], None],
        ahead_seconds: float,
    ) -> None:
        self._store = store
        self._clock = clock
        self._agenda = agenda
        self._gate = gate
        self._withdraw = withdraw
        self._end_unstarted = end_unstarted
        self._ahead_seconds = ahead_seconds
        self._condition = threading.Condition()

    def take_back(self, job_id: UUID | None = None) -> None:
        """Undo this node's claims of slots of the job, or of all jobs, that are still to come.

        Raises StoreUnavailable; then their runs do not start, and are recorded as skipped if they are on record.
        """
        refusal = Refusal("the job was edited before the run started", code=ReasonCode.EDITED)
        tickets = self._gate.revoke_ahead(job_id, refusal)
        if not tickets:
            return
        try:
            taken_back = self._store.take_back([(each.assignment, each.version) for each in tickets])
        except StoreUnavailable:
            for each in tickets:
                self._end_unstarted(each.assignment, refusal)
                self._agenda.hasten(each.assignment.job.id)
            raise
        for each in tickets:
            self._conclude(each, refusal, is_taken_back=each.assignment.run.id in taken_back)

    def await_others(self, job: Job) -> bool:
        """Wait a moment if a slot of the job is claimed that is still to come; the job is then to be read again."""
        claimed = job.last_scheduled_for
        seconds = 0.0 if claimed is None else (claimed - self._clock.now()).total_seconds()
        # One that is further ahead was had before the wall clock was set back.
        if not 0.0 < seconds <= self._ahead_seconds:
            return False
        self._wait(min(seconds, LOOK_SECONDS))
        return True

    def outlast(self) -> None:
        """Wait until whatever other nodes have claimed by now has come to its instant."""
        if self._ahead_seconds and self._agenda.has_others:
            self._wait(self._ahead_seconds)

    def _conclude(self, ticket: Ticket, refusal: Refusal, *, is_taken_back: bool) -> None:
        run, job = ticket.assignment.run, ticket.assignment.job
        if not is_taken_back:
            self._end_unstarted(ticket.assignment, refusal)
            return
        self._withdraw(run)
        log.debug("claim taken back", job_id=str(run.job_id), run_id=str(run.id))
        # At its instant, and not ahead of it, so that it does not come between the change and its commit.
        self._agenda.push(hint_of(job, version=ticket.version + 1, is_exact=True))

    def _wait(self, seconds: float) -> None:
        ends_at = self._clock.monotonic() + seconds
        with self._condition:
            while (left := ends_at - self._clock.monotonic()) > 0:
                self._clock.wait(self._condition, left)
