"""What is due and how many runs there is room for: the small facts under the one condition (laws 5 and 7)."""

import threading
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from math import inf
from uuid import UUID

from engine.errors import PoolFull
from engine.heap import DOUBT, DueHeap
from engine.homes import Homes
from engine.limits import MAX_CLAIM_BATCH, MAX_COLLECTED, MAX_WAITING_MANUAL_RUNS
from engine.nouns import DueHint
from engine.ports import Clock
from engine.read_ahead import ReadAhead
from engine.ready import Ready
from engine.rhythm import REGULAR, Rhythm
from engine.values import quick_dataclass
from registry import JobFunction, Lane


@quick_dataclass(frozen=True, slots=True)
class Taken:
    """A hint that was handed out with a permit of `lane`.

    `excused_seconds`: for so long there has been something due in the lane for which there was no room.
    """

    hint: DueHint
    lane: Lane
    excused_seconds: float


class Agenda:
    """The heap and the permits. The timer thread waits here; any thread may push, remove and give back.

    A permit is room for one run in its lane. The timer takes no more than are free, and a few that will be back in a
    moment (see ReadAhead); manual runs may overdraw by
    MAX_WAITING_MANUAL_RUNS and then wait in the pool's queue, so that a full pool does not refuse them.
    """

    def __init__(
        self,
        *,
        clock: Clock,
        permits: Mapping[Lane, int],
        functions: Mapping[str, JobFunction],
        homes: Homes,
        rhythm: Rhythm = REGULAR,
        takes_hints: bool = True,
    ) -> None:
        """`takes_hints`: whether anything is ever taken out; without that nothing is kept."""
        self.condition = threading.Condition()
        self.permits = dict(permits)
        self._clock = clock
        self._functions = functions
        self._rhythm = rhythm
        self._ahead = timedelta(seconds=rhythm.ahead_seconds)
        self._homes = homes
        self._heap = DueHeap(delay=self._delay)
        self._horizon: datetime | None = None
        self._ready = Ready(self.lane_of)
        self._free = dict(permits)
        self._stranded = dict.fromkeys(permits, 0)
        self._read_ahead = {lane: ReadAhead(room) for lane, room in permits.items()}
        self._full_since: dict[Lane, float] = {}
        self._took_at = -inf
        self._asleep_until: datetime | None = None
        self._is_held = False
        self._held_until: datetime | None = None
        self._is_stopped = False
        self._takes_hints = takes_hints

    def free_permits(self, lane: Lane) -> int:
        """How many more runs the timer may claim there."""
        return max(self._free[lane], 0)

    @property
    def scheduled_jobs(self) -> int:
        """How many jobs, and runs that wait, have a due time."""
        return len(self._heap) + len(self._ready)

    @property
    def has_others(self) -> bool:
        """Whether another node runs jobs too."""
        return self._homes.has_others

    @property
    def is_stopped(self) -> bool:
        """Whether nothing is handed out any more."""
        return self._is_stopped

    def lane_of(self, hint: DueHint) -> Lane:
        """Where the function of the hint is called, as far as it is known."""
        function = self._functions.get(hint.function_name or "")
        return Lane.THREAD if function is None else function.lane

    def fill(self, hints: Iterable[DueHint], *, horizon: datetime | None = None) -> None:
        """Push many at once, at start: all jobs that are due up to the horizon, which None puts at the end of time.

        From then on a job that is due later than that is forgotten.
        """
        filled = DueHeap(delay=self._delay)
        # The hints come from the database, page by page: not under the lock (law 5).
        filled.fill(hints)
        with self.condition:
            # One by one: there are few of these yet, and a fill would order all the others again under the lock.
            for hint in self._heap.hints():
                filled.push(hint)
            self._heap, self._horizon = filled, horizon
            self.condition.notify_all()

    def look_ahead(self, hints: Iterable[DueHint], *, horizon: datetime) -> None:
        """Move the horizon, and push what is due up to there."""
        with self.condition:
            self._horizon = horizon
        self.refresh(hints)

    def refresh(self, hints: Iterable[DueHint]) -> None:
        """Push what was read again, as far as it is news."""
        # One by one: a page may hold thousands, and the timer must not wait for them all (law 5).
        for hint in hints:
            with self.condition:
                if not self._ready.knows(hint):
                    self._heap.refresh(hint)
                    self._wake_if_asleep_too_long()

    def move_homes(self, nodes: frozenset[UUID]) -> bool:
        """Go by which nodes run jobs from now on; whether that is news."""
        with self.condition:
            is_news = self._homes.set_live(nodes)
            if is_news:
                # Few, and seldom: a node came or went.
                moved = DueHeap(delay=self._delay)
                moved.fill(self._heap.hints())
                self._heap = moved
                self.condition.notify_all()
            return is_news

    def push(self, hint: DueHint) -> None:
        """Remember when a job, or a run that waits, is due; wakes the timer if it would wake later by itself."""
        self.push_all([hint])

    def push_all(self, hints: Iterable[DueHint]) -> None:
        """The same for many at once: no more than a batch."""
        if not self._takes_hints:
            return
        with self.condition:
            for hint in hints:
                if self._is_beyond(hint):
                    # It is read again in time.
                    self._heap.remove(hint.key, up_to_version=hint.version)
                else:
                    self._heap.push(hint)
            self._wake_if_asleep_too_long()

    def push_later(self, job_id: UUID, seconds: float, *, version: int = 0) -> None:
        """Have the job looked at in a while, unless something newer than `version` is known of it by then.

        Also beyond the horizon: what is read again is when it was due, and it would be looked at all the time.
        """
        hint = DueHint(job_id, self._clock.now() + timedelta(seconds=seconds), version)
        with self.condition:
            self._heap.push(hint)
            self._wake_if_asleep_too_long()

    def remove(self, job_id: UUID, *, up_to_version: int = DOUBT) -> None:
        """Forget a job that is paused, completed or deleted, unless something newer is known of it (law 2)."""
        with self.condition:
            self._heap.remove(job_id, up_to_version=up_to_version)
            self._ready.discard(job_id, up_to_version=up_to_version)

    def hasten(self, job_id: UUID) -> None:
        """Have the timer look at the job now: what the store says of it is in doubt."""
        if not self._takes_hints:
            return
        with self.condition:
            self._heap.hasten(job_id, due_at=self._clock.now())
            self.condition.notify_all()

    def take_due(self) -> list[Taken]:
        """Wait once, for something due with a free permit, a notification, or the cap; hand out what is due by then.

        A permit is taken for each hint handed out. Empty when nothing is due, the lanes are full, or the agenda is held
        or stopped.
        """
        with self.condition:
            seconds = self._seconds_to_wait()
            if seconds > 0:
                self._asleep_until = self._clock.now() + timedelta(seconds=seconds)
                self._clock.wait(self.condition, seconds)
                self._asleep_until = None
        self._collect_due()
        with self.condition:
            return self._take()

    def overdraw(self, lane: Lane) -> bool:
        """Take a permit for a manual run; says whether there is room for it. Raises PoolFull if too many wait."""
        with self.condition:
            if self._free[lane] + self._read_ahead[lane].taken <= -MAX_WAITING_MANUAL_RUNS:
                raise PoolFull(f"{MAX_WAITING_MANUAL_RUNS} manual runs are waiting for a thread already")
            self._free[lane] -= 1
            return self._free[lane] >= 0

    def exchange(self, taken: Taken, lane: Lane) -> bool:
        """Change the permit for one of another lane; False, and none is left, if there is no room in that."""
        with self.condition:
            self._return(taken.lane, 1)
            if self._room(lane) <= 0:
                return False
            self._take_permits(lane, 1)
            return True

    def give_back(self, lane: Lane, permits: int = 1, *, short_runs: int = 0) -> None:
        """Return permits, each exactly once (law 7); `short_runs` are of runs within SHORT_RUN_SECONDS."""
        with self.condition:
            self._return(lane, permits, short_runs=short_runs)

    def strand(self, lane: Lane) -> None:
        """The run that has this permit is over, and what it called is not: the permit comes back, but nobody waits."""
        with self.condition:
            self._stranded[lane] += 1
            self.condition.notify_all()

    def recover(self, lane: Lane) -> None:
        """A stranded permit is back."""
        with self.condition:
            self._stranded[lane] -= 1
            self._return(lane, 1)

    def hold(self, *, until: datetime | None) -> None:
        """Hand nothing out until `release`: everything is paused. `until` is when the timer is to look at that."""
        with self.condition:
            self._is_held, self._held_until = True, until
            self._full_since.clear()
            self.condition.notify_all()

    def release(self) -> None:
        """Hand out again."""
        with self.condition:
            self._is_held, self._held_until = False, None
            self.condition.notify_all()

    @property
    def is_idle(self) -> bool:
        """Whether every permit is back, or stranded."""
        return all(self._free[lane] + self._stranded[lane] >= permits for lane, permits in self.permits.items())

    def wait_until_idle(self, seconds: float) -> bool:
        """Wait until no run is going, at most that long; says whether it is so."""
        deadline = self._clock.monotonic() + seconds
        with self.condition:
            while not self.is_idle:
                left = deadline - self._clock.monotonic()
                if left <= 0:
                    return False
                self._clock.wait(self.condition, min(left, self._rhythm.max_wait_seconds))
            return True

    def stop(self) -> None:
        """Hand nothing out any more."""
        with self.condition:
            self._is_stopped = True
            self.condition.notify_all()

    def _seconds_to_wait(self) -> float:
        if self._is_stopped:
            return 0.0
        if self._is_held:
            return self._seconds_until(self._held_until)
        if any(self._ready.has(lane) and self._room(lane) > 0 for lane in Lane):
            return 0.0
        # Also while the lanes are full: from when on something was due and had no room must be known.
        look_at = self._heap.head_due_at()
        seconds = self._seconds_until(look_at)
        return (
            seconds
            if look_at is None
            else max(seconds, min(self._seconds_of_rest(), seconds + self._rhythm.rest_seconds))
        )

    def _seconds_of_rest(self) -> float:
        """What is left of the rest after the last claim, in which slots are collected for the next one."""
        return self._took_at + self._rhythm.rest_seconds - self._clock.monotonic()

    def _seconds_until(self, instant: datetime | None) -> float:
        if instant is None:
            return self._rhythm.max_wait_seconds
        # Subtracting first and capping then: a job due in the year 9999 must not reach the wait itself.
        return min((instant - self._clock.now()).total_seconds(), self._rhythm.max_wait_seconds)

    def _collect_due(self) -> None:
        """Have what is due wait for room, a few at a time (law 5): a crowd must not hide what comes after it."""
        for _ in range(0, MAX_COLLECTED, MAX_CLAIM_BATCH):
            with self.condition:
                if self._is_stopped or self._is_held:
                    return
                due = self._heap.pop_due(self._clock.now(), at_most=MAX_CLAIM_BATCH)
                for hint in due:
                    self._ready.add(hint)
            if len(due) < MAX_CLAIM_BATCH:
                return

    def _take(self) -> list[Taken]:
        if self._is_stopped or self._is_held:
            return []
        taken = [taken for lane in Lane for taken in self._take_from(lane)]
        if taken:
            self._took_at = self._clock.monotonic()
        return taken

    def _take_from(self, lane: Lane) -> list[Taken]:
        excused = self._seconds_full(lane)
        hints = self._ready.take(lane, at_most=min(self._room(lane), MAX_CLAIM_BATCH))
        self._take_permits(lane, len(hints))
        if not self._ready.has(lane):
            self._full_since.pop(lane, None)
        else:
            self._full_since.setdefault(lane, self._clock.monotonic())
        return [Taken(hint, lane, excused) for hint in hints]

    def _seconds_full(self, lane: Lane) -> float:
        # On the monotonic clock: a machine that slept, or a wall clock set forward, is no full pool.
        since = self._full_since.get(lane)
        return 0.0 if since is None else self._clock.monotonic() - since

    def _is_beyond(self, hint: DueHint) -> bool:
        return self._horizon is not None and hint.run_id is None and hint.due_at > self._horizon

    def _room(self, lane: Lane) -> int:
        """How many runs may be claimed there: for free permits, and for those that will be back in a moment."""
        read_ahead = self._read_ahead[lane]
        return max(self._free[lane] + read_ahead.allowed(self._clock.monotonic()), 0)

    def _take_permits(self, lane: Lane, permits: int) -> None:
        self._read_ahead[lane].take(permits - max(self._free[lane], 0))
        self._free[lane] -= permits

    def _return(self, lane: Lane, permits: int, *, short_runs: int = 0) -> None:
        self._free[lane] += permits
        self._read_ahead[lane].give_back(permits, short_runs=short_runs, now=self._clock.monotonic())
        if self._free[lane] > 0 or self._ready.has(lane):
            self.condition.notify_all()

    def _wake_if_asleep_too_long(self) -> None:
        if self._asleep_until is not None:
            look_at = self._heap.head_due_at()
            if look_at is not None and look_at < self._asleep_until:
                self.condition.notify_all()

    def _delay(self, hint: DueHint) -> timedelta:
        """How long after its due time a hint is to be looked at: ahead of it where this node is the job's home."""
        delay = self._homes.delay(hint)
        return delay if delay or hint.is_exact else -self._ahead
