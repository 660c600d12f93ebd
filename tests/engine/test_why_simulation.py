"""For every slot of an hour with all that can happen, `why` has an answer that agrees with what the test itself saw."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from uuid import UUID

import pytest
from structlog.testing import capture_logs

from engine.policies import MisfirePolicy, OverlapPolicy
from engine.why import Answer, Explanation
from store import SqlStore
from tests.databases import open_new_store
from tests.engine.simulated_hour import BEAT_SECONDS, BEGIN, HOUR, MIDNIGHT, Call, Plan, World, job_of, simulate

pytestmark = pytest.mark.once

TAKEN = {Answer.RAN, Answer.RUNNING, Answer.WAITING, Answer.CANCELLED}


@dataclass(frozen=True)
class Span:
    """A slot that was taken on, by the test's own log: when it was claimed, first called, and over."""

    slot: float
    run_id: UUID | None
    claimed: float
    begun: float
    over: float

    def is_there(self, now: float) -> bool:
        return self.claimed <= now < self.over


class Judge:
    """Says of each slot what must have become of it."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.answers = {
            plan.name: {slot: self.ask(plan, slot) for slot in plan.slots() if slot < min(plan.deleted_at, world.now)}
            for plan in world.plans.values()
        }
        self.spans = {plan.name: self._spans(plan) for plan in world.plans.values()}

    def ask(self, plan: Plan, seconds: float) -> Explanation:
        return self.world.node.scheduler.why.of_job(job_of(plan).id, at=self.world.instant(seconds))

    def calls(self, plan: Plan, slot: float) -> list[Call]:
        return sorted(
            (call for call in self.world.calls if call.plan is plan and call.slot == slot), key=lambda call: call.begun
        )

    def downtime(self, slot: float) -> tuple[float, float, bool] | None:
        return next((each for each in self.world.downtimes if each[0] < slot <= each[1]), None)

    def _spans(self, plan: Plan) -> dict[float, Span]:
        return {slot: span for slot in self.answers[plan.name] if (span := self._span(plan, slot)) is not None}

    def _span(self, plan: Plan, slot: float) -> Span | None:
        calls, answer = self.calls(plan, slot), self.answers[plan.name][slot]
        downtime = self.downtime(slot)
        claimed = slot if downtime is None else downtime[1]
        if answer.answer in (Answer.WAITING, Answer.RUNNING):
            begun = calls[0].begun if calls else math.inf
            return Span(slot, answer.run.id if answer.run else None, claimed, begun, math.inf)
        if not calls:
            return None
        over = max(math.inf if call.ended is None else call.ended for call in calls)
        return Span(slot, calls[0].run_id, claimed, calls[0].begun, over)

    def others(self, plan: Plan, slot: float) -> list[Span]:
        """The other slots of the job that are not over when this one comes."""
        return [each for each in self.spans[plan.name].values() if each.slot < slot and each.is_there(slot)]


def check(judge: Judge, plan: Plan, slot: float) -> None:
    """One slot."""
    answer = judge.answers[plan.name][slot]
    assert answer.answer is not Answer.UNKNOWN
    assert answer.answer not in (Answer.NOT_A_SLOT, Answer.BEFORE_CREATION, Answer.IN_THE_FUTURE, Answer.ENDED)
    if answer.answer is Answer.SCHEDULE_CHANGED:
        check_schedule_changed(judge, plan, slot, answer)
        return
    check_calls(judge, plan, slot, answer)
    pause = next((each for each in plan.pauses if each[0] < slot <= each[1]), None)
    pause_of_all = next((each for each in judge.world.all_paused if each[0] < slot <= each[1]), None)
    downtime = judge.downtime(slot)
    if pause is not None:
        check_paused(judge.world, answer, pause, Answer.PAUSED)
    elif pause_of_all is not None:
        check_paused(judge.world, answer, pause_of_all, Answer.PAUSED_ALL)
    elif downtime is not None:
        check_downtime(judge, plan, slot, answer, downtime)
    elif plan.calendar is not None and slot >= MIDNIGHT:
        assert answer.answer is Answer.SKIPPED_DAY_OFF
        assert answer.facts["calendar"] == plan.calendar
    else:
        check_policies(judge, plan, slot, answer)


def check_schedule_changed(judge: Judge, plan: Plan, slot: float, answer: Explanation) -> None:
    """Only of a slot before an edit, and only inside a row that stands for several: that row is named."""
    assert slot < plan.edited_at
    stretches = [each[:2] for each in (*judge.world.all_paused, *judge.world.downtimes)]
    assert any(begun < slot <= ended for begun, ended in stretches)
    assert answer.run is not None
    assert answer.run.last_scheduled_for is not None
    assert answer.run.scheduled_for < judge.world.instant(slot) < answer.run.last_scheduled_for


def check_calls(judge: Judge, plan: Plan, slot: float, answer: Explanation) -> None:
    """A slot that ran has calls, as many as attempts, the last of which ended as it says; and no other has any."""
    calls = judge.calls(plan, slot)
    if answer.answer not in TAKEN:
        assert calls == []
        return
    assert [call.attempt for call in calls] == list(range(1, len(calls) + 1))
    assert answer.run is not None
    assert {call.run_id for call in calls} <= {answer.run.id}
    if answer.answer is Answer.RAN:
        assert answer.facts["attempts"] == len(calls)
        assert answer.facts["started_at"] == judge.world.instant(calls[-1].begun)
        assert answer.facts["ended_as"] == end_of(plan, calls[-1])
    if answer.answer is Answer.RUNNING:
        assert calls[-1].ended is None


def end_of(plan: Plan, call: Call) -> str:
    """By what the function did, and how long that took."""
    limit = plan.policies.timeout_seconds
    ended = HOUR if call.ended is None else call.ended
    if limit is not None and ended - call.begun > limit:
        return "timed_out"
    if call.is_cut:
        return "lost"
    return "failed" if call.raised else "succeeded"


def check_paused(world: World, answer: Explanation, pause: tuple[float, float, str], expected: Answer) -> None:
    begun, ended, by = pause
    assert answer.answer is expected
    facts = answer.facts["pause"]
    assert isinstance(facts, dict)
    assert (facts["by"], facts["from"]) == (by, world.instant(begun))
    assert facts["to"] == (None if ended >= world.now else world.instant(ended))
    assert by in answer.sentence


def check_downtime(
    judge: Judge, plan: Plan, slot: float, answer: Explanation, downtime: tuple[float, float, bool]
) -> None:
    begun, ended, was_stopped = downtime
    if slot not in runs_late(plan, begun, ended):
        assert answer.answer is Answer.MISSED_DOWN
        facts = answer.facts["down"]
        assert isinstance(facts, dict)
        assert (facts["to"], facts["was_stopped"]) == (judge.world.instant(ended), was_stopped)
        last_seen: datetime = facts["from"]
        unseen = judge.world.instant(begun) - last_seen
        assert timedelta(0) <= unseen <= timedelta(seconds=0 if was_stopped else BEAT_SECONDS)
    elif plan.calendar is not None and slot >= MIDNIGHT:
        assert answer.answer is Answer.SKIPPED_DAY_OFF
    elif answer.answer in TAKEN:
        assert all(call.begun >= ended for call in judge.calls(plan, slot))
    else:
        # Something from before the downtime, or caught up with before it, was still to be done.
        assert answer.answer is Answer.SKIPPED_OVERLAP
        assert any(each.is_there(ended) for each in judge.spans[plan.name].values() if each.slot != slot)


def runs_late(plan: Plan, begun: float, ended: float) -> list[float]:
    """Which slots of a downtime are not lost, by the misfire policy: as its documentation says."""
    due = [slot for slot in plan.slots() if begun < slot <= ended]
    match plan.policies.misfire_policy:
        case MisfirePolicy.RUN_ONCE:
            return due[-1:]
        case MisfirePolicy.RUN_ALL:
            return due[-plan.policies.max_catch_up :]
        case MisfirePolicy.SKIP:
            return [slot for slot in due if slot >= ended - plan.policies.misfire_grace_seconds]


def check_policies(judge: Judge, plan: Plan, slot: float, answer: Explanation) -> None:
    """A slot that came while the scheduler was there and nothing was paused: its overlap policy decides."""
    others = judge.others(plan, slot)
    queued = [each for each in others if each.begun > slot]
    policy = plan.policies.overlap_policy
    if policy is OverlapPolicy.ALLOW or len(others) < plan.policies.max_instances:
        check_started(judge, plan, slot, answer)
    elif policy is OverlapPolicy.SKIP or (policy is OverlapPolicy.QUEUE_ONE and queued):
        assert answer.answer is Answer.SKIPPED_OVERLAP
        assert answer.facts["run_in_the_way"] in {each.run_id for each in others}
    elif policy is OverlapPolicy.CANCEL_RUNNING:
        for each in others:
            other = judge.answers[plan.name][each.slot]
            is_asked = other.run is not None and other.run.cancel_reason is not None
            assert other.answer in (Answer.CANCELLED, Answer.SKIPPED_OVERLAP) or is_asked
        check_waited(judge, plan, slot, answer, may_be_superseded=True)
    else:
        check_waited(judge, plan, slot, answer)


def check_started(judge: Judge, plan: Plan, slot: float, answer: Explanation) -> None:
    """On its instant; or, if another job has its key, afterwards."""
    key = plan.policies.concurrency_key
    holders = [
        call
        for call in judge.world.calls
        if key is not None
        and call.plan is not plan
        and call.plan.policies.concurrency_key == key
        and call.begun <= slot < (HOUR if call.ended is None else call.ended)
    ]
    if holders:
        check_waited(judge, plan, slot, answer)
        return
    assert answer.answer in TAKEN
    assert judge.calls(plan, slot)[0].begun == slot


def check_waited(
    judge: Judge, plan: Plan, slot: float, answer: Explanation, *, may_be_superseded: bool = False
) -> None:
    if may_be_superseded and answer.answer is Answer.SKIPPED_OVERLAP:
        assert judge.calls(plan, slot) == []
        return
    assert answer.answer in TAKEN
    calls = judge.calls(plan, slot)
    assert calls[0].begun > slot if calls else answer.answer is Answer.WAITING


def between_slots(plan: Plan, world: World) -> Iterator[float]:
    """Instants that are no slots, also inside of pauses and downtimes."""
    slots = set(plan.slots())
    for slot in sorted(slots):
        probe = round(slot + 1.25, 6)
        if slot < min(plan.deleted_at, world.now) - 5 and all(abs(probe - other) > 0.5 for other in slots):
            yield probe


def check_world(world: World) -> Judge:
    judge = Judge(world)
    for plan in world.plans.values():
        for slot in judge.answers[plan.name]:
            try:
                check(judge, plan, slot)
            except AssertionError as error:
                found = judge.answers[plan.name][slot]
                seen = [(call.begun, call.ended, call.attempt) for call in judge.calls(plan, slot)]
                raise AssertionError(
                    f"{plan.name!r}, slot {slot}, seed {world.seed}, at {world.now}: {found.answer}: {found.sentence} "
                    f"{dict(found.facts)}; calls {seen}; not over {judge.others(plan, slot)}; {error}"
                ) from error
    return judge


def check_between(judge: Judge) -> None:
    world = judge.world
    for plan in world.plans.values():
        for probe in [*between_slots(plan, world)][::7]:
            found = judge.ask(plan, probe)
            allowed = {Answer.NOT_A_SLOT}
            if probe <= plan.edited_at:
                allowed.add(Answer.SCHEDULE_CHANGED)
            if plan.deleted_at < HOUR:
                # Whether an instant inside a stretch was a slot of a job that is gone, nobody knows any more.
                allowed |= {Answer.MISSED_DOWN, Answer.PAUSED_ALL}
            assert found.answer in allowed, (plan.name, probe, found)
        assert judge.ask(plan, -10.0).answer in {Answer.BEFORE_CREATION, Answer.UNKNOWN}
        if plan.deleted_at == HOUR:
            assert judge.ask(plan, HOUR + 1_000.25).answer is Answer.IN_THE_FUTURE


def check_whole_seconds(judge: Judge) -> None:
    """A slot with a fraction is found by its second as well."""
    for plan in judge.world.plans.values():
        for slot, exact in judge.answers[plan.name].items():
            if slot != int(slot) and exact.answer is not Answer.SCHEDULE_CHANGED:
                found = judge.ask(plan, float(int(slot)))
                assert (found.answer, found.facts["slot"], found.run) == (exact.answer, exact.facts["slot"], exact.run)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SqlStore]:
    """On disk, but not waiting for the disk: nothing here pulls the plug."""
    opened = open_new_store(tmp_path)
    with opened._transactions.writing_database.connect() as connection:
        connection.connection.execute("PRAGMA synchronous=OFF")
    yield opened
    opened.close()


def explain_an_hour(store: SqlStore, seed: int) -> set[Answer]:
    """All answers that came up."""
    seen: set[Answer] = set()

    def look(world: World) -> None:
        judge = check_world(world)
        seen.update(each.answer for answers in judge.answers.values() for each in answers.values())
        if world.now >= HOUR:
            check_between(judge)
            check_whole_seconds(judge)

    with capture_logs():
        world = World(store, seed)
        try:
            simulate(world, look=look)
        finally:
            world.crash()
    return seen


def test_every_slot_of_an_hour_is_explained_as_it_was_seen(store: SqlStore) -> None:
    """Every policy, retries, time-outs, a day off, pauses, a stop, a crash, edits, a deletion: all on one clock."""
    seen = explain_an_hour(store, seed=1)
    assert seen >= {
        Answer.RAN, Answer.SKIPPED_OVERLAP, Answer.SKIPPED_DAY_OFF, Answer.CANCELLED, Answer.MISSED_DOWN,
        Answer.PAUSED, Answer.PAUSED_ALL, Answer.SCHEDULE_CHANGED, Answer.WAITING, Answer.RUNNING,
    }  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(2, 12))
def test_every_slot_of_many_hours_is_explained_as_it_was_seen(store: SqlStore, seed: int) -> None:
    assert Answer.UNKNOWN not in explain_an_hour(store, seed)


def test_the_hour_begins_before_its_day_off() -> None:
    assert (BEGIN + timedelta(seconds=MIDNIGHT)).hour == 0
