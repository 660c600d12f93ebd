"""The last door before a function is called: a pause or delete that was answered wins over a claim, and so does word
that the node's claims are not its own any more."""

import threading
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from engine.limits import MAX_WAIT_SECONDS
from engine.nouns import Assignment, Run, RunState
from engine.ports import Clock
from engine.reason_codes import ReasonCode
from engine.rhythm import REGULAR


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a claimed run does not start, and what it is recorded as."""

    reason: str
    state: RunState = RunState.SKIPPED
    code: ReasonCode | None = None


GIVEN_UP = Refusal("its claim was given up, and has been seen to")
"""Of a run without a ticket: there is nothing left to record."""


@dataclass(slots=True)
class Ticket:
    """One claimed run on its way to its call. `version` is the job's version that the claim made."""

    assignment: Assignment
    version: int
    is_forced: bool = False
    is_entered: bool = False
    is_on_record: bool = False
    refusal: Refusal | None = None
    cancelled: Refusal | None = None

    def is_ahead(self, now: datetime) -> bool:
        """Whether its slot is still to come, and nothing else has been decided on it."""
        starts_at = self.assignment.run.started_at
        is_to_come = starts_at is not None and starts_at > now
        return is_to_come and self.is_on_record and not self.is_entered and self.refusal is None

    def revoke(self, refusal: Refusal) -> None:
        """Once entered it is too late; the first reason stays."""
        if not self.is_entered and self.refusal is None:
            self.refusal = refusal
        elif self.is_entered and refusal.state is RunState.CANCELLED:
            self.cancelled = self.cancelled or refusal


