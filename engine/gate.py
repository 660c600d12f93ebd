"""The last door before a function is called: a pause or delete that was answered wins over a claim."""

import threading
from dataclasses import dataclass
from uuid import UUID

from engine.nouns import Assignment, Run, RunState
from engine.reason_codes import ReasonCode


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a claimed run does not start, and what it is recorded as."""

    reason: str
    state: RunState = RunState.SKIPPED
    code: ReasonCode | None = None


@dataclass(slots=True)
class Ticket:
    """One claimed run on its way to its call. `version` is the job's version that the claim made."""

    assignment: Assignment
    version: int
    is_forced: bool = False
    is_entered: bool = False
    refusal: Refusal | None = None
    cancelled: Refusal | None = None

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
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
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
        run = assignment.run
        with self._lock:
            self._tickets[run.id] = Ticket(assignment, version, is_forced, refusal=self._shut_because)
            self._by_job.setdefault(run.job_id, set()).add(run.id)

    def renew(self, assignment: Assignment) -> None:
        """The run has been started after it waited: it is as in `assignment` from now on."""
        with self._lock:
            ticket = self._tickets.get(assignment.run.id)
            if ticket is not None:
                ticket.assignment = assignment

    def enter(self, run_id: UUID) -> Refusal | None:
        """Ask, as the last thing before the call, whether it may happen; the reason if it may not."""
        with self._lock:
            ticket = self._tickets.get(run_id)
            if ticket is None:
                return Refusal("its claim was given up before it started")
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
        with self._lock:
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
            waiting = [ticket.assignment for ticket in tickets if not ticket.is_entered]
            return waiting, [ticket.assignment for ticket in tickets if ticket.is_entered]
