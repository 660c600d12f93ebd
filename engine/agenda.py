"""What is due and how many runs there is room for: the small facts under the one condition (laws 5 and 7)."""

import threading
from collections.abc import Iterable
from datetime import datetime, timedelta
from uuid import UUID

from engine.errors import PoolFull
from engine.heap import DOUBT, DueHeap
from engine.limits import MAX_CLAIM_BATCH, MAX_WAITING_MANUAL_RUNS
from engine.nouns import DueHint
from engine.ports import Clock


class Agenda:
    """The heap and the permits. The timer thread waits here; any thread may push, remove and give back.

    A permit is room for one run in the pool. The timer takes no more than are free; manual runs may overdraw by
    MAX_WAITING_MANUAL_RUNS and then wait in the pool's queue, so that a full pool does not refuse them.
    """

    def __init__(self, *, clock: Clock, permits: int, max_wait_seconds: float) -> None:
        self.condition = threading.Condition()
        self.permits = permits
        self._clock = clock
        self._max_wait_seconds = max_wait_seconds
        self._heap = DueHeap()
        self._free = permits
        self._asleep_until: datetime | None = None
        self._is_stopped = False

    @property
    def free_permits(self) -> int:
        """How many more runs the timer may claim."""
        return max(self._free, 0)

    @property
    def scheduled_jobs(self) -> int:
        """How many jobs have a due time."""
        return len(self._heap)

    @property
    def is_stopped(self) -> bool:
        """Whether nothing is handed out any more."""
        return self._is_stopped

    def fill(self, hints: Iterable[DueHint]) -> None:
        """Push many at once, at start."""
        filled = DueHeap()
        # The hints come from the database, page by page: not under the lock (law 5).
        filled.fill(hints)
        with self.condition:
            # One by one: there are few of these yet, and a fill would order all the others again under the lock.
            for hint in self._heap.hints():
                filled.push(hint)
            self._heap = filled
            self.condition.notify_all()

    def push(self, hint: DueHint) -> None:
        """Remember when a job is due; wakes the timer if that is earlier than it would wake by itself."""
        with self.condition:
            self._heap.push(hint)
            self._wake_if_asleep_past(hint.due_at)

    def push_next(self, job_id: UUID, *, due_at: datetime | None, version: int) -> None:
        """Push a job's next slot, if it has one."""
        if due_at is not None:
            self.push(DueHint(job_id, due_at, version))

    def push_later(self, job_id: UUID, seconds: float) -> None:
        """Have the job looked at in a while, unless something is known of it by then: every version is newer than 0."""
        self.push(DueHint(job_id, self._clock.now() + timedelta(seconds=seconds), version=0))

    def remove(self, job_id: UUID, *, up_to_version: int = DOUBT) -> None:
        """Forget a job that is paused, completed or deleted, unless something newer is known of it (law 2)."""
        with self.condition:
            self._heap.remove(job_id, up_to_version=up_to_version)

    def hasten(self, job_id: UUID) -> None:
        """Have the timer look at the job now: what the store says of it is in doubt."""
        with self.condition:
            self._heap.hasten(job_id, due_at=self._clock.now())
            self.condition.notify_all()

    def take_due(self) -> list[DueHint]:
        """Wait once, for a due job with a free permit, a notification, or the cap; hand out what is due by then.

        A permit is taken for each job handed out. Empty when nothing is due, the pool is full, or the agenda stopped.
        """
        with self.condition:
            seconds = self._seconds_to_wait()
            if seconds > 0:
                self._asleep_until = self._clock.now() + timedelta(seconds=seconds)
                self._clock.wait(self.condition, seconds)
                self._asleep_until = None
            return self._pop_due()

    def overdraw(self) -> bool:
        """Take a permit for a manual run; says whether a thread is free for it. Raises PoolFull if too many wait."""
        with self.condition:
            if self._free <= -MAX_WAITING_MANUAL_RUNS:
                raise PoolFull(f"{MAX_WAITING_MANUAL_RUNS} manual runs are waiting for a thread already")
            self._free -= 1
            return self._free >= 0

    def give_back(self, permits: int = 1) -> None:
        """Return permits, each exactly once (law 7)."""
        with self.condition:
            self._free += permits
            if self._free > 0:
                self.condition.notify_all()

    def wait_until_idle(self, seconds: float) -> bool:
        """Wait until every permit is back, at most that long; says whether it is so."""
        deadline = self._clock.monotonic() + seconds
        with self.condition:
            while self._free < self.permits:
                left = deadline - self._clock.monotonic()
                if left <= 0:
                    return False
                self._clock.wait(self.condition, min(left, self._max_wait_seconds))
            return True

    def stop(self) -> None:
        """Hand nothing out any more."""
        with self.condition:
            self._is_stopped = True
            self.condition.notify_all()

    def _seconds_to_wait(self) -> float:
        head_due_at = self._heap.head_due_at()
        if self._is_stopped:
            return 0.0
        if head_due_at is None or self._free <= 0:
            return self._max_wait_seconds
        # Subtracting first and capping then: a job due in the year 9999 must not reach the wait itself.
        return min((head_due_at - self._clock.now()).total_seconds(), self._max_wait_seconds)

    def _pop_due(self) -> list[DueHint]:
        if self._is_stopped or self._free <= 0:
            return []
        due = self._heap.pop_due(self._clock.now(), at_most=min(self._free, MAX_CLAIM_BATCH))
        self._free -= len(due)
        return due

    def _wake_if_asleep_past(self, due_at: datetime) -> None:
        if self._asleep_until is not None and due_at < self._asleep_until:
            self.condition.notify_all()
