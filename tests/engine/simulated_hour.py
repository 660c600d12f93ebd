"""An hour of a scheduler with all that can happen to it, on the manual clock; and what the test itself saw of it.

Nothing here asks the engine when a job is due: the slots come from arithmetic on seconds and minutes, and what ran when
from the functions themselves.
"""

import random
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import UUID

from engine.nouns import Finished, Job
from engine.policies import MisfirePolicy, OverlapPolicy, Policies
from engine.requests import CalendarDraft, JobChange
from engine.timing import Timing
from registry import RunContext
from store import SqlStore
from tests.factories import make_timing
from tests.fakes import ManualClock, Node

BEGIN = datetime(2026, 1, 1, 23, 30, tzinfo=UTC)
"""Half an hour before a day off."""

MIDNIGHT = 1_800.0
HOUR = 3_600.0
BEAT_SECONDS = 10.0
Stretch = tuple[float, float]


@dataclass
class Plan:
    """A job as the test knows it: its slots in seconds from the beginning, and how its calls go."""

    name: str
    policies: Policies
    durations: tuple[float, ...]
    interval: float | None = None
    minutes: Callable[[int], bool] | None = None
    cron: str | None = None
    failure_rate: float = 0.0
    heeds_cancellation: bool = False
    calendar: str | None = None
    edits: list[tuple[float, float]] = field(default_factory=list)
    """When its interval was changed, and to what."""
    deleted_at: float = HOUR
    pauses: list[tuple[float, float, str]] = field(default_factory=list)
    job: Job | None = None

    def slots(self) -> Iterator[float]:
        """By arithmetic alone."""
        if self.minutes is not None:
            yield from (60.0 * number for number in range(1, 61) if self.minutes((30 + number) % 60))
            return
        begin, interval = 0.0, self.interval or 0.0
        for until, following in [*self.edits, (HOUR, 0.0)]:
            count = 1
            while (slot := round(begin + count * interval, 6)) <= until:
                yield slot
                count += 1
            begin, interval = until, following

    @property
    def edited_at(self) -> float:
        """When its schedule became what it is at the end."""
        return self.edits[-1][0] if self.edits else 0.0


@dataclass(eq=False)
class Call:
    """One call of a function, as it was seen from inside."""

    plan: Plan
    run_id: UUID
    slot: float
    attempt: int
    begun: float
    ended: float | None = None
    raised: bool = False
    is_cut: bool = False
    node: int = 0
    condition: threading.Condition = field(default_factory=threading.Condition)


class Mortal:
    """The store of one process: once that is killed, nothing of what it still does reaches the database."""

    def __init__(self, store: SqlStore) -> None:
        self._store = store
        self.views = store.views
        self.is_dead = False

    def __getattr__(self, name: str) -> Any:
        verb = getattr(self._store, name)

        def call(*args: Any, **options: Any) -> Any:
            if not self.is_dead:
                return verb(*args, **options)
            return Finished() if name == "finish" else []

        return call


