"""A call on its way through the lane of processes: who is told what, once, and how it is killed."""

import threading
from collections.abc import Callable
from typing import Protocol

import structlog

from engine.call_ends import CallEnd, Died, Killed
from engine.lanes.calls import ProcessCall
from engine.lanes.entries import WrittenLine

log = structlog.get_logger("scheduler.lanes")

Started = Callable[[], bool]
Ended = Callable[[CallEnd], None]
Wrote = Callable[[WrittenLine], None]


class Killable(Protocol):
    """What a call needs of the process that it is made in."""

    def kill(self) -> None:
        """End it, with all that it started."""
        ...


class CallHandle:
    """What `submit` returns, and what a seat serves. It ends once (law 6); `kill` is for any thread."""

    def __init__(
        self,
        call: ProcessCall,
        *,
        started: Started,
        ended: Ended,
        wrote: Wrote,
        leave: "Callable[[CallHandle], bool]",
    ) -> None:
        self.call = call
        self._started = started
        self._ended = ended
        self._wrote = wrote
        self._leave = leave
        self._lock = threading.Lock()
        self._process: Killable | None = None
        self._is_killed = False
        self._is_over = False

    def kill(self) -> None:
        """End the call, and whatever it started; afterwards, and a second time, it does nothing.

        Returns at once: `ended` is called by the thread of the worker, or by this one if the call is still in line.
        If the function has returned meanwhile, that is how it ended.
        """
        with self._lock:
            if self._is_over or self._is_killed:
                return
            self._is_killed = True
            if self._process is not None:
                # Under the lock: once the call is over, the process may be in the next one.
                self._process.kill()
        if self._leave(self):
            self.end(Killed())

    def enter(self, process: Killable) -> bool:
        """Be made in this process from now on; False if it was killed already."""
        with self._lock:
            self._process = process
            return not self._is_killed

    def may_start(self) -> bool:
        """Ask the gate. If it refuses, the call is over and nobody is told."""
        if self._is_let_in():
            return True
        with self._lock:
            self._is_over = True
        return False

    def write(self, line: WrittenLine) -> None:
        """Pass a line on."""
        try:
            self._wrote(line)
        # What stands behind it is the run's business; the worker goes on (law 9).
        except Exception:
            log.exception("line of a run not passed on", run_id=self.call.run_id)

    def end(self, end: CallEnd) -> None:
        """Tell how it ended, the first time only."""
        with self._lock:
            is_late, self._is_over = self._is_over, True
        if not is_late:
            try:
                self._ended(end)
            except Exception:
                log.exception("end of a call not passed on", run_id=self.call.run_id)

    def end_of_death(self, reason: str) -> CallEnd:
        """What it means for this call that its process has ended."""
        with self._lock:
            return Killed() if self._is_killed else Died(reason)

    @property
    def is_killed(self) -> bool:
        """Whether its end was asked for."""
        return self._is_killed

    def _is_let_in(self) -> bool:
        try:
            return self._started()
        except Exception:
            log.exception("gate of a call failed", run_id=self.call.run_id)
            return False