class StartGate:
    """The runs of this node that are claimed and not yet recorded as ended. May be used from any thread.

    A ticket is opened before its claim is written, so that a revocation which comes between the claim's commit and the
    claim's answer finds it.

    Nobody enters on claims that are out of trust: the others declare a node lost that they see nothing of for a while,
    and a node that was frozen does not know for how long. It knows once it has written something: that counts from
    before the write, on the monotonic clock, for `trust_seconds`, which is shorter than that while.
    """

    def __init__(self, *, clock: Clock, trust_seconds: float = REGULAR.trust_seconds) -> None:
        self._clock = clock
        self._trust_seconds = trust_seconds
        self._trusted_since = clock.monotonic()
        # The lock, on which those wait that are out of trust.
        self._lock = threading.Condition()
        self._tickets: dict[UUID, Ticket] = {}
        self._by_job: dict[UUID, set[UUID]] = {}
        self._shut_because: Refusal | None = None
        self._held_because: Refusal | None = None

    def __len__(self) -> int:
        return len(self._tickets)

    @property
    def is_shut(self) -> bool:
        """Whether nobody is let in any more."""
        return self._shut_because is not None

    def open(self, assignment: Assignment, *, version: int, is_forced: bool = False) -> None:
        """Let the run come: it may be revoked from now on. A forced one enters also while the gate is held."""
        self.open_all([Ticket(assignment, version, is_forced)])

    def open_all(self, tickets: Iterable[Ticket]) -> None:
        """The same for many at once, with tickets that are new."""
        with self._lock:
            for ticket in tickets:
                run = ticket.assignment.run
                ticket.refusal = self._shut_because
                self._tickets[run.id] = ticket
                self._by_job.setdefault(run.job_id, set()).add(run.id)

    def confirm(self, run_ids: Iterable[UUID]) -> None:
        """The claims of these runs are on record."""
        with self._lock:
            for run_id in run_ids:
                ticket = self._tickets.get(run_id)
                if ticket is not None:
                    ticket.is_on_record = True

    def revoke_ahead(self, job_id: UUID | None, refusal: Refusal) -> list[Ticket]:
        """Keep those runs of the job, or of all jobs, from entering whose claim is on record and whose slot is not yet
        due; returns their tickets."""
        with self._lock:
            run_ids = self._tickets if job_id is None else self._by_job.get(job_id, ())
            if not run_ids:
                return []
            now = self._clock.now()
            tickets = [ticket for ticket in map(self._tickets.__getitem__, run_ids) if ticket.is_ahead(now)]
            for ticket in tickets:
                ticket.revoke(refusal)
            return tickets

    def renew(self, assignment: Assignment) -> None:
        """The run has been started after it waited: it is as in `assignment` from now on."""
        with self._lock:
            ticket = self._tickets.get(assignment.run.id)
            if ticket is not None:
                ticket.assignment = assignment

    def enter(self, run_id: UUID) -> Refusal | None:
        """Ask, as the last thing before the call, whether it may happen; the reason if it may not.

        Waits while the node is out of trust, for word from its heartbeat.
        """
        with self._lock:
            while self._is_to_wait(run_id):
                self._clock.wait(self._lock, MAX_WAIT_SECONDS)
            return self._enter(run_id)

    def is_to_wait(self, run_id: UUID) -> bool:
        """Whether `enter` would wait."""
        with self._lock:
            return self._is_to_wait(run_id)

    @property
    def is_trusted(self) -> bool:
        """Whether a run may enter now, as far as the node's own life on record goes."""
        return self._clock.monotonic() - self._trusted_since < self._trust_seconds

    def trust(self, since: float) -> None:
        """The node was live on record by a write that began at `since`, on the monotonic clock."""
        with self._lock:
            self._trusted_since = max(self._trusted_since, since)
            self._lock.notify_all()

    def revoke_all(self, refusal: Refusal) -> list[Run]:
        """Keep whoever has not entered from entering; returns the runs that have."""
        with self._lock:
            for ticket in self._tickets.values():
                ticket.revoke(refusal)
            self._lock.notify_all()
            return [ticket.assignment.run for ticket in self._tickets.values() if ticket.is_entered]

    def _is_to_wait(self, run_id: UUID) -> bool:
        ticket = self._tickets.get(run_id)
        is_refused = ticket is None or ticket.refusal is not None
        return not is_refused and not self.is_trusted

    def _enter(self, run_id: UUID) -> Refusal | None:
        ticket = self._tickets.get(run_id)
        if ticket is None:
            return GIVEN_UP
        if self._held_because is not None and not ticket.is_forced:
            ticket.revoke(self._held_because)
        if ticket.refusal is None:
            ticket.is_entered = True
        return ticket.refusal

    def hold(self, reason: str) -> None:
        """Let nobody enter until `release`, but for runs that are forced."""
        with self._lock:
            self._held_because = Refusal(reason, code=ReasonCode.PAUSED_ALL)

    def release(self) -> None:
        """Let runs enter again; those that came meanwhile have been refused."""
        with self._lock:
            self._held_because = None

    def revoke(
        self, job_id: UUID, *, reason: str, code: ReasonCode | None = None, below_version: int | None = None
    ) -> None:
        """Keep the job's runs that have not entered yet from entering; those of `below_version` on may."""
        with self._lock:
            for run_id in self._by_job.get(job_id, ()):
                ticket = self._tickets[run_id]
                if below_version is None or ticket.version < below_version:
                    ticket.revoke(Refusal(reason, code=code))

    def refuse(self, run_id: UUID, refusal: Refusal) -> bool:
        """Keep this one run from entering; False if it has entered already."""
        with self._lock:
            ticket = self._tickets.get(run_id)
            if ticket is None:
                return True
            ticket.revoke(refusal)
            return not ticket.is_entered

    def cancelled(self, run_id: UUID) -> Refusal | None:
        """Why the run is to end, if that was asked for after it entered: perhaps before its call could be told."""
        # Without the lock: both are one step each, and who asks for it looks for the call once that is written.
        ticket = self._tickets.get(run_id)
        return None if ticket is None else ticket.cancelled

    def close(self, run_id: UUID) -> Assignment | None:
        """The run is over and on record, or was never claimed; what was assigned, the first time only (law 7)."""
        with self._lock:
            ticket = self._tickets.pop(run_id, None)
            if ticket is None:
                return None
            of_job = self._by_job[ticket.assignment.run.job_id]
            of_job.discard(run_id)
            if not of_job:
                del self._by_job[ticket.assignment.run.job_id]
            return ticket.assignment

    def holds(self, run_id: UUID) -> bool:
        """Whether the run is claimed and not yet recorded as ended."""
        with self._lock:
            return run_id in self._tickets

    def runs(self, job_id: UUID) -> list[Run]:
        """The runs of the job that are claimed and not yet recorded as ended."""
        with self._lock:
            return [self._tickets[run_id].assignment.run for run_id in self._by_job.get(job_id, ())]

    def versions(self) -> dict[UUID, int]:
        """The jobs of which a run is claimed and has not entered, each with the newest version that a claim made."""
        with self._lock:
            found: dict[UUID, int] = {}
            for ticket in self._tickets.values():
                if not ticket.is_entered and ticket.refusal is None:
                    job_id = ticket.assignment.job.id
                    found[job_id] = max(found.get(job_id, 0), ticket.version)
            return found

    def job_ids(self) -> set[UUID]:
        """The jobs of which a run is claimed and not yet recorded as ended."""
        with self._lock:
            return set(self._by_job)

    def shut(self, reason: str) -> tuple[list[Assignment], list[Assignment]]:
        """Let nobody enter any more, whoever comes; returns the runs that never will, and those going on."""
        with self._lock:
            self._shut_because = Refusal(reason, code=ReasonCode.STOPPED)
            tickets = list(self._tickets.values())
            for ticket in tickets:
                ticket.revoke(self._shut_because)
            self._lock.notify_all()
            waiting = [ticket.assignment for ticket in tickets if not ticket.is_entered]
            return waiting, [ticket.assignment for ticket in tickets if ticket.is_entered]
