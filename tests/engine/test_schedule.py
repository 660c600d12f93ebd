"""Intervals, dates and windows: a grid of whole steps, exact at any distance, one slot, and the slots in between."""

from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.cron import cron_schedule
from engine.errors import InvalidSchedule
from engine.schedule import DateSchedule, IntervalSchedule, Schedule, Window, interval_schedule, slots_between
from tests.engine.listings import MICROSECOND, THE_END, assert_lists, listed
from tests.factories import NOON

MINUTE = timedelta(minutes=1)


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
        (7.3, timedelta(seconds=7_300_000)),
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


def test_the_grid_of_a_tenth_of_a_second_does_not_drift_in_a_million_steps() -> None:
    schedule = every(0.1)
    slot: datetime | None = NOON
    for _ in range(1_000_000):
        assert slot is not None
        slot = schedule.next_after(slot)

    assert slot == NOON + timedelta(seconds=100_000)


@given(index=st.integers(0, 1_000_000))
def test_every_slot_of_a_million_lies_on_the_grid_of_7_3_seconds(index: int) -> None:
    schedule, step = every(7.3), timedelta(microseconds=7_300_000)
    slot = NOON + (index + 1) * step

    assert schedule.next_after(NOON + index * step) == schedule.next_after(slot - MICROSECOND) == slot
    assert schedule.latest_until(slot) == schedule.latest_until(slot + step - MICROSECOND) == slot


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


def test_an_interval_without_a_start_begins_one_step_after_its_anchor() -> None:
    assert interval_schedule(0.5, anchor_at=NOON, start_at=None) == every(0.5)


def test_an_interval_with_a_start_begins_there_whatever_its_anchor() -> None:
    start_at = NOON + timedelta(seconds=7)
    schedule = interval_schedule(60, anchor_at=NOON, start_at=start_at)

    assert schedule.next_after(NOON - timedelta(days=400)) == start_at
    assert schedule.latest_until(start_at - MICROSECOND) is None
    assert schedule.latest_until(start_at) == start_at
    assert schedule.next_after(start_at) == start_at + timedelta(seconds=60)
    assert schedule.count_between(start_at, start_at + timedelta(seconds=120)) == (3, True)


@pytest.mark.parametrize(
    ("seconds", "given_"),
    [(0, "0"), (-5, "-5"), (0.099_999, "0.099999"), (float("nan"), "nan"), (float("inf"), "inf")],
)
def test_an_interval_that_no_clock_could_keep_is_refused(seconds: float, given_: str) -> None:
    with pytest.raises(
        InvalidSchedule, match=f"^interval_seconds is {given_}: a finite number of at least 0.1 is wanted$"
    ) as refusal:
        interval_schedule(seconds, anchor_at=NOON, start_at=None)

    assert refusal.value.field == "interval_seconds"


def test_a_tenth_of_a_second_is_the_shortest_interval() -> None:
    assert interval_schedule(0.1, anchor_at=NOON, start_at=None).next_after(NOON) == NOON + timedelta(seconds=0.1)


def test_an_interval_of_centuries_has_its_slots_and_then_no_more() -> None:
    schedule = every(3_000 * 365.25 * 86_400, datetime(2026, 1, 1, tzinfo=UTC))

    slots = listed(schedule, NOON)

    assert [slot.year for slot in slots] == [5026, 8026]
    assert schedule.latest_until(THE_END) == slots[-1]


# --- One date -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("run_at", [NOON, NOON + MICROSECOND, THE_END, datetime.min.replace(tzinfo=UTC)])
def test_a_date_is_one_slot(run_at: datetime) -> None:
    schedule = DateSchedule(run_at)

    assert schedule.latest_until(run_at) == run_at
    assert schedule.next_after(run_at) is None
    assert schedule.count_between(run_at, run_at) == (1, True)


def test_a_date_is_the_next_slot_until_it_is_past_and_then_the_latest() -> None:
    schedule = DateSchedule(NOON)

    assert (schedule.next_after(NOON - MICROSECOND), schedule.latest_until(NOON - MICROSECOND)) == (NOON, None)
    assert (schedule.next_after(NOON), schedule.latest_until(NOON)) == (None, NOON)
    assert_lists(schedule, [NOON], first=NOON - MINUTE, last=NOON + MINUTE)


# --- Windows --------------------------------------------------------------------------------------------

KINDS: dict[str, Schedule] = {
    "interval": every(60, NOON - timedelta(days=1)),
    "interval with a start": interval_schedule(90, anchor_at=NOON, start_at=NOON),
    "cron": cron_schedule("*/5 * * * *"),
    "cron with seconds": cron_schedule("*/20 * * * * *", timezone="Europe/Berlin"),
    "date": DateSchedule(NOON + 30 * MINUTE),
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("start", "end"),
    [(10, 40), (10, None), (None, 40), (30, 30), (9.99, 40.01), (10.01, 39.99), (30.5, 31.2), (-600, 40), (10, 600)],
)
def test_a_window_holds_the_slots_of_its_schedule_from_its_start_to_its_end_both_included(
    kind: str, start: float | None, end: float | None
) -> None:
    first, last = NOON - 5 * MINUTE, NOON + 60 * MINUTE
    start_at = None if start is None else NOON + start * MINUTE
    end_at = None if end is None else NOON + end * MINUTE
    inside = [
        slot
        for slot in listed(KINDS[kind], first, last)
        if (start_at is None or slot >= start_at) and (end_at is None or slot <= end_at)
    ]

    assert_lists(Window(KINDS[kind], start_at, end_at), inside, first=first, last=last)


@pytest.mark.parametrize("kind", KINDS)
def test_a_window_is_found_from_however_far(kind: str) -> None:
    slots = listed(KINDS[kind], NOON + 20 * MINUTE, NOON + 40 * MINUTE)
    window = Window(KINDS[kind], NOON + 20 * MINUTE, NOON + 40 * MINUTE)

    assert window.next_after(datetime.min.replace(tzinfo=UTC)) == slots[0]
    assert window.latest_until(THE_END) == slots[-1]
    assert window.latest_until(NOON) is None
    assert window.next_after(THE_END) is None


def test_the_start_of_a_window_is_the_zero_of_an_interval_and_its_first_slot() -> None:
    start_at = NOON + timedelta(seconds=17)
    window = Window(interval_schedule(60, anchor_at=NOON, start_at=start_at), start_at, start_at + 2 * MINUTE)

    assert_lists(
        window, [start_at, start_at + MINUTE, start_at + 2 * MINUTE], first=NOON - MINUTE, last=NOON + 10 * MINUTE
    )


def test_a_window_between_two_slots_has_none() -> None:
    window = Window(cron_schedule("0 12 * * *"), NOON + MINUTE, NOON + 2 * MINUTE)

    assert_lists(window, [], first=NOON - MINUTE, last=NOON + timedelta(days=3))


# --- Lists ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("first", "last", "at_most", "minutes"),
    [
        (0, 4, 100, [0, 1, 2, 3, 4]),
        (0, 4, 3, [0, 1, 2]),
        (0, 4, 0, []),
        (0.5, 3.5, 100, [1, 2, 3]),
        (4, 0, 100, []),
    ],
)
def test_the_slots_between_two_instants_are_listed_with_both_and_no_more_than_asked_for(
    first: float, last: float, at_most: int, minutes: list[int]
) -> None:
    found = slots_between(cron_schedule("* * * * *"), NOON + first * MINUTE, NOON + last * MINUTE, at_most=at_most)

    assert list(found) == [NOON + minute * MINUTE for minute in minutes]
