"""The logs of the runs that are going on in this process, by run, and who waits for one of them."""

import threading
from uuid import UUID

from engine.captured_log import CapturedLog
from engine.run_log import RunLog, Wake


class LiveLogs:
    """Which runs write a log here now. For any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._logs: dict[UUID, RunLog] = {}
        self._waiting: dict[UUID, set[Wake]] = {}
        self._is_ended = False

    def __len__(self) -> int:
        return len(self._logs)

    @property
    def is_ended(self) -> bool:
        """Whether nobody is to follow any log here any more, because the process is about to end."""
        return self._is_ended

    def captured(self, run_id: UUID) -> CapturedLog | None:
        """What the run has written by now; None if it does not write here."""
        log = self.get(run_id)
        return None if log is None else log.captured()

    def add(self, run_id: UUID, log: RunLog) -> None:
        """A run begins to write."""
        with self._lock:
            self._logs[run_id] = log
            is_ended = self._is_ended
            waiting = self._waiting.pop(run_id, set())
        if is_ended:
            log.let_go()
        for wake in waiting:
            wake()

    def get(self, run_id: UUID) -> RunLog | None:
        """The log of a run that is going on here, or whose end is not on record yet."""
        return self._logs.get(run_id)

    def remove(self, run_id: UUID) -> None:
        """The run is over and on record, whether or not it ever wrote: who follows it finds the rest in the store."""
        with self._lock:
            log = self._logs.pop(run_id, None)
            waiting = self._waiting.pop(run_id, set())
        if log is not None:
            log.let_go()
        for wake in waiting:
            wake()

    def end_all(self) -> None:
        """Send away all who follow, now and later; the runs still write, and what they write is still kept."""
        with self._lock:
            self._is_ended = True
            logs = list(self._logs.values())
            waiting = set().union(*self._waiting.values())
            self._waiting.clear()
        for log in logs:
            log.let_go()
        for wake in waiting:
            wake()

    def wake_once(self, run_id: UUID, wake: Wake) -> None:
        """Call `wake` one time, when the run is added or removed here or all is ended; now, if it is here or ended."""
        with self._lock:
            is_waiting = run_id not in self._logs and not self._is_ended
            if is_waiting:
                self._waiting.setdefault(run_id, set()).add(wake)
        if not is_waiting:
            wake()

    def forget(self, run_id: UUID, wake: Wake) -> None:
        """Do not call `wake` any more."""
        with self._lock:
            waiting = self._waiting.get(run_id, set())
            waiting.discard(wake)
            if not waiting:
                self._waiting.pop(run_id, None)
