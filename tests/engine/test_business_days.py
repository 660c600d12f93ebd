"""Slots of days off, moved to the next business day: by name, and against every slot and every move written out."""

from collections.abc import Collection, Iterable
from datetime import UTC, date, datetime, timedelta
from functools import cache
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.business_days import NextBusinessDay
from engine.calendars import DaysOff, Weekday
from engine.cron import cron_schedule
from engine.jitter import Jitter
from engine.limits import MAX_DAYS_OFF_IN_A_ROW
from engine.schedule import DateSchedule, IntervalSchedule, Schedule
from engine.timing import DstGap, DstOverlap
from tests.engine.listings import MICROSECOND, THE_END, assert_lists, listed
from tests.factories import NOON, make_calendar

BERLIN, NEW_YORK = "Europe/Berlin", "America/New_York"
WEEKEND = {Weekday.SATURDAY, Weekday.SUNDAY}
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
JOB = UUID("5f0c4a52-8a3b-4b8e-9d0e-0d6c3f1c2a11")


def off(weekdays: Collection[Weekday] = WEEKEND, dates: Collection[date] = ()) -> DaysOff:
    """Two calendars, as a job may list them."""
    return DaysOff((make_calendar("weekly", weekly_days_off=weekdays), make_calendar("feasts", dates=dates)))


def moving(schedule: Schedule, days_off: DaysOff, zone: str = "UTC") -> NextBusinessDay:
    return NextBusinessDay(schedule, days_off, zone)


def walls(slots: Iterable[datetime | None], zone: str = "UTC") -> list[str]:
    """The slots as the clocks of the zone show them."""
    return [f"{slot.astimezone(ZoneInfo(zone)):%a %d %H:%M}" for slot in slots if slot is not None]


def day(text: str, zone: str = "UTC") -> datetime:
    """The first instant of a local day."""
    return datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone)).astimezone(UTC)


# --- By name --------------------------------------------------------------------------------------------


def test_a_daily_job_that_is_moved_onto_monday_meets_mondays_own_slot_which_is_one() -> None:
    daily = moving(cron_schedule("0 9 * * *"), off())
    friday, wednesday = day("2026-11-27"), day("2026-12-02")

    slots = listed(daily, friday, wednesday)

    # The slots of the weekend stay: each leaves a row that says why it was skipped.
    assert walls(slots) == ["Fri 27 09:00", "Sat 28 09:00", "Sun 29 09:00", "Mon 30 09:00", "Tue 01 09:00"]
    assert_lists(daily, slots, first=friday, last=wednesday)


def test_a_month_end_on_a_saturday_moves_to_monday() -> None:
    month_end = moving(cron_schedule("30 17 L * *", timezone=NEW_YORK), off(), NEW_YORK)

    slots = listed(month_end, day("2026-10-01"), day("2026-12-01"))

    assert walls(slots, NEW_YORK) == ["Sat 31 17:30", "Mon 02 17:30", "Mon 30 17:30"]
    assert month_end.moved_to(slots[0]) == slots[1]
    assert [month_end.moved_from(slot) for slot in slots] == [None, slots[0], None]


def test_holidays_beside_a_weekend_move_a_slot_further() -> None:
    easter = off(dates=[date(2027, 3, 26), date(2027, 3, 29)])

    slots = listed(moving(DateSchedule(day("2027-03-26") + 9 * HOUR), easter), NOON)

    assert walls(slots) == ["Fri 26 09:00", "Tue 30 09:00"]


def test_slots_of_several_days_off_that_meet_on_one_instant_are_one_and_the_latest_is_named() -> None:
    weekly = moving(cron_schedule("0 9 * * 6,7"), off())

    slots = listed(weekly, day("2026-11-27"), day("2026-12-04"))

    assert walls(slots) == ["Sat 28 09:00", "Sun 29 09:00", "Mon 30 09:00"]
    assert weekly.moved_from(slots[2]) == slots[1]
    assert weekly.moved_to(slots[0]) == weekly.moved_to(slots[1]) == slots[2]


def test_an_ordinary_slot_at_the_same_instant_is_not_called_moved() -> None:
    daily = moving(cron_schedule("0 9 * * *"), off())

    assert daily.moved_from(day("2026-11-30") + 9 * HOUR) is None


@pytest.mark.parametrize(
    ("days", "is_moved"), [(1, True), (MAX_DAYS_OFF_IN_A_ROW, True), (MAX_DAYS_OFF_IN_A_ROW + 1, False)]
)
def test_a_slot_is_moved_over_so_many_days_off_and_no_more(days: int, is_moved: bool) -> None:
    first_off = date(2026, 12, 1)
    holiday = off([], [first_off + number * DAY for number in range(days)])
    slot = day("2026-12-01") + 9 * HOUR
    target = slot + days * DAY if is_moved else None

    job = moving(DateSchedule(slot), holiday)

    assert job.moved_to(slot) == target
    assert_lists(job, [slot, target] if target else [slot], first=NOON, last=slot + 100 * DAY)


