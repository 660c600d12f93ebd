"""The one fake of the tests: time. `ManualClock` drives the engine's real threads; `Node` is an engine to drive."""

import threading
from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from math import inf
from typing import Any

from engine.nouns import Job, JobStatus, Run
from engine.ports import Store
from engine.requests import Capacity, JobDraft
from engine.rhythm import Rhythm
from engine.scheduler import Scheduler
from registry import FunctionRegistry, Lane
from tests.factories import make_timing

NOON = datetime(2026, 1, 1, 12, 0, tzinfo=UTC)
REAL_SECONDS = 20.0
"""How long a test waits, in real time, for something that should happen at once; then it fails."""


QUIET = {
    "heartbeat_seconds": 86_400.0,
    "look_around_seconds": 86_400.0,
    "window_seconds": inf,
    "max_wait_seconds": 86_400.0,
    "ahead_seconds": 0.0,
    "rest_seconds": 0.0,
    "gather_seconds": 0.0,
    "patience_seconds": 0.0,
}


@dataclass(eq=False)
class Sleeper:
    """A thread inside `ManualClock.wait`."""

    condition: threading.Condition
    wake_at: float


class ManualClock:
    """A clock that stands still until it is told to advance. `wait` parks the caller without any real time-out."""

    def __init__(self, start: datetime = NOON) -> None:
        self._changed = threading.Condition()
        self._zero = start
        self._elapsed = 0.0
        self._sleepers: set[Sleeper] = set()
        self.parkings = 0

    def now(self) -> datetime:
        return self._zero + timedelta(microseconds=round(self._elapsed * 1_000_000))

    def monotonic(self) -> float:
        return self._elapsed

    def wait(self, condition: threading.Condition, seconds: float) -> None:
        # To the microsecond, as `now` has it: a timer must not be due by one and asleep by the other.
        sleeper = Sleeper(condition, round(self._elapsed + max(seconds, 0.0), 6))
        with self._changed:
            self._sleepers.add(sleeper)
            self.parkings += 1
            self._changed.notify_all()
        # Nothing is lost in between: `condition` is held, and whoever wakes us must hold it too.
        condition.wait()
        with self._changed:
            self._sleepers.discard(sleeper)

    def adjust(self, ask: Callable[[], datetime | None]) -> None:
        """Only a test sets this one."""

    def step_wall(self, seconds: float) -> None:
        """Set the wall clock without any time passing, as an operator or NTP does."""
        self._zero += timedelta(seconds=seconds)

    def sleeps_until(self, condition: threading.Condition) -> float | None:
        """When, on the monotonic clock, the thread parked on `condition` wakes by itself; None if none is parked."""
        with self._changed:
            return min((one.wake_at for one in self._sleepers if one.condition is condition), default=None)

    def await_parking(self, *, after: int) -> None:
        """Wait until some thread parks (again)."""
        with self._changed:
            assert self._changed.wait_for(lambda: self.parkings > after, REAL_SECONDS), "no thread parked"

    def advance_to_next(self, limit: float) -> bool:
        """Move to the next time a parked thread wakes, or to `limit`; says whether it woke anyone."""
        with self._changed:
            target = min([limit, *(one.wake_at for one in self._sleepers)])
            self._elapsed = target = max(target, self._elapsed)
            woken = [one for one in self._sleepers if one.wake_at <= target]
            self._sleepers.difference_update(woken)
        for sleeper in woken:
            with sleeper.condition:
                sleeper.condition.notify_all()
        return bool(woken)


