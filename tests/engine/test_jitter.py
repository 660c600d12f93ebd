"""Jitter: slots spread by chance, the same chance at each look."""

from collections import Counter
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from uuid import UUID, uuid4

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.cron import cron_schedule
from engine.jitter import Jitter
from engine.limits import MAX_JITTER_SECONDS
from engine.schedule import DateSchedule, IntervalSchedule, Schedule, Window
from tests.engine.listings import MICROSECOND, THE_END, assert_lists, listed
from tests.factories import NOON

JOB = UUID("5f0c4a52-8a3b-4b8e-9d0e-0d6c3f1c2a11")
MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)

SCHEDULES: dict[str, Schedule] = {
    "interval": IntervalSchedule(NOON - HOUR, 60),
    "tenths of a second": IntervalSchedule(NOON + 55 * MINUTE, 0.1),
    "cron": cron_schedule("*/7 * * * *", timezone="America/New_York"),
    "cron in bursts": cron_schedule("0,1,2,40 12 * * *"),
    "cron with seconds": cron_schedule("*/20 * 12 * * *"),
    "date": DateSchedule(NOON + 30 * MINUTE),
    "window": Window(IntervalSchedule(NOON, 60), NOON + 10 * MINUTE, NOON + 50 * MINUTE),
}


def spread(schedule: Schedule, seconds: float, *, job_id: UUID = JOB, end_at: datetime | None = None) -> Jitter:
    return Jitter(schedule, seconds, job_id, end_at)


@pytest.mark.parametrize("kind", SCHEDULES)
@pytest.mark.parametrize("seconds", [0.000_001, 0.05, 30, 60, 600, MAX_JITTER_SECONDS])
def test_each_slot_is_moved_to_later_by_less_than_the_jitter_and_never_as_far_as_the_next(
    kind: str, seconds: float
) -> None:
    unmoved = listed(SCHEDULES[kind], NOON, NOON + HOUR)

    moved = listed(spread(SCHEDULES[kind], seconds), NOON, THE_END, at_most=len(unmoved) + 2)
    # Of the slot before, which may have been moved to after noon.
    moved = [slot for slot in moved if slot >= unmoved[0]][: len(unmoved)]

    assert len(moved) == len(unmoved)
    for slot, to in zip(unmoved, moved, strict=True):
        assert timedelta(0) <= to - slot < timedelta(seconds=seconds)
    for slot, following in zip(moved, unmoved[1:], strict=False):
        assert slot < following


@settings(max_examples=30)
@given(
    kind=st.sampled_from(list(SCHEDULES)),
    seconds=st.floats(0.000_001, MAX_JITTER_SECONDS),
    job_id=st.uuids(),
    ends=st.booleans(),
)
def test_slots_forwards_backwards_and_counted_are_the_same_whatever_the_jitter(
    kind: str, seconds: float, job_id: UUID, ends: bool
) -> None:
    end_at = NOON + 58 * MINUTE if ends else None
    schedule = SCHEDULES[kind] if end_at is None else Window(SCHEDULES[kind], None, end_at)
    jitter = spread(schedule, seconds, job_id=job_id, end_at=end_at)
    first, last = NOON + 56 * MINUTE, NOON + 57 * MINUTE
    if kind != "tenths of a second":
        first, last = NOON, NOON + HOUR
    slots = listed(jitter, first, last)

    # Long lists are looked at in part: each probe asks the schedule again.
    assert_lists(jitter, slots[:60], first=first, last=slots[60] - MICROSECOND if len(slots) > 60 else last)


def test_a_slot_is_moved_by_the_same_chance_at_each_look() -> None:
    slots = listed(spread(SCHEDULES["interval"], 60), NOON, NOON + HOUR)

    assert listed(spread(IntervalSchedule(NOON - HOUR, 60), 60), NOON, NOON + HOUR) == slots
    assert listed(spread(SCHEDULES["interval"], 60), NOON + 30 * MINUTE, NOON + HOUR) == [
        slot for slot in slots if slot >= NOON + 30 * MINUTE
    ]


def test_the_chance_is_the_same_in_every_process_for_ever() -> None:
    # What would change here is history: a slot that was claimed before an update could come due again after it.
    moved = spread(cron_schedule("0 9 * * *"), 3_600).next_after(datetime(2026, 11, 24, tzinfo=UTC))

    assert moved is not None
    assert moved.replace(microsecond=0) == datetime(2026, 11, 24, 9, 0, tzinfo=UTC) + timedelta(seconds=75)


def test_other_jobs_and_other_slots_are_moved_by_other_chances() -> None:
    daily = cron_schedule("0 9 * * *")
    of_jobs = {spread(daily, 3_600, job_id=uuid4()).next_after(NOON) for _ in range(50)}
    days = listed(spread(daily, 3_600), NOON, NOON + timedelta(days=50))

    assert len(of_jobs) == 50
    assert len({slot.time() for slot in days}) == len(days) == 50


def test_the_chances_fill_the_width_evenly() -> None:
    starts = [
        spread(DateSchedule(NOON), 1_000, job_id=UUID(int=number)).next_after(NOON - HOUR) for number in range(2_000)
    ]
    tenths = Counter((start - NOON) // timedelta(seconds=100) for start in starts if start is not None)

    assert sorted(tenths) == list(range(10))
    assert all(150 <= count <= 250 for count in tenths.values())


@pytest.mark.parametrize("seconds", [10, 3_600, MAX_JITTER_SECONDS])
def test_a_slot_is_not_moved_past_the_end_of_its_window(seconds: float) -> None:
    end_at = NOON + HOUR
    for job_id in (uuid4() for _ in range(50)):
        schedule = Window(cron_schedule("*/15 * * * *"), None, end_at)
        slots = listed(spread(schedule, seconds, job_id=job_id, end_at=end_at), NOON)

        assert 4 <= len([slot for slot in slots if slot > NOON]) <= 5
        assert slots[-1] == end_at, "there is no room behind a slot at the very end"


@pytest.mark.parametrize("seconds", [0.1, 86_400.0])
@pytest.mark.parametrize(
    "schedule",
    [
        DateSchedule(THE_END),
        DateSchedule(THE_END - timedelta(seconds=1)),
        IntervalSchedule(THE_END - HOUR, 1_800),
        cron_schedule("58 59 23 31 12 *"),
    ],
    ids=["the last microsecond", "the last second", "interval", "cron"],
)
def test_at_the_end_of_time_a_slot_has_no_room(schedule: Schedule, seconds: float) -> None:
    for number in range(20):
        jitter = spread(schedule, seconds, job_id=UUID(int=number))
        slots = listed(jitter, THE_END - HOUR)

        assert slots
        assert slots == sorted(set(slots))
        assert jitter.next_after(THE_END) is None


def test_jitter_of_almost_nothing_moves_nothing() -> None:
    jitter = spread(SCHEDULES["interval"], 0.000_000_1)

    assert listed(jitter, NOON, NOON + HOUR) == listed(SCHEDULES["interval"], NOON, NOON + HOUR)


def test_slots_stay_in_order_where_the_clocks_change() -> None:
    quarterly = cron_schedule("*/15 * * * *", timezone="Europe/Berlin")
    for day in (datetime(2027, 3, 27, 22, tzinfo=UTC), datetime(2027, 10, 30, 22, tzinfo=UTC)):
        jitter = spread(quarterly, 3_600)
        slots = listed(jitter, day, day + timedelta(hours=8))

        assert all(earlier < later for earlier, later in pairwise(slots))
        assert_lists(jitter, slots, first=day, last=day + timedelta(hours=8))