def test_of_a_stretch_that_is_too_long_the_last_days_are_moved() -> None:
    holiday = off([], [date(2026, 12, 1) + number * DAY for number in range(MAX_DAYS_OFF_IN_A_ROW + 3)])
    own = cron_schedule("0 9,18 1,3,4 12 *")
    job = moving(own, holiday)
    back = day("2027-01-04")

    # The first is off by 34 days, the second by 32, the third by 31.
    assert_lists(
        job,
        [*listed(own, NOON, back), back + 9 * HOUR, back + 18 * HOUR],
        first=NOON,
        last=back + 30 * DAY,
    )
    assert job.moved_from(back + 9 * HOUR) == day("2026-12-04") + 9 * HOUR


def test_without_any_business_day_nothing_is_moved() -> None:
    own = cron_schedule("0 9 * * *")
    job = moving(own, off(list(Weekday)))

    assert_lists(job, listed(own, NOON, NOON + 40 * DAY), first=NOON, last=NOON + 40 * DAY)
    assert job.moved_to(NOON) is None


def test_without_a_day_off_nothing_is_moved() -> None:
    own = cron_schedule("0 9 * * *")

    assert_lists(moving(own, off([])), listed(own, NOON, NOON + 9 * DAY), first=NOON, last=NOON + 9 * DAY)


@pytest.mark.parametrize(
    ("zone", "saturday", "moved"),
    [
        (BERLIN, "2027-03-27", "2027-03-28T03:00:00+02:00"),
        (NEW_YORK, "2027-03-13", "2027-03-14T03:00:00-04:00"),
        (BERLIN, "2027-10-30", "2027-10-31T02:30:00+02:00"),
        (NEW_YORK, "2027-11-06", "2027-11-07T02:30:00-05:00"),
        ("Australia/Lord_Howe", "2027-10-02", "2027-10-03T02:30:00+11:00"),
        ("Africa/Cairo", "2027-04-29", "2027-04-30T02:30:00+03:00"),
    ],
)
def test_a_slot_that_is_moved_into_a_gap_runs_after_it_and_into_an_overlap_in_the_first_pass(
    zone: str, saturday: str, moved: str
) -> None:
    slot = day(saturday, zone) + timedelta(hours=2.5)
    job = moving(DateSchedule(slot), off([], [date.fromisoformat(saturday)]), zone)

    target = datetime.fromisoformat(moved).astimezone(UTC)
    assert_lists(job, [slot, target], first=slot - DAY, last=slot + 3 * DAY)
    assert (job.moved_to(slot), job.moved_from(target)) == (target, slot)


def test_several_slots_that_a_gap_brings_together_are_one() -> None:
    quarters = cron_schedule("*/15 2 * * 6", timezone=BERLIN)
    job = moving(quarters, off([Weekday.SATURDAY]), BERLIN)

    slots = listed(job, day("2027-03-27", BERLIN), day("2027-03-29", BERLIN))

    assert walls(slots, BERLIN) == ["Sat 27 02:00", "Sat 27 02:15", "Sat 27 02:30", "Sat 27 02:45", "Sun 28 03:00"]
    assert job.moved_from(slots[-1]) == slots[-2]


def test_both_passes_of_an_overlap_on_a_day_off_move_to_the_one_hour_of_monday() -> None:
    quarters = cron_schedule("*/30 2 * * 0", timezone=BERLIN)
    job = moving(quarters, off(), BERLIN)

    slots = listed(job, day("2027-10-31", BERLIN), day("2027-11-02", BERLIN))

    assert walls(slots, BERLIN) == [*["Sun 31 02:00", "Sun 31 02:30"] * 2, "Mon 01 02:00", "Mon 01 02:30"]
    assert_lists(job, slots, first=day("2027-10-31", BERLIN), last=day("2027-11-02", BERLIN))


def test_in_the_second_pass_of_an_overlap_the_slots_that_were_moved_to_the_first_are_past() -> None:
    job = moving(cron_schedule("*/20 2 * * 6", timezone=BERLIN), off([Weekday.SATURDAY]), BERLIN)
    sunday, second_pass = day("2027-10-31", BERLIN), datetime(2027, 10, 31, 1, 10, tzinfo=UTC)

    slots = listed(job, sunday, sunday + DAY)

    assert walls(slots, BERLIN) == ["Sun 31 02:00", "Sun 31 02:20", "Sun 31 02:40"]
    assert job.latest_until(second_pass) == slots[-1] == datetime(2027, 10, 31, 0, 40, tzinfo=UTC)