class Node:
    """A scheduler over a real store under a manual clock, with functions that a test registers as it goes."""

    def __init__(self, store: Store, clock: ManualClock | None = None, *, pool_size: int = 4, **options: Any) -> None:
        self.clock = clock or ManualClock()
        self.store: Any = store
        self.functions = FunctionRegistry()
        self.calls: list[tuple[str, datetime]] = []
        self.functions.register("note", self._note)
        # Nothing that a node does by itself comes between a test and what it is about, unless the test asks for it.
        rhythm = {name: options.pop(name, seconds) for name, seconds in QUIET.items()}
        self.scheduler = Scheduler(
            store=store,
            functions=self.functions,
            clock=self.clock,
            capacity=Capacity(threads=pool_size),
            rhythm=Rhythm(**rhythm),
            **options,
        )
        self._agenda = self.scheduler._agenda

    def start(self) -> "Node":
        self.scheduler.start()
        self.settle()
        return self

    def stop(self, *, grace_seconds: float = 0.0) -> None:
        self.scheduler.stop(grace_seconds=grace_seconds)

    def add(self, **overrides: Any) -> Job:
        """Create a job: every 10 s, calling `note`, unless said otherwise."""
        fields: dict[str, Any] = {
            "name": "a job",
            "function_name": "note",
            "timing": make_timing(overrides, interval_seconds=10.0),
            "metadata": {},
            "status": JobStatus.ACTIVE,
        }
        return self.scheduler.create_job(JobDraft(**(fields | overrides)))

    def advance(self, seconds: float, *, runs_end: bool = True) -> None:
        """Let that much time pass, stopping wherever a thread wakes; by default each run ends before time goes on."""
        limit = self.clock.monotonic() + seconds
        self.settle(runs_end=runs_end)
        while True:
            woke = self.clock.advance_to_next(limit)
            self.settle(runs_end=runs_end)
            if not woke and self.clock.monotonic() >= limit:
                return

    def step_wall(self, seconds: float) -> None:
        """Set the wall clock, and let the capped wait of the timer end, as it would a moment later."""
        self.clock.step_wall(seconds)
        with self._agenda.condition:
            self._agenda.condition.notify_all()

    def settle(self, *, runs_end: bool = True) -> None:
        """Wait until the timer has nothing to do now, and, by default, until every run is recorded."""
        while True:
            parkings = self.clock.parkings
            if self._is_settled(runs_end=runs_end):
                return
            self.clock.await_parking(after=parkings)

    def runs(self, job: Job | None = None) -> list[Run]:
        """The history, oldest first."""
        page: list[Run] = self.store.views.runs_page(job_id=job and job.id, state=None, before=None, limit=500)
        return page[::-1]

    def job(self, job: Job) -> Job:
        """The job as it is stored now."""
        stored: Job | None = self.store.job(job.id)
        assert stored is not None
        return stored

    def _note(self, job_id: str) -> None:
        self.calls.append((job_id, self.clock.now()))

    def _is_settled(self, *, runs_end: bool) -> bool:
        # The recorder first: what follows from outcomes it tells the timer after it has given back their permits.
        is_recorded = not runs_end or self._recorder_is_settled()
        return is_recorded and self._timer_is_settled(runs_end=runs_end) and self._deadlines_are_settled()

    def _recorder_is_settled(self) -> bool:
        recorder = self.scheduler._recorder
        with recorder._condition:
            if not recorder.is_alive:
                return True
            # Put there, perhaps, but it is not awake yet.
            is_late = bool(recorder._waiting) and not recorder.is_failing
            return not is_late and self.clock.sleeps_until(recorder._condition) is not None

    def _deadlines_are_settled(self) -> bool:
        """Whether the thread of time-outs sleeps no longer than to the next one: it may be notified, and not awake."""
        deadlines = self.scheduler._runner.deadlines
        with deadlines._condition:
            next_one = min(deadlines._deadlines.values(), default=None)
            if next_one is None or deadlines._is_stopping:
                return True
            wakes_at = self.clock.sleeps_until(deadlines._condition)
            return wakes_at is not None and wakes_at <= next_one + 1e-6

    def runs_to_come(self) -> int:
        """How many runs are claimed ahead, for whose instant somebody sleeps."""
        line, tickets = self.scheduler._runner.lanes.threads._line, self.scheduler._gate._tickets
        with line._condition:
            wakes_at, now = self.clock.sleeps_until(line._condition), self.clock.monotonic()
            if wakes_at is None or wakes_at <= now or line._line[0][0] <= now:
                return 0
            return sum(assignment.run.id in tickets for _, _, assignment in line._line)

    def _only_waits_for_instants(self) -> bool:
        agenda = self._agenda
        return sum(agenda.permits.values()) - sum(agenda._free.values()) == self.runs_to_come()

    def _timer_is_settled(self, *, runs_end: bool) -> bool:
        agenda = self._agenda
        with agenda.condition:
            wakes_at = self.clock.sleeps_until(agenda.condition)
            if wakes_at is None:
                return False
            if runs_end and not agenda.is_idle and not self._only_waits_for_instants():
                return False
            if agenda._is_held:
                looks_at = None if self.scheduler._timer.is_failing else agenda._held_until
            elif any(agenda._free[lane] > 0 and agenda._ready.has(lane) for lane in Lane):
                return False
            else:
                looks_at = agenda._heap.head_due_at()
            if looks_at is None:
                return True
            # Notified, perhaps, but not awake yet: it will find something earlier than what it sleeps for.
            due_in = (looks_at - self.clock.now()).total_seconds()
            rest = agenda._rhythm.rest_seconds
            return due_in > -rest and wakes_at <= self.clock.monotonic() + max(due_in, 0.0) + rest + 1e-6