class World:
    """The hour. `at` runs it up to an instant; the verbs that change something also write it down."""

    def __init__(self, store: SqlStore, seed: int) -> None:
        self.store = store
        self.seed = seed
        self.clock = ManualClock(BEGIN)
        self.calls: list[Call] = []
        self.plans: dict[str, Plan] = {}
        self.downtimes: list[tuple[float, float, bool]] = []
        self.all_paused: list[tuple[float, float, str]] = []
        self.number = 0
        self.node = self._new_node()

    @property
    def now(self) -> float:
        """Seconds from the beginning."""
        return round((self.clock.now() - BEGIN).total_seconds(), 6)

    def instant(self, seconds: float) -> datetime:
        """The instant so many seconds from the beginning."""
        return BEGIN + timedelta(microseconds=round(seconds * 1_000_000))

    def create(self, plan: Plan) -> None:
        given: dict[str, Any] = {"interval_seconds": plan.interval}
        if plan.cron is not None:
            given = {"cron_expression": plan.cron}
        if plan.calendar is not None:
            given["exclude_calendars"] = (plan.calendar,)
        timing: Timing = make_timing(given)
        plan.job = self.node.add(name=plan.name, function_name="linger", timing=timing, policies=plan.policies)
        self.plans[str(plan.job.id)] = plan

    def at(self, seconds: float) -> "World":
        """Let time pass until then."""
        while self.clock.monotonic() < seconds:
            self._await_quiet()
            self.clock.advance_to_next(seconds)
        self._await_quiet()
        return self

    def at_rest(self, seconds: float) -> None:
        """Let time pass with nobody there."""
        while self.clock.monotonic() < seconds:
            self.clock.advance_to_next(seconds)

    def add_calendar(self, name: str, day: date) -> None:
        self.node.scheduler.calendars.create(CalendarDraft(name, frozenset({day}), frozenset()))

    def pause(self, plan: Plan, *, by: str, until: float | None = None) -> None:
        ends = None if until is None else self.instant(until)
        self.node.scheduler.pausing.pause(job_of(plan).id, by=by, until=ends, note=f"{by}'s note")
        plan.pauses.append((self.now, HOUR if until is None else until, by))

    def resume(self, plan: Plan) -> None:
        self.node.scheduler.pausing.resume(job_of(plan).id)
        begun, _, by = plan.pauses.pop()
        plan.pauses.append((begun, self.now, by))

    def edit(self, plan: Plan, interval: float) -> None:
        self.node.scheduler.change_job(job_of(plan).id, JobChange(timing={"interval_seconds": interval}))
        plan.edits.append((self.now, interval))

    def delete(self, plan: Plan) -> None:
        self.node.scheduler.delete_job(job_of(plan).id)
        plan.deleted_at = self.now

    def pause_all(self, *, by: str) -> None:
        self.node.scheduler.pausing.pause_all(until=None, by=by, note=None)
        self.all_paused.append((self.now, HOUR, by))

    def resume_all(self) -> None:
        self.node.scheduler.pausing.resume_all()
        begun, _, by = self.all_paused.pop()
        self.all_paused.append((begun, self.now, by))

    def stop(self) -> None:
        """As by SIGTERM, with no grace for what is going."""
        self.node.stop()
        self._cut()
        self.downtimes.append((self.now, HOUR, True))

    def crash(self) -> None:
        """As by SIGKILL."""
        self.node.store.is_dead = True
        self._cut()
        self.node.stop()
        self.downtimes.append((self.now, HOUR, False))

    def start_again(self) -> None:
        begun, _, was_stopped = self.downtimes.pop()
        self.downtimes.append((begun, self.now, was_stopped))
        self.node = self._new_node()

    def _new_node(self) -> Node:
        self.number += 1
        node = Node(Mortal(self.store), self.clock, pool_size=64, heartbeat_seconds=BEAT_SECONDS)
        node.functions.register("linger", self._linger)
        node.scheduler.start()
        return node

    def _cut(self) -> None:
        """The calls that were going end with their process."""
        for call in self.calls:
            if call.ended is None:
                with call.condition:
                    call.is_cut, call.ended = True, self.now
                    call.condition.notify_all()

    def _linger(self, job_id: str, run: RunContext) -> None:
        plan = self.plans[job_id]
        slot = round((run.scheduled_for - BEGIN).total_seconds(), 6)
        dice = random.Random(f"{self.seed}/{plan.name}/{slot}/{run.attempt}")
        call = Call(plan, UUID(run.id), slot, run.attempt, self.now, node=self.number)
        # No call ends on the very instant of a slot: whether it was still going then would be anybody's guess. And all
        # instants here are multiples of a 64th of a second, which floats hold exactly.
        until = self.clock.monotonic() + dice.choice(plan.durations) + dice.randint(1, 5) / 64
        call.raised = dice.random() < plan.failure_rate
        with call.condition:
            self.calls.append(call)
            while not call.is_cut and (left := until - self.clock.monotonic()) > 0:
                if plan.heeds_cancellation and run.cancelled.is_set():
                    break
                self.clock.wait(call.condition, min(left, 1.0) if plan.heeds_cancellation else left)
            if call.is_cut:
                return
            call.ended = self.now
        if call.raised:
            raise ValueError("as the dice said")

    def _await_quiet(self) -> None:
        """Until every thread of the node has nothing to do before time goes on."""
        while True:
            parkings = self.clock.parkings
            busy = self._who_is_busy()
            if busy is None and self.clock.parkings == parkings:
                return
            try:
                self.clock.await_parking(after=parkings)
            except AssertionError as error:
                raise AssertionError(f"{busy} is busy and does not come to rest, at {self.now}") from error

    def _who_is_busy(self) -> str | None:
        """The first part of the node that is not asleep, or has something to do before it wakes by itself."""
        scheduler, clock = self.node.scheduler, self.clock
        recorder, deadlines = scheduler._recorder, scheduler._runner.deadlines
        if len(recorder) or clock.sleeps_until(recorder._condition) is None:
            return "the recorder"
        if not all(self._is_in_call(run_id) for run_id in list(scheduler._gate._tickets)):
            return "a run before or after its call"
        wakes_at = clock.sleeps_until(deadlines._condition)
        with deadlines._condition:
            if wakes_at is None or wakes_at > min(deadlines._deadlines.values(), default=wakes_at):
                return "the thread of time-outs"
        if (clock.sleeps_until(scheduler._heartbeat._condition) or 0.0) <= clock.monotonic():
            return "the heartbeat"
        # Those of runs that are stuck, and have no ticket any more.
        if not all(self._is_parked(call) for call in list(self.calls) if call.ended is None):
            return "a call"
        if not self.node._is_settled(runs_end=False):
            return "the timer"
        return "the recorder" if len(recorder) else None

    def _is_in_call(self, run_id: UUID) -> bool:
        return any(call.run_id == run_id and self._is_parked(call) for call in list(self.calls) if call.ended is None)

    def _is_parked(self, call: Call) -> bool:
        return self.clock.sleeps_until(call.condition) is not None


