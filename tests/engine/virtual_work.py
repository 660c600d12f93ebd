"""Job functions that take virtual time, and driving a node while they are in their calls, without a race."""

import threading
from collections import Counter
from datetime import datetime
from typing import Any

from engine.errors import StoreUnavailable
from engine.nouns import Run
from registry import RunContext
from store import SqlStore
from tests.fakes import NOON, REAL_SECONDS, ManualClock, Node

FIRST_LOOK_SECONDS = 0.37
"""When a call looks for the first time whether it is to end, and then each second: never at the instant of a slot."""


class Work:
    """A job function that takes so many seconds, and, if it cooperates, less when its run is to end."""

    def __init__(self, clock: ManualClock, seconds: float, *, cooperates: bool = False) -> None:
        self.seconds = seconds
        self.started: list[tuple[float, float]] = []
        """Of each call its slot and its start, in seconds after noon."""
        self.condition = threading.Condition()
        self._clock = clock
        self._cooperates = cooperates
        self._is_given_up = False

    def __call__(self, job_id: str, run: RunContext) -> None:
        begin = self._clock.monotonic()
        with self.condition:
            self.started.append((after_noon(run.scheduled_for), after_noon(self._clock.now())))
            # To the microsecond, as the clock has it: what lies a hair behind the last one is never reached by waiting.
            looks_at, ends_at = (round(begin + seconds, 6) for seconds in (FIRST_LOOK_SECONDS, self.seconds))
            while self._clock.monotonic() < ends_at and not self._is_given_up:
                if self._cooperates and run.cancelled.is_set():
                    return
                wakes_at = min(looks_at, ends_at) if self._cooperates else ends_at
                self._clock.wait(self.condition, wakes_at - self._clock.monotonic())
                looks_at = round(looks_at + (self._clock.monotonic() >= looks_at), 6)

    @property
    def starts(self) -> Counter[float]:
        """How often each slot was started."""
        return Counter(slot for slot, _ in self.started)

    def give_up(self) -> None:
        """Let every call return at once: the test, or the process that they stand for, is over."""
        with self.condition:
            self._is_given_up = True
            self.condition.notify_all()


class Mortal:
    """A store that a process has until it dies: nothing that its threads write later reaches the database."""

    def __init__(self, store: SqlStore) -> None:
        self._store = store
        self.is_dead = False

    def __getattr__(self, name: str) -> Any:
        if self.is_dead:
            raise StoreUnavailable("its process is dead")
        return getattr(self._store, name)


def after_noon(instant: datetime) -> float:
    """The instant in seconds after noon."""
    return round((instant - NOON).total_seconds(), 3)


def go(node: Node, *works: Work, seconds: float) -> None:
    """Let so much time pass, and whatever it wakes come to rest before it goes on."""
    limit = node.clock.monotonic() + seconds
    rest(node, *works)
    while node.clock.monotonic() < limit:
        node.clock.advance_to_next(limit)
        rest(node, *works)


def rest(node: Node, *works: Work) -> None:
    """Wait until every thread of the node waits for time to pass."""
    for _ in range(round(REAL_SECONDS / 0.001)):
        if _is_at_rest(node, works):
            return
        with node.clock._changed:
            node.clock._changed.wait(0.001)
    raise AssertionError([(run.scheduled_for, run.state.value, run.reason) for run in node.runs()])


def crash(node: Node, *works: Work) -> None:
    """The process ends without a word: its threads are let go, and nothing they say is heard any more."""
    node.store.is_dead = True
    scheduler = node.scheduler
    scheduler._agenda.stop()
    scheduler._timer.join(REAL_SECONDS)
    scheduler._recorder.stop(0.0)
    _let_go(node, works)


def stop(node: Node, *works: Work) -> None:
    """A stop whose grace is over at once."""
    node.stop()
    _let_go(node, works)


def _let_go(node: Node, works: tuple[Work, ...]) -> None:
    for work in works:
        work.give_up()
    node.scheduler._runner.shut_down()
    node.scheduler._runner.lanes.threads._line._pool.shutdown(wait=True)


def rows(node: Node) -> dict[float, Run]:
    """The rows of slots, by the slot."""
    return {after_noon(run.scheduled_for): run for run in node.runs()}


def _is_at_rest(node: Node, works: tuple[Work, ...]) -> bool:
    scheduler, clock = node.scheduler, node.clock
    recorder, gate = scheduler._recorder, scheduler._gate
    if not node._is_settled(runs_end=False) or len(recorder):
        return False
    conditions = [recorder._condition, scheduler._runner.deadlines._condition]
    with clock._changed:
        sleepers = list(clock._sleepers)
    parked = {id(one.condition) for one in sleepers}
    if not parked.issuperset(id(condition) for condition in conditions):
        return False
    # Notified of a deadline, perhaps, and not awake yet: then it sleeps for something later.
    deadlines = scheduler._runner.deadlines
    next_deadline = min(list(deadlines._deadlines.values()), default=float("inf"))
    if min(one.wake_at for one in sleepers if one.condition is deadlines._condition) > next_deadline + 1e-6:
        return False
    of_work = {id(work.condition) for work in works}
    in_call = sum(id(one.condition) in of_work for one in sleepers)
    return in_call == len(gate) + len(scheduler._runner._stuck) - node.runs_to_come()