class Fleet:
    """Several nodes under one clock. Nobody waits for those in `cut_off`, to which the database does not answer."""

    def __init__(self, *nodes: Node) -> None:
        self.nodes = nodes
        self.clock = nodes[0].clock
        self.cut_off: list[Node] = []
        self._started: list[Node] = []

    def start(self) -> None:
        for node in self.nodes:
            # All are of this process, so none is to be taken for gone.
            node.store.hold_node(node.scheduler.node)
            node.scheduler.start()
            self._started.append(node)
            self.settle()

    def stop(self) -> None:
        for node in self.nodes:
            node.stop()

    def advance(self, seconds: float, *, runs_end: bool = True) -> None:
        """Let that much time pass, stopping wherever a thread of any node wakes."""
        limit = self.clock.monotonic() + seconds
        self.settle(runs_end=runs_end)
        while True:
            woke = self.clock.advance_to_next(limit)
            self.settle(runs_end=runs_end)
            if not woke and self.clock.monotonic() >= limit:
                return

    def settle(self, *, runs_end: bool = True) -> None:
        """Wait until no node has anything to do now."""
        while True:
            parkings = self.clock.parkings
            waited_for = [node for node in self._started if node not in self.cut_off]
            if all(self._is_settled(node, runs_end=runs_end) for node in waited_for):
                return
            self.clock.await_parking(after=parkings)

    def _is_settled(self, node: Node, *, runs_end: bool) -> bool:
        scheduler = node.scheduler
        loops = (scheduler._heartbeat, scheduler._watcher)
        if scheduler._watcher._is_woken or any(loop.is_alive and not self._sleeps(loop._condition) for loop in loops):
            return False
        return not scheduler._timer.is_alive or node._is_settled(runs_end=runs_end)

    def _sleeps(self, condition: threading.Condition) -> bool:
        wakes_at = self.clock.sleeps_until(condition)
        return wakes_at is not None and wakes_at > self.clock.monotonic()


class Latch:
    """A job function that stays in its call until the test lets it go."""

    def __init__(self) -> None:
        self.entered = threading.Semaphore(0)
        self._released = threading.Semaphore(0)

    def __call__(self, job_id: str) -> None:
        self.entered.release()
        assert self._released.acquire(timeout=REAL_SECONDS)

    def await_entry(self) -> None:
        assert self.entered.acquire(timeout=REAL_SECONDS), "the function was not called"

    def release(self) -> None:
        self._released.release()


@contextmanager
def running(node: Node) -> Any:
    """The node, started, and stopped at the end whatever the test does."""
    node.start()
    try:
        yield node
    finally:
        node.stop()