@pytest.mark.parametrize("minutes", [35, 55])
def test_an_interval_whose_walls_differ_in_the_passes_of_an_overlap_has_each_of_them_moved(minutes: int) -> None:
    # From 02:00 on: with 35 minutes the second pass adds 02:20 to what the first one has, 02:00 to 02:45.
    first, last = day("2027-10-31", BERLIN), day("2027-11-02", BERLIN)
    interval = IntervalSchedule(day("2027-10-25") + timedelta(minutes=5), minutes * 60.0)

    slots = with_moves(interval, off(), BERLIN, first=first, last=last)

    assert_lists(moving(interval, off(), BERLIN), slots, first=first, last=last)


class Counted:
    """A schedule that counts how often it is asked."""

    def __init__(self, schedule: Schedule) -> None:
        self._schedule = schedule
        self.times_asked = 0

    def next_after(self, instant: datetime) -> datetime | None:
        self.times_asked += 1
        return self._schedule.next_after(instant)

    def latest_until(self, instant: datetime) -> datetime | None:
        self.times_asked += 1
        return self._schedule.latest_until(instant)

    def count_between(self, first: datetime, last: datetime) -> tuple[int, bool]:
        return self._schedule.count_between(first, last)


@pytest.mark.parametrize(
    ("at", "weekdays", "feast_days"),
    [
        pytest.param("2027-10-31T12:00:00Z", WEEKEND, 0, id="on a weekend"),
        pytest.param("2027-10-31T12:00:00Z", [], MAX_DAYS_OFF_IN_A_ROW, id="on the last of many days off"),
        pytest.param("2027-11-01T12:00:00Z", [], MAX_DAYS_OFF_IN_A_ROW, id="after many days off"),
        pytest.param("2027-10-31T01:00:01Z", [Weekday.SATURDAY], 0, id="in the second pass of an overlap"),
    ],
)
@pytest.mark.parametrize("verb", ["next_after", "latest_until"])
def test_no_look_goes_through_the_slots_of_a_day_one_by_one(
    at: str, weekdays: Collection[Weekday], feast_days: int, verb: str
) -> None:
    feasts = [date(2027, 10, 31) - number * DAY for number in range(feast_days)]
    counted = Counted(cron_schedule("* * * * *", timezone=BERLIN))
    job = moving(counted, off(weekdays, feasts), BERLIN)

    assert getattr(job, verb)(datetime.fromisoformat(at)) is not None

    assert counted.times_asked <= 4 * (MAX_DAYS_OFF_IN_A_ROW + 1)


def test_slots_are_counted_with_the_moved_ones_up_to_a_limit() -> None:
    job = moving(cron_schedule("0 9 * * *"), off())
    thursday = day("2026-11-26") + 9 * HOUR
    at_night = moving(cron_schedule("0 9,21 * * 6"), off())

    assert job.count_between(thursday, thursday + 7 * DAY) == (8, True)
    assert at_night.count_between(thursday, thursday + 7 * DAY) == (4, True)
    minutely = moving(cron_schedule("* * * * *"), off())
    # No more than its own: those that were moved meet the ones of the business day.
    assert minutely.count_between(thursday, thursday + 30 * DAY) == (30 * 24 * 60 + 1, False)


@pytest.mark.parametrize("zone", ["UTC", BERLIN, "Pacific/Kiritimati", "Etc/GMT+12"])
@pytest.mark.parametrize("at", [datetime.min.replace(tzinfo=UTC) + DAY, THE_END - DAY, THE_END - MICROSECOND])
def test_at_the_ends_of_time_there_is_an_answer(zone: str, at: datetime) -> None:
    for days_off in (off(), off(list(Weekday))):
        job = moving(DateSchedule(at), days_off, zone)

        assert job.next_after(at - HOUR) == at
        assert job.latest_until(at) == at
        job.moved_to(at)
        job.next_after(at)


# --- Every slot and every move written out --------------------------------------------------------------


QUARTER = timedelta(minutes=15)


@cache
def shown(wall: datetime, zone: str) -> datetime:
    """When the clocks show it for the first time, or pass it by in a gap: found by looking at them every quarter of an
    hour, as in the zones here they are only changed at full quarters."""
    begin = wall.replace(tzinfo=UTC, minute=0, second=0, microsecond=0) - timedelta(hours=16)
    looks = [begin + number * QUARTER for number in range(32 * 4)]
    faces = [look.astimezone(ZoneInfo(zone)).replace(tzinfo=None) for look in looks]
    for look, face, next_face in zip(looks, faces, faces[1:], strict=False):
        if face <= wall < max(face + QUARTER, next_face):
            return look + min(wall - face, QUARTER)
    raise AssertionError(wall)


