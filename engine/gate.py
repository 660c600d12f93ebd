"""The last door before a function is called: a pause or delete that was answered wins over a claim."""

import threading
from dataclasses import dataclass
from uuid import UUID

from engine.nouns import Assignment


@dataclass(slots=True)
class Ticket:
    """One claimed run on its way to its call. `version` is the job's version that the claim made."""

    assignment: Assignment
    version: int
    is_entered: bool = False
    revoked_because: str | None = None

    def revoke(self, reason: str) -> None:
        """Once entered it is too late; the first reason stays."""
        if not self.is_entered and self.revoked_because is None:
            self.revoked_because = reason


class StartGate:
    """The runs of this node that are claimed and not yet recorded as ended. May be used from any thread.

    A ticket is opened before its claim is written, so that a revocation which comes between the claim's commit and the
    claim's answer finds it.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._tickets: dict[UUID, Ticket] = {}
        self._by_job: dict[UUID, set[UUID]] = {}
        self._shut_because: str | None = None

    def __len__(self) -> int:
        return len(self._tickets)

    @property
    def is_shut(self) -> bool:
        """Whether nobody is let in any more."""
        return self._shut_because is not None

    def open(self, assignment: Assignment, *, version: int) -> None:
        """Let the run come: it may be revoked from now on."""
        run = assignment.run
        with self._lock:
            self._tickets[run.id] = Ticket(assignment, version, revoked_because=self._shut_because)
            self._by_job.setdefault(run.job_id, set()).add(run.id)

    def enter(self, run_id: UUID) -> str | None:
        """Ask, as the last thing before the call, whether it may happen; the reason if it may not."""
        with self._lock:
            ticket = self._tickets.get(run_id)
            if ticket is None:
                return "its claim was given up before it started"
            if ticket.revoked_because is None:
                ticket.is_entered = True
            return ticket.revoked_because

    def revoke(self, job_id: UUID, *, reason: str, below_version: int | None = None) -> None:
        """Keep the job's runs that have not entered yet from entering; those of `below_version` on may."""
        with self._lock:
            for run_id in self._by_job.get(job_id, ()):
                ticket = self._tickets[run_id]
                if below_version is None or ticket.version < below_version:
                    ticket.revoke(reason)

    def refuse(self, run_id: UUID, *, reason: str) -> bool:
        """Keep this one run from entering; False if it has entered already."""
        with self._lock:
            ticket = self._tickets.get(run_id)
            if ticket is None:
                return True
            ticket.revoke(reason)
            return not ticket.is_entered

    def close(self, run_id: UUID) -> bool:
        """The run is over and on record, or was never claimed; True the first time only (law 7)."""
        with self._lock:
            ticket = self._tickets.pop(run_id, None)
            if ticket is None:
                return False
            of_job = self._by_job[ticket.assignment.run.job_id]
            of_job.discard(run_id)
            if not of_job:
                del self._by_job[ticket.assignment.run.job_id]
            return True

    def holds(self, run_id: UUID) -> bool:
        """Whether the run is claimed and not yet recorded as ended."""
        with self._lock:
            return run_id in self._tickets

    def job_ids(self) -> set[UUID]:
        """The jobs of which a run is claimed and not yet recorded as ended."""
        with self._lock:
            return set(self._by_job)

    def shut(self, reason: str) -> tuple[list[Assignment], list[Assignment]]:
        """Let nobody enter any more, whoever comes; returns the runs that never will, and those going on."""
        with self._lock:
            self._shut_because = reason
            tickets = list(self._tickets.values())
            for ticket in tickets:
                ticket.revoke(reason)
            waiting = [ticket.assignment for ticket in tickets if not ticket.is_entered]
            return waiting, [ticket.assignment for ticket in tickets if ticket.is_entered]
