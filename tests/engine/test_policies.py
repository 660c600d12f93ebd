"""Each policy x overruns of 0.5, 1, 1.5 and 10 periods x a restart in between, on the manual clock.

What is expected is written out by hand where nothing restarts, and comes from a model of a page where something does.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest

from engine.nouns import RunState
from engine.policies import MisfirePolicy, OverlapPolicy, Policies
from store import SqlStore
from tests.engine.virtual_work import FIRST_LOOK_SECONDS, Mortal, Work, crash, go, rows, stop
from tests.fakes import Node

PERIOD = 10.0
# A hair longer, or the end of a run and the next slot would be one instant, and either might come first.
HAIR = 0.001
OVERRUNS = {"0.5": 5.0 + HAIR, "1": 10.0 + HAIR, "1.5": 15.0 + HAIR, "10": 100.0 + HAIR}
POLICIES = {
    "skip": Policies(overlap_policy=OverlapPolicy.SKIP),
    "skip, 2 instances": Policies(overlap_policy=OverlapPolicy.SKIP, max_instances=2),
    "queue_one": Policies(overlap_policy=OverlapPolicy.QUEUE_ONE),
    "queue_all": Policies(overlap_policy=OverlapPolicy.QUEUE_ALL),
    "queue_all, 2 instances": Policies(overlap_policy=OverlapPolicy.QUEUE_ALL, max_instances=2),
    "cancel_running": Policies(overlap_policy=OverlapPolicy.CANCEL_RUNNING),
    "allow": Policies(overlap_policy=OverlapPolicy.ALLOW),
}
MISFIRES = {policy.value: Policies(misfire_policy=policy) for policy in MisfirePolicy}


@dataclass
class Model:
    """One job of every ten seconds: what becomes of each slot, by the policies alone.

    `rows` are slots with their state, `starts` slots with the instant of their start.
    """

    policies: Policies
    seconds: float
    rows: dict[float, str] = field(default_factory=dict)
    starts: dict[float, float] = field(default_factory=dict)
    going: dict[float, float] = field(default_factory=dict)
    ends_as: dict[float, str] = field(default_factory=dict)
    queue: list[float] = field(default_factory=list)

    def live(self, since: float, until: float) -> None:
        """Slots come and runs end."""
        slot = (since // PERIOD + 1) * PERIOD
        while True:
            end = min(self.going.values(), default=until + 1)
            if min(slot, end) > until:
                return
            if end < slot:
                self._end(end)
            else:
                self._come(slot)
                slot += PERIOD

    def restart(self, stopped: float, started: float) -> None:
        """All that was going is lost, all that waited starts; slots in between are misfires."""
        for slot in self.going:
            self.rows[slot] = "lost"
        self.going.clear()
        due = [PERIOD * index for index in range(1, 100) if stopped < PERIOD * index <= started]
        match self.policies.misfire_policy:
            case MisfirePolicy.RUN_ONCE if due:
                self.rows |= dict.fromkeys(due[:-1], "missed")
                self._claim(due[-1], started)
            case MisfirePolicy.SKIP:
                self.rows |= dict.fromkeys(due, "missed")
            case MisfirePolicy.RUN_ALL:
                self.queue += due
                self.rows |= dict.fromkeys(due, "queued")
        self._start_waiting(started)

    @property
    def has_room(self) -> bool:
        return self.policies.overlap_policy is OverlapPolicy.ALLOW or len(self.going) < self.policies.max_instances

    def _come(self, slot: float) -> None:
        self._claim(slot, slot)

    def _claim(self, slot: float, now: float) -> None:
        if self.policies.overlap_policy is OverlapPolicy.ALLOW or (
            len(self.going) + len(self.queue) < self.policies.max_instances
        ):
            self._start(slot, now)
            return
        match self.policies.overlap_policy:
            case OverlapPolicy.QUEUE_ONE if self.queue:
                self.rows[slot] = "skipped"
            case OverlapPolicy.QUEUE_ONE | OverlapPolicy.QUEUE_ALL:
                self._wait(slot)
            case OverlapPolicy.CANCEL_RUNNING:
                for waiting in self.queue:
                    self.rows[waiting] = "skipped"
                self.queue.clear()
                for run, ends_at in self.going.items():
                    looks = (now - self.starts[run] - FIRST_LOOK_SECONDS) // 1 + 1
                    self.going[run] = min(ends_at, self.starts[run] + FIRST_LOOK_SECONDS + looks)
                    self.ends_as[run] = "cancelled"
                self._wait(slot)
            case _:
                self.rows[slot] = "skipped"

    def _wait(self, slot: float) -> None:
        self.queue.append(slot)
        self.rows[slot] = "queued"

    def _start(self, slot: float, now: float) -> None:
        self.rows[slot], self.starts[slot], self.going[slot] = "running", now, now + self.seconds

    def _start_waiting(self, now: float) -> None:
        while self.queue and self.has_room:
            self._start(self.queue.pop(0), now)

    def _end(self, end: float) -> None:
        for slot in [slot for slot, ends_at in self.going.items() if ends_at == end]:
            self.rows[slot] = self.ends_as.get(slot, "succeeded")
            del self.going[slot]
        self._start_waiting(end)


LETTERS = {"succeeded": "S", "running": "R", "queued": "Q", "skipped": "-", "cancelled": "C"}

# The first five slots at 55 s; of the overrun of 10 periods the first eleven at 115 s.
BY_HAND = {
    ("skip", "0.5"): "SSSSR",
    ("skip", "1"): "S-S-R",
    ("skip", "1.5"): "S-S-R",
    ("skip", "10"): "S----------",
    ("skip, 2 instances", "0.5"): "SSSSR",
    ("skip, 2 instances", "1"): "SSSSR",
    ("skip, 2 instances", "1.5"): "SSSRR",
    ("skip, 2 instances", "10"): "SR---------",
    ("queue_one", "0.5"): "SSSSR",
    ("queue_one", "1"): "SSSSR",
    ("queue_one", "1.5"): "SSR-Q",
    ("queue_one", "10"): "SR---------",
    ("queue_all", "0.5"): "SSSSR",
    ("queue_all", "1"): "SSSSR",
    ("queue_all", "1.5"): "SSRQQ",
    ("queue_all", "10"): "SRQQQQQQQQQ",
    ("queue_all, 2 instances", "0.5"): "SSSSR",
    ("queue_all, 2 instances", "1"): "SSSSR",
    ("queue_all, 2 instances", "1.5"): "SSSRR",
    ("queue_all, 2 instances", "10"): "SRRQQQQQQQQ",
    ("cancel_running", "0.5"): "SSSSR",
    ("cancel_running", "1"): "CCCCR",
    ("cancel_running", "1.5"): "CCCCR",
    ("cancel_running", "10"): "CCCCCCCCCCR",
    ("allow", "0.5"): "SSSSR",
    ("allow", "1"): "SSSSR",
    ("allow", "1.5"): "SSSRR",
    ("allow", "10"): "SRRRRRRRRRR",
}


def seen(node: Node) -> dict[float, str]:
    """Slots with their state; a missed stretch stands for each of its slots."""
    found: dict[float, str] = {}
    for slot, run in rows(node).items():
        found |= {slot + PERIOD * index: run.state.value for index in range(run.slot_count)}
    return found


Start = Callable[..., tuple[Node, Work]]


@pytest.fixture
def start(store: SqlStore) -> Iterator[Start]:
    """Starts a node whose function "work" takes so many seconds; its threads are let go at the end, come what may."""
    made: list[tuple[Node, Work]] = []

    def begin(seconds: float, policies: Policies, **options: Any) -> tuple[Node, Work]:
        node = Node(Mortal(store), **({"pool_size": 16} | options))
        work = Work(node.clock, seconds, cooperates=policies.overlap_policy is OverlapPolicy.CANCEL_RUNNING)
        node.functions.register("work", work)
        made.append((node, work))
        # Not settled as a node of short runs is: one that waited may start at once, and take its time.
        node.scheduler.start()
        return node, work

    yield begin
    for node, work in made:
        crash(node, work)


@pytest.mark.parametrize(("policy", "overrun"), BY_HAND)
def test_each_slot_comes_to_what_its_overlap_policy_says(start: Start, policy: str, overrun: str) -> None:
    policies, seconds = POLICIES[policy], OVERRUNS[overrun]
    until = 115.0 if overrun == "10" else 55.0
    node, work = start(seconds, policies)
    node.add(function_name="work", policies=policies)
    model = Model(policies, seconds)
    model.live(0.0, until)

    go(node, work, seconds=until)
    found, reasons = seen(node), {slot: run.reason or "" for slot, run in rows(node).items()}
    names = {slot: str(run.id) for slot, run in rows(node).items()}
    stop(node, work)

    by_hand = BY_HAND[policy, overrun]
    assert "".join(LETTERS[found[slot]] for slot in sorted(found)) == by_hand
    assert found == model.rows
    assert dict(work.started) == pytest.approx(model.starts)
    assert set(work.starts.values()) == {1}
    for slot, state in found.items():
        if state in ("skipped", "queued", "cancelled"):
            assert any(name in reasons[slot] for other, name in names.items() if other != slot), reasons[slot]


@pytest.mark.parametrize("overrun", OVERRUNS)
@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("restart", ["stop", "crash"])
def test_a_restart_loses_what_was_going_and_keeps_what_waits(
    start: Start, policy: str, overrun: str, restart: str
) -> None:
    policies, seconds = POLICIES[policy], OVERRUNS[overrun]
    until = 145.0 if overrun == "10" else 65.0
    first, first_work = start(seconds, policies)
    first.add(function_name="work", policies=policies)
    model = Model(policies, seconds)
    model.live(0.0, 33.0)
    model.restart(33.0, 33.0)
    model.live(33.0, until)

    go(first, first_work, seconds=33.0)
    (stop if restart == "stop" else crash)(first, first_work)
    second, second_work = start(seconds, policies, clock=first.clock)
    go(second, second_work, seconds=until - 33.0)
    found = seen(second)
    stop(second, second_work)

    assert found == model.rows
    assert dict(first_work.started + second_work.started) == pytest.approx(model.starts)
    assert set((first_work.starts + second_work.starts).values()) == {1}


@pytest.mark.parametrize("overrun", OVERRUNS)
@pytest.mark.parametrize("policy", MISFIRES)
@pytest.mark.parametrize("restart", ["stop", "crash"])
def test_slots_of_a_downtime_come_to_what_the_misfire_policy_says(
    start: Start, policy: str, overrun: str, restart: str
) -> None:
    policies, seconds = MISFIRES[policy], OVERRUNS[overrun]
    first, first_work = start(seconds, policies)
    first.add(function_name="work", policies=policies)
    model = Model(policies, seconds)
    model.live(0.0, 23.0)
    model.restart(23.0, 76.0)
    model.live(76.0, 145.0)

    go(first, first_work, seconds=23.0)
    (stop if restart == "stop" else crash)(first, first_work)
    first.clock.step_wall(53.0)
    second, second_work = start(seconds, policies, clock=first.clock)
    go(second, second_work, seconds=145.0 - 76.0)
    found = seen(second)
    stop(second, second_work)

    assert found == model.rows
    assert dict(first_work.started + second_work.started) == pytest.approx(model.starts)
    assert set((first_work.starts + second_work.starts).values()) == {1}


def test_a_missed_stretch_says_why_it_was_not_run(start: Start) -> None:
    policies = MISFIRES["skip"]
    first, work = start(1.0, policies)
    first.add(function_name="work", policies=policies)
    stop(first, work)
    first.clock.step_wall(76.0)
    second, work = start(1.0, policies, clock=first.clock)
    go(second, work, seconds=0.0)
    stop(second, work)

    (row,) = second.runs()
    assert (row.state, row.slot_count) == (RunState.MISSED, 7)
    assert row.reason == "late by more than the grace of 5 s or not running: such slots are skipped"