def target_of(day_off: date, days_off: DaysOff) -> date | None:
    """The business day to which a day off is moved, if one is near."""
    days = [day_off + number * DAY for number in range(1, MAX_DAYS_OFF_IN_A_ROW + 1)]
    return next((each for each in days if days_off.excluding(each) is None), None)


def with_moves(schedule: Schedule, days_off: DaysOff, zone: str, *, first: datetime, last: datetime) -> list[datetime]:
    """The slots of a schedule between two instants, and those that are moved there."""
    found = set(listed(schedule, first, last))
    for slot in listed(schedule, first - (MAX_DAYS_OFF_IN_A_ROW + 1) * DAY, last):
        wall = slot.astimezone(ZoneInfo(zone)).replace(tzinfo=None)
        target = target_of(wall.date(), days_off)
        if days_off.excluding(wall.date()) is not None and target is not None and target >= first.date() - DAY:
            found.add(shown(datetime.combine(target, wall.time()), zone))
    return sorted(slot for slot in found if first <= slot <= last)


def night_of(change: date, zone: str) -> list[datetime]:
    """Instants before, between and after the two passes of an overlap, some of them no slots of any schedule here."""
    return [day(change.isoformat(), zone) + number * timedelta(minutes=25) for number in range(-4, 12)]


CRONS = [
    "0 9 * * *",
    "30 2 * * *",
    "15 0,2,23 * * *",
    "0 8 L * *",
    "*/40 1-3 * * *",
    "0 */5 * * *",
    "30 1,2 * * 0",
    "*/20 0-2 * * 4,6",
]
ZONES = {
    BERLIN: [date(2027, 3, 28), date(2027, 10, 31)],
    NEW_YORK: [date(2027, 3, 14), date(2027, 11, 7)],
    "Australia/Lord_Howe": [date(2027, 4, 4), date(2027, 10, 3)],
    "Africa/Cairo": [date(2027, 4, 30), date(2027, 10, 29)],
    "UTC": [date(2027, 7, 11)],
}
"""Each with days around which to look: those on which its clocks are changed."""

changes = st.sampled_from([(zone, change) for zone, days in ZONES.items() for change in days])
weekdays_off = st.one_of(
    st.just(frozenset(WEEKEND)), st.frozensets(st.sampled_from(list(Weekday)), max_size=6), st.just(frozenset(Weekday))
)
feasts = st.frozensets(st.integers(-9, 9), max_size=6)


@settings(max_examples=30)
@given(
    where=changes,
    weekdays=weekdays_off,
    feasts=feasts,
    expression=st.sampled_from(CRONS),
    gap=st.sampled_from(DstGap),
    overlap=st.sampled_from(DstOverlap),
)
def test_cron_slots_and_moves_are_those_written_out(
    where: tuple[str, date],
    weekdays: frozenset[Weekday],
    feasts: frozenset[int],
    expression: str,
    gap: DstGap,
    overlap: DstOverlap,
) -> None:
    zone, change = where
    days_off = off(weekdays, {change + number * DAY for number in feasts})
    schedule = cron_schedule(expression, timezone=zone, dst_gap=gap, dst_overlap=overlap)
    first, last = day((change - 4 * DAY).isoformat(), zone), day((change + 4 * DAY).isoformat(), zone)

    slots = with_moves(schedule, days_off, zone, first=first, last=last)

    assert_lists(moving(schedule, days_off, zone), slots, first=first, last=last, also_at=night_of(change, zone))


@settings(max_examples=25)
@given(
    where=changes,
    weekdays=weekdays_off,
    feasts=feasts,
    minutes=st.sampled_from([55, 90, 6 * 60, 24 * 60, 25 * 60 + 7]),
    jitter_minutes=st.sampled_from([0, 1, 45]),
)
def test_interval_slots_and_moves_are_those_written_out(
    where: tuple[str, date], weekdays: frozenset[Weekday], feasts: frozenset[int], minutes: int, jitter_minutes: int
) -> None:
    zone, change = where
    days_off = off(weekdays, {change + number * DAY for number in feasts})
    schedule: Schedule = IntervalSchedule(NOON, minutes * 60.0)
    if jitter_minutes:
        schedule = Jitter(schedule, jitter_minutes * 60.0, JOB, None)
    first, last = day((change - DAY).isoformat(), zone), day((change + 2 * DAY).isoformat(), zone)

    slots = with_moves(schedule, days_off, zone, first=first, last=last)

    assert_lists(moving(schedule, days_off, zone), slots, first=first, last=last, also_at=night_of(change, zone))
