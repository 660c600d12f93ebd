"""Intervals: a grid of whole steps from the anchor, exact at any distance; and which schedules are refused."""

from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.cron import CronSchedule
from engine.errors import InvalidSchedule
from engine.schedule import IntervalSchedule, first_slot, parse_schedule
from tests.factories import NOON

THE_END = datetime.max.replace(tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)


def every(seconds: float, anchor_at: datetime = NOON) -> IntervalSchedule:
    return IntervalSchedule(anchor_at, seconds)


def test_the_first_slot_lies_one_interval_after_the_anchor() -> None:
    assert every(300).next_after(NOON) == NOON + timedelta(seconds=300)
    assert every(300).latest_until(NOON) is None
    assert every(300).latest_until(NOON + timedelta(seconds=299)) is None
    assert every(300).latest_until(NOON + timedelta(seconds=300)) == NOON + timedelta(seconds=300)


def test_the_next_slot_lies_strictly_after_the_instant() -> None:
    slot = NOON + timedelta(seconds=300)

    assert every(300).next_after(slot - MICROSECOND) == slot
    assert every(300).next_after(slot) == slot + timedelta(seconds=300)


@pytest.mark.parametrize("before", [timedelta(seconds=1), timedelta(days=400), timedelta(days=365 * 500)])
def test_no_slot_lies_at_or_before_the_anchor(before: timedelta) -> None:
    assert every(60).next_after(NOON - before) == NOON + timedelta(seconds=60)
    assert every(60).latest_until(NOON - before) is None


@pytest.mark.parametrize(
    ("seconds", "distance"),
    [
        (0.1, timedelta(seconds=100_000)),
        (0.3, timedelta(seconds=300_000)),
        (1, timedelta(seconds=1_000_000)),
        (7.7, timedelta(seconds=7_700_000)),
        (86_400, timedelta(days=1_000_000)),
        (0.000_001, timedelta(seconds=1)),
        (1 / 3, timedelta(seconds=333_333)),
    ],
)
def test_the_grid_is_exact_after_a_million_slots(seconds: float, distance: timedelta) -> None:
    schedule = every(seconds, datetime(1, 1, 1, tzinfo=UTC))
    slot = schedule.anchor_at + distance

    assert schedule.latest_until(slot) == slot
    assert schedule.next_after(slot - MICROSECOND) == slot
    first = schedule.next_after(schedule.anchor_at)
    assert first is not None
    assert schedule.count_between(first, slot) == (1_000_000, True)


def test_the_grid_of_a_tenth_of_a_second_does_not_drift_step_by_step() -> None:
    slot: datetime | None = NOON
    for _ in range(200_000):
        assert slot is not None
        slot = every(0.1).next_after(slot)

    assert slot == NOON + timedelta(seconds=20_000)