def job_of(plan: Plan) -> Job:
    assert plan.job is not None
    return plan.job


def plans_of_all_kinds(seed: int) -> dict[str, Plan]:
    """Some twenty jobs: every policy, short and long intervals, cron, retries, time-outs, a day off, a common key."""
    dice = random.Random(seed)
    short, middle, long = (0.5, 2.5, 4.5), (0.5, 8.5, 19.5, 33.5), (0.0, 25.5, 70.5, 140.5)
    skip, queue_one, queue_all, cancel, allow = OverlapPolicy
    run_once, skip_late, run_all = MisfirePolicy
    retries = Policies(max_retries=2, retry_delay_seconds=5.0, retry_jitter=0.0)
    limited = Policies(timeout_seconds=10.0)
    limited_retries = Policies(timeout_seconds=10.0, max_retries=1, retry_delay_seconds=3.0, retry_jitter=0.0)
    door = Policies(concurrency_key="door")
    queueing = Policies(overlap_policy=queue_all, misfire_policy=skip_late)
    at_minutes = {5, 12, 13, 14, 15, 50}
    plans = [
        Plan("seven seconds", Policies(), (0.5, 2.5, 9.5), 7),
        Plan("allows", Policies(overlap_policy=allow, misfire_policy=skip_late), middle, dice.choice((20, 25))),
        Plan("skips", Policies(overlap_policy=skip, misfire_policy=run_once), middle, dice.choice((15, 18, 22))),
        Plan("skips the missed", Policies(misfire_policy=skip_late), middle, 30),
        Plan("catches up", Policies(misfire_policy=run_all, max_catch_up=5), short, dice.choice((24, 27))),
        Plan("catches all up", Policies(misfire_policy=run_all), middle, 75),
        Plan("queues one", Policies(overlap_policy=queue_one), middle, dice.choice((17, 19))),
        Plan("queues all", queueing, (0.5, 8.5, 33.5), 23),
        Plan("cancels", Policies(overlap_policy=cancel), (0.5, 40.5, 90.5), 36, heeds_cancellation=True),
        Plan("two at once", Policies(max_instances=2), long, 40),
        Plan("retries", retries, middle, 61, failure_rate=0.5),
        Plan("fails", Policies(), short, 90, failure_rate=0.7),
        Plan("times out", limited, (0.5, 8.5, 20.5, 61.5), 45),
        Plan("times out and retries", limited_retries, (0.5, 20.5), 100),
        Plan("key, first", door, (4.5, 9.5), 11),
        Plan("key, second", door, (2.5, 14.5), 39),
        Plan("even minutes", Policies(), long, cron="*/2 * * * *", minutes=lambda minute: minute % 2 == 0),
        Plan("some minutes", queueing, short, cron="5,12-15,50 * * * *", minutes=at_minutes.__contains__),
        Plan("not on holidays", Policies(), short, cron="*/5 * * * *", minutes=lambda minute: minute % 5 == 0),
        Plan("paused until", Policies(), short, 33),
        Plan("paused and resumed", Policies(), short, 50),
        Plan("paused to the end", Policies(), short, cron="* * * * *", minutes=lambda minute: True),
        Plan("edited", Policies(), short, 30),
        Plan("edited late", Policies(), short, 28),
        Plan("deleted", Policies(), middle, 26),
        Plan("ten minutes", Policies(), long, 600),
    ]
    plans[18].calendar = "holidays"
    return {plan.name: plan for plan in plans}


def simulate(world: World, *, look: Callable[[World], None]) -> None:
    """The hour; `look` is called at moments at which a pause is in force, and at the end."""
    plans = plans_of_all_kinds(world.seed)
    world.add_calendar("holidays", date(2026, 1, 2))
    for plan in plans.values():
        world.create(plan)
    world.at(400.25).pause(plans["paused until"], by="Ada", until=1_000.75)
    world.at(700.25).edit(plans["edited"], 45.0)
    world.at(900.25).pause(plans["paused and resumed"], by="Bob")
    look(world)
    world.at(1_100.25).stop()
    world.at_rest(1_340.25)
    world.start_again()
    world.at(1_500.25).resume(plans["paused and resumed"])
    world.at(1_600.25).pause_all(by="Eve")
    look(world.at(1_750.125))
    world.at(1_780.25).resume_all()
    world.at(2_003.25).crash()
    world.at_rest(2_260.25)
    world.start_again()
    world.at(2_400.25).edit(plans["edited late"], 35.0)
    world.at(2_600.25).delete(plans["deleted"])
    world.at(2_700.25).pause(plans["paused to the end"], by="Cy")
    look(world.at(HOUR))
