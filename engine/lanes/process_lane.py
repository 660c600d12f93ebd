"""The lane of worker processes: calls wait in line, one thread per worker process takes them through it.

Not pebble 5.2.3: its workers share one pipe and one lock, and a worker that is killed while it writes (300 MB, SIGKILL
after 0.3 s) leaves both stuck: no call of the pool came back within 100 s, and children of a cancelled job lived on.
"""

import logging
import os
import threading
import weakref
from collections import deque

from engine.errors import NotScheduling
from engine.lanes.calls import ProcessCall
from engine.lanes.process_call import CallHandle, Ended, Started, Wrote
from engine.lanes.seat import Seat
from engine.lanes.worker import WorkerOptions


class ProcessLane:
    """Calls functions in worker processes that are started ahead. For any thread.

    `memory_limit_bytes` is the address space that each worker may have. `modules` are imported by each worker before
    it takes calls; others are imported when they are first asked for, before `started` is.
    """

    def __init__(
        self,
        *,
        workers: int,
        memory_limit_bytes: int | None = None,
        modules: tuple[str, ...] = (),
        log_level: int = logging.INFO,
    ) -> None:
        self._options = WorkerOptions(modules, memory_limit_bytes, log_level)
        self._condition = threading.Condition()
        self._line: deque[CallHandle] = deque()
        self._is_stopping = False
        self._seats = [Seat(self._take, self._options, self._left) for _ in range(workers)]
        self._occupied = 0

    def start(self) -> None:
        """Start the threads, each of which starts its worker process at once."""
        with self._condition:
            self._occupied = len(self._seats)
        # Weakly: what is registered there stays for as long as the process does.
        let_go = weakref.WeakMethod(self._let_go)
        os.register_at_fork(after_in_child=lambda: (method := let_go()) and method())
        for number, seat in enumerate(self._seats):
            threading.Thread(target=seat.serve, name=f"scheduler-worker-{number}", daemon=True).start()

    def submit(self, call: ProcessCall, *, started: Started, ended: Ended, wrote: Wrote) -> CallHandle:
        """Put the call in line. None of the three is called by this thread within this call, and none may raise.

        `started` is asked just before the call is sent to a worker that has the function ready: False, and the call is
        not made and `ended` is not called. Otherwise `ended` is called once, after the last line that was `wrote`; it
        comes without `started` only for a call that is killed before it was asked. Raises NotScheduling after a stop.
        """
        handle = CallHandle(call, started=started, ended=ended, wrote=wrote, leave=self._withdraw)
        with self._condition:
            if self._is_stopping:
                raise NotScheduling
            self._line.append(handle)
            self._condition.notify()
        return handle

    def stop(self, timeout_seconds: float) -> bool:
        """Kill every call and every worker, and wait for that long; whether all are gone. May be called again."""
        with self._condition:
            self._is_stopping = True
            waiting = list(self._line)
            self._condition.notify_all()
        for handle in waiting:
            handle.kill()
        for seat in self._seats:
            seat.vacate()
        with self._condition:
            return self._condition.wait_for(lambda: self._occupied == 0, timeout_seconds)

    def worker_pids(self) -> list[int]:
        """The process ids of the workers that are ready or in a call."""
        return [pid for seat in self._seats if (pid := seat.pid) is not None]

    def _take(self, timeout_seconds: float) -> CallHandle | None:
        """The next call in line; None if none came in that time, or at a stop."""
        with self._condition:
            self._condition.wait_for(lambda: self._line or self._is_stopping, timeout_seconds)
            return self._line.popleft() if self._line and not self._is_stopping else None

    def _withdraw(self, handle: CallHandle) -> bool:
        """Take a call out of the line; False if it is not in it any more."""
        with self._condition:
            if handle not in self._line:
                return False
            self._line.remove(handle)
            return True

    def _let_go(self) -> None:
        """In a child that a function in a thread has forked: while it held them too, no worker would see us die."""
        for seat in self._seats:
            seat.let_go()

    def _left(self) -> None:
        with self._condition:
            self._occupied -= 1
            self._condition.notify_all()