def test_centuries_are_one_step() -> None:
    schedule = every(7, datetime(1700, 1, 1, tzinfo=UTC))
    latest = schedule.latest_until(NOON)
    following = schedule.next_after(NOON)

    assert latest is not None
    assert following is not None
    assert latest <= NOON < following == latest + timedelta(seconds=7)
    first = schedule.anchor_at + timedelta(seconds=7)
    assert schedule.count_between(first, latest) == ((latest - schedule.anchor_at) // timedelta(seconds=7), True)


@pytest.mark.parametrize(
    ("seconds", "instant"),
    [
        (1, THE_END),
        (86_400, THE_END - timedelta(hours=1)),
        (1e12, NOON),
        (1e18, NOON),
        (1e300, NOON),
        (10**400, NOON),
    ],
)
def test_beyond_the_year_9999_there_is_no_slot(seconds: float, instant: datetime) -> None:
    assert every(seconds).next_after(instant) is None


def test_the_last_slot_of_all_is_found() -> None:
    assert every(1).latest_until(THE_END) == THE_END.replace(microsecond=0)
    assert every(1).next_after(THE_END - timedelta(seconds=1)) == THE_END.replace(microsecond=0)


microseconds = st.integers(1, 10**9) | st.integers(1, 50)
instants = st.integers(-(10**15), 10**15).map(lambda distance: NOON + timedelta(microseconds=distance))


@given(anchor_at=instants, step=microseconds, offsets=st.lists(st.floats(-3, 60), min_size=2, max_size=2))
def test_an_interval_agrees_with_its_slots_written_out(anchor_at: datetime, step: int, offsets: list[float]) -> None:
    schedule = every(step / 1_000_000, anchor_at)
    slots = [anchor_at + timedelta(microseconds=step * number) for number in range(1, 65)]

    for offset in offsets:
        instant = anchor_at + timedelta(microseconds=round(step * offset))
        assert schedule.next_after(instant) == min(slot for slot in slots if slot > instant)
        assert schedule.latest_until(instant) == max((slot for slot in slots if slot <= instant), default=None)


@given(anchor_at=instants, step=microseconds, indexes=st.tuples(st.integers(0, 40), st.integers(0, 40)))
def test_an_interval_counts_the_slots_between_two(anchor_at: datetime, step: int, indexes: tuple[int, int]) -> None:
    schedule = every(step / 1_000_000, anchor_at)
    first, last = (anchor_at + timedelta(microseconds=step * (index + 1)) for index in sorted(indexes))

    assert schedule.count_between(first, last) == (abs(indexes[0] - indexes[1]) + 1, True)


@given(seconds=st.floats(1e-9, 1e6), start=instants)
def test_slots_strictly_increase(seconds: float, start: datetime) -> None:
    schedule = every(seconds)
    slots = [start]
    for _ in range(20):
        following = schedule.next_after(slots[-1])
        assert following is not None
        slots.append(following)

    assert all(earlier < later for earlier, later in pairwise(slots))


def test_a_job_with_an_interval_gets_its_grid() -> None:
    assert parse_schedule(interval_seconds=0.5, cron_expression=None, anchor_at=NOON) == every(0.5)


def test_a_job_with_a_cron_expression_gets_that() -> None:
    schedule = parse_schedule(interval_seconds=None, cron_expression="0 * * * *", anchor_at=NOON)

    assert isinstance(schedule, CronSchedule)
    assert schedule.next_after(NOON) == NOON + timedelta(hours=1)


@pytest.mark.parametrize(
    ("interval_seconds", "cron_expression", "field", "complaint"),
    [
        (None, None, "interval_seconds", "exactly one of interval_seconds and cron_expression is wanted"),
        (1.0, "* * * * *", "interval_seconds", "exactly one of interval_seconds and cron_expression is wanted"),
        (0, None, "interval_seconds", "interval_seconds is 0: a finite number more than 0 is wanted"),
        (-5, None, "interval_seconds", "interval_seconds is -5: a finite number more than 0 is wanted"),
        (float("nan"), None, "interval_seconds", "interval_seconds is nan: a finite number more than 0 is wanted"),
        (float("inf"), None, "interval_seconds", "interval_seconds is inf: a finite number more than 0 is wanted"),
        (None, "61 * * * *", "cron_expression", 'cron_expression has "61" in its minute field'),
        (None, "", "cron_expression", "has 0 fields"),
    ],
)
def test_a_schedule_that_cannot_be_read_is_refused_by_its_field(
    interval_seconds: float | None, cron_expression: str | None, field: str, complaint: str
) -> None:
    with pytest.raises(InvalidSchedule) as refusal:
        parse_schedule(interval_seconds=interval_seconds, cron_expression=cron_expression, anchor_at=NOON)

    assert refusal.value.field == field
    assert complaint in str(refusal.value)


def test_a_schedule_that_never_fires_again_is_refused() -> None:
    with pytest.raises(
        InvalidSchedule, match=r"^interval_seconds names no instant after 2026-11-23T12:00:00Z: it would never run$"
    ) as refusal:
        first_slot(every(1e15), field="interval_seconds", after=NOON)

    assert refusal.value.field == "interval_seconds"
