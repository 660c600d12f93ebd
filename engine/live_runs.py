"""The runs of this node that are in a call: what ends them, and that each has one end (law 6)."""

import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol
from uuid import UUID

from engine.nouns import Assignment, CallOver, Outcome, RunState


class Handle(Protocol):
    """What a lane gives for a call that it has begun."""

    def kill(self) -> None:
        """End the call, as far as the lane can; harmless once it is over. Never waits for long."""
        ...


@dataclass(frozen=True, slots=True)
class Ending:
    """Why a run is to end before its function wants to: `timed_out` or `cancelled`."""

    state: RunState
    reason: str


class LiveRun:
    """One run in its call. May be used from any thread.

    The first of two wins: the call's end, or the decision that the run is over without it. That one delivers the
    outcome; if it was the second, the end of the call then only says that nothing is stuck any more.
    """

    def __init__(self, assignment: Assignment, *, deliver: Callable[[Outcome | CallOver], None]) -> None:
        self.assignment = assignment
        self._cancelled: threading.Event | None = None
        self._deliver = deliver
        self._lock = threading.Lock()
        self._handle: Handle | None = None
        self._ending: Ending | None = None
        self._is_settled = False
        self._has_returned = False

    @property
    def ending(self) -> Ending | None:
        """Why it is to end."""
        return self._ending

    @property
    def cancelled(self) -> threading.Event:
        """Set once it is to end. Made when somebody asks for it, which few functions do."""
        with self._lock:
            if self._cancelled is None:
                self._cancelled = threading.Event()
                if self._ending is not None:
                    self._cancelled.set()
            return self._cancelled

    @property
    def is_stuck(self) -> bool:
        """Whether the run is over and its call is not."""
        return self._is_settled and not self._has_returned

    def begin(self, handle: Handle | None) -> None:
        """What can end the call; ends it at once if that was asked for already."""
        with self._lock:
            self._handle = handle
            is_to_end = self._ending is not None
        if is_to_end and handle is not None:
            handle.kill()

    def end(self, ending: Ending) -> bool:
        """Ask the call to end; False if it is over, or was asked before."""
        with self._lock:
            if self._ending is not None or self._has_returned or self._is_settled:
                return False
            self._ending = ending
            handle, cancelled = self._handle, self._cancelled
        if cancelled is not None:
            cancelled.set()
        if handle is not None:
            handle.kill()
        return True

    def returned(self, outcome: Callable[[Ending | None], Outcome]) -> None:
        """The call is over; `outcome` says what that means, if it means anything any more."""
        with self._lock:
            self._has_returned = True
            is_first, self._is_settled = not self._is_settled, True
            # Decided under the lock and delivered outside it would let a stuck run's end overtake its outcome.
            run = self.assignment.run
            self._deliver(outcome(self._ending) if is_first else CallOver(run.id, run.job_id))

    def settle(self, outcome: Callable[[], Outcome]) -> bool:
        """The run is over, whatever its call does; False if it was so already."""
        with self._lock:
            if self._is_settled:
                return False
            self._is_settled = True
            self._deliver(outcome())
            return True


class LiveRuns:
    """All of them, by run. May be used from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._runs: dict[UUID, LiveRun] = {}

    def add(self, live: LiveRun) -> None:
        """It is in its call."""
        with self._lock:
            self._runs[live.assignment.run.id] = live

    def remove(self, run_id: UUID) -> None:
        """Its call is over."""
        with self._lock:
            self._runs.pop(run_id, None)

    def get(self, run_id: UUID) -> LiveRun | None:
        """The run, if it is in its call."""
        with self._lock:
            return self._runs.get(run_id)

    def all(self) -> list[LiveRun]:
        """Each of them."""
        with self._lock:
            return list(self._runs.values())

    @property
    def stuck(self) -> int:
        """How many are over and have not returned."""
        return sum(live.is_stuck for live in self.all())
