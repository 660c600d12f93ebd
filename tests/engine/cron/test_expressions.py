"""What an expression means, by table in UTC; the oracle must know it too. What is refused is in test_refusals."""

from datetime import timedelta, timezone
from itertools import islice

import pytest

from engine.cron import cron_schedule
from engine.limits import MAX_CRON_EXPRESSION_LENGTH
from tests.engine.cron.oracle import Oracle
from tests.engine.cron.stepping import MICROSECOND, slots_after, slots_between, slots_until, utc

# 2026 begins on a Thursday; the first Monday is the 5th.
MONDAY = utc("2026-01-05")

Row = tuple[str, str, list[str]]

NUMBERS: list[Row] = [
    ("5-5 * * * *", "2026-01-05", ["2026-01-05T00:05", "2026-01-05T01:05", "2026-01-05T02:05"]),
    ("5-5/1 * * * *", "2026-01-05", ["2026-01-05T00:05", "2026-01-05T01:05", "2026-01-05T02:05"]),
    ("10-20/5 * * * *", "2026-01-05", ["2026-01-05T00:10", "2026-01-05T00:15", "2026-01-05T00:20", "2026-01-05T01:10"]),
    ("10-20/11 * * * *", "2026-01-05", ["2026-01-05T00:10", "2026-01-05T01:10", "2026-01-05T02:10"]),
    ("*/2,5 * * * *", "2026-01-05T00:03", ["2026-01-05T00:04", "2026-01-05T00:05", "2026-01-05T00:06"]),
    ("*/7 * * * *", "2026-01-05T00:50", ["2026-01-05T00:56", "2026-01-05T01:00", "2026-01-05T01:07"]),
    ("*/60 * * * *", "2026-01-05", ["2026-01-05T01:00", "2026-01-05T02:00", "2026-01-05T03:00"]),
    ("1\t2  3 4 *", "2026-01-05", ["2026-04-03T02:01", "2027-04-03T02:01", "2028-04-03T02:01"]),
    (" 0 0 1 1 * ", "2026-01-05", ["2027-01-01", "2028-01-01", "2029-01-01"]),
    ("00 07 01 01 *", "2026-01-05", ["2027-01-01T07:00", "2028-01-01T07:00", "2029-01-01T07:00"]),
]

NAMES: list[Row] = [
    ("0 9 * * mon-fri", "2026-01-09", ["2026-01-09T09:00", "2026-01-12T09:00", "2026-01-13T09:00"]),
    ("0 0 1 JAN,Jul *", "2026-01-05", ["2026-07-01", "2027-01-01", "2027-07-01"]),
    ("0 0 1 nov-dec *", "2026-01-05", ["2026-11-01", "2026-12-01", "2027-11-01"]),
    ("0 0 * * SUN,wed", "2026-01-05", ["2026-01-07", "2026-01-11", "2026-01-14"]),
    ("0 0 * * sun-tue", "2026-01-06", ["2026-01-11", "2026-01-12", "2026-01-13", "2026-01-18"]),
]

SUNDAYS: list[Row] = [
    ("0 0 * * 7", "2026-01-05", ["2026-01-11", "2026-01-18", "2026-01-25"]),
    ("0 0 * * 0", "2026-01-05", ["2026-01-11", "2026-01-18", "2026-01-25"]),
    ("0 0 * * 5-7", "2026-01-05", ["2026-01-09", "2026-01-10", "2026-01-11", "2026-01-16"]),
    ("0 0 * * fri-7", "2026-01-05", ["2026-01-09", "2026-01-10", "2026-01-11", "2026-01-16"]),
    ("0 0 * * 1-7/2", "2026-01-05", ["2026-01-07", "2026-01-09", "2026-01-11", "2026-01-12"]),
    ("0 0 * * 0-7/7", "2026-01-05", ["2026-01-11", "2026-01-18", "2026-01-25"]),
    ("0 0 * * */7", "2026-01-05", ["2026-01-11", "2026-01-18", "2026-01-25"]),
    ("0 0 * * */2", "2026-01-09", ["2026-01-10", "2026-01-11", "2026-01-13", "2026-01-15"]),
]

EITHER_OR_BOTH: list[Row] = [
    # Both restricted: either matches. 13 January is a Tuesday.
    ("0 0 13 * 5", "2026-01-05", ["2026-01-09", "2026-01-13", "2026-01-16"]),
    ("0 0 13 * 5", "2026-02-01", ["2026-02-06", "2026-02-13", "2026-02-20"]),
    ("0 0 31 2 1", "2026-01-05", ["2026-02-02", "2026-02-09", "2026-02-16"]),
    # One begins with a star: both must match. 5 and 19 January are Mondays with odd dates, the 12th is not.
    ("0 0 */2 * 1", "2026-01-04", ["2026-01-05", "2026-01-19", "2026-02-09"]),
    ("0 0 13 * */5", "2026-01-05", ["2026-02-13", "2026-03-13", "2026-09-13"]),
    ("0 0 */2 * 0-6", "2026-01-05", ["2026-01-07", "2026-01-09", "2026-01-11"]),
    ("0 0 *,2 * 1", "2026-01-05", ["2026-01-12", "2026-01-19", "2026-01-26"]),
    # The star alone restricts nothing.
    ("0 0 13 * *", "2026-01-05", ["2026-01-13", "2026-02-13", "2026-03-13"]),
    ("0 0 * * 1", "2026-01-05", ["2026-01-12", "2026-01-19", "2026-01-26"]),
    # A full list is no star, and neither is a star that comes second: either matches, so every day does.
    ("0 0 1-31 * 1", "2026-01-05", ["2026-01-06", "2026-01-07", "2026-01-08"]),
    ("0 0 13 * 0-6", "2026-01-05", ["2026-01-06", "2026-01-07", "2026-01-08"]),
    ("0 0 2,* * 1", "2026-01-05", ["2026-01-06", "2026-01-07", "2026-01-08"]),
]

MACROS: list[Row] = [
    ("@yearly", "2026-01-05", ["2027-01-01", "2028-01-01", "2029-01-01"]),
    ("@annually", "2026-01-05", ["2027-01-01", "2028-01-01", "2029-01-01"]),
    ("@monthly", "2026-01-05", ["2026-02-01", "2026-03-01", "2026-04-01"]),
    ("@weekly", "2026-01-05", ["2026-01-11", "2026-01-18", "2026-01-25"]),
    ("@daily", "2026-01-05T00:01", ["2026-01-06", "2026-01-07", "2026-01-08"]),
    ("@midnight", "2026-01-05T00:01", ["2026-01-06", "2026-01-07", "2026-01-08"]),
    (" @hourly\t", "2026-01-05T00:01", ["2026-01-05T01:00", "2026-01-05T02:00", "2026-01-05T03:00"]),
    ("@Daily", "2026-01-05T00:01", ["2026-01-06", "2026-01-07", "2026-01-08"]),
]

LEAP_YEARS: list[Row] = [
    ("0 0 29 2 *", "2095-01-01", ["2096-02-29", "2104-02-29", "2108-02-29"]),
    ("0 0 29 2 *", "2096-02-29", ["2104-02-29", "2108-02-29", "2112-02-29"]),
    ("0 0 L 2 *", "2095-01-01", ["2095-02-28", "2096-02-29", "2097-02-28"]),
    ("0 0 L 2 *", "2099-01-01", ["2099-02-28", "2100-02-28", "2101-02-28"]),
    # A Sunday: every 28 years, but for 2100, which is no leap year.
    ("0 0 29 2 */7", "2033-01-01", ["2060-02-29", "2088-02-29", "2128-02-29"]),
    ("0 0 * 2 sun#5", "2033-01-01", ["2060-02-29", "2088-02-29", "2128-02-29"]),
    ("0 0 29 2 */7", "1881-01-01", ["1920-02-29", "1948-02-29", "1976-02-29"]),
    ("0 0 31 * *", "2026-01-05", ["2026-01-31", "2026-03-31", "2026-05-31"]),
]

LAST_DAYS: list[Row] = [
    ("0 0 L * *", "2026-01-31", ["2026-02-28", "2026-03-31", "2026-04-30"]),
    ("0 0 L 2 *", "2027-01-01", ["2027-02-28", "2028-02-29", "2029-02-28"]),
    ("0 0 1,L * *", "2026-01-05", ["2026-01-31", "2026-02-01", "2026-02-28", "2026-03-01"]),
    ("0 0 L,28 2 *", "2027-01-01", ["2027-02-28", "2028-02-28", "2028-02-29"]),
    # With Mondays; and only if it is a Sunday or a Friday.
    ("0 0 L * 1", "2026-01-20", ["2026-01-26", "2026-01-31", "2026-02-02"]),
    ("0 0 L * */5", "2026-01-05", ["2026-05-31", "2026-07-31", "2027-01-31"]),
    ("0 0 L * *", "2100-02-01", ["2100-02-28", "2100-03-31"]),
]

NEAREST_WEEKDAYS: list[Row] = [
    # 31 January, 28 February and 31 October are Saturdays, 31 May is a Sunday.
    ("0 0 LW * *", "2026-01-05", ["2026-01-30", "2026-02-27", "2026-03-31", "2026-04-30", "2026-05-29"]),
    ("0 0 15W * *", "2026-01-05", ["2026-01-15", "2026-02-16", "2026-03-16", "2026-04-15"]),
    ("0 0 15W 8 *", "2026-01-05", ["2026-08-14", "2027-08-16", "2028-08-15"]),
    # 1 August is a Saturday: the Friday before is in another month. 1 February is a Sunday.
    ("0 0 1W * *", "2026-01-20", ["2026-02-02", "2026-03-02", "2026-04-01"]),
    ("0 0 1W 8 *", "2026-01-05", ["2026-08-03", "2027-08-02", "2028-08-01"]),
    # Not in a month that has no such day.
    ("0 0 31W * *", "2026-01-05", ["2026-01-30", "2026-03-31", "2026-05-29", "2026-07-31", "2026-08-31", "2026-10-30"]),
    ("0 0 29W 2 *", "2026-01-05", ["2028-02-29", "2032-02-27", "2036-02-29"]),
    ("0 0 1W,15W,L * *", "2026-01-05", ["2026-01-15", "2026-01-31", "2026-02-02", "2026-02-16"]),
    ("0 0 15W * */3", "2026-01-05", ["2026-04-15", "2026-07-15", "2027-09-15"]),
]

WEEKDAYS_OF_THE_MONTH: list[Row] = [
    ("0 0 * * 5L", "2026-01-05", ["2026-01-30", "2026-02-27", "2026-03-27"]),
    ("0 0 * * friL", "2026-01-05", ["2026-01-30", "2026-02-27", "2026-03-27"]),
    ("0 0 * * 7L", "2026-01-05", ["2026-01-25", "2026-02-22", "2026-03-29"]),
    ("0 0 * * 0L", "2026-01-05", ["2026-01-25", "2026-02-22", "2026-03-29"]),
    ("0 0 * * 5#3", "2026-01-05", ["2026-01-16", "2026-02-20", "2026-03-20"]),
    ("0 0 * * Fri#3", "2026-01-05", ["2026-01-16", "2026-02-20", "2026-03-20"]),
    ("0 0 * * 7#1", "2026-01-05", ["2026-02-01", "2026-03-01", "2026-04-05"]),
    ("0 0 * * 5#5", "2026-01-05", ["2026-01-30", "2026-05-29", "2026-07-31", "2026-10-30"]),
    ("0 0 * * 1#1,5L", "2026-01-05", ["2026-01-30", "2026-02-02", "2026-02-27", "2026-03-02"]),
    ("0 0 * * sat,1#2", "2026-01-05", ["2026-01-10", "2026-01-12", "2026-01-17"]),
    # Either, and both.
    ("0 0 13 * 5#2", "2026-01-05", ["2026-01-09", "2026-01-13", "2026-02-13", "2026-03-13"]),
    ("0 0 */2 * 5#2", "2026-01-05", ["2026-01-09", "2026-02-13", "2026-03-13"]),
    ("0 0 */2 * 5L", "2026-01-05", ["2026-02-27", "2026-03-27", "2026-05-29"]),
]

SECONDS: list[Row] = [
    ("*/20 * * * * *", "2026-01-05", ["2026-01-05T00:00:20", "2026-01-05T00:00:40", "2026-01-05T00:01:00"]),
    ("59 59 23 31 12 *", "2026-01-05", ["2026-12-31T23:59:59", "2027-12-31T23:59:59", "2028-12-31T23:59:59"]),
    ("30 0 12 * * *", "2026-01-05", ["2026-01-05T12:00:30", "2026-01-06T12:00:30", "2026-01-07T12:00:30"]),
    ("0 0 0 L * *", "2026-01-05", ["2026-01-31", "2026-02-28", "2026-03-31"]),
    ("5-5 0 0 */2 * 1", "2026-01-04", ["2026-01-05T00:00:05", "2026-01-19T00:00:05", "2026-02-09T00:00:05"]),
    ("* * * * * *", "2026-01-05", ["2026-01-05T00:00:01", "2026-01-05T00:00:02", "2026-01-05T00:00:03"]),
]

ROWS = [
    *NUMBERS,
    *NAMES,
    *SUNDAYS,
    *EITHER_OR_BOTH,
    *MACROS,
    *LEAP_YEARS,
    *LAST_DAYS,
    *NEAREST_WEEKDAYS,
    *WEEKDAYS_OF_THE_MONTH,
    *SECONDS,
]


@pytest.mark.parametrize(("expression", "start", "expected"), ROWS)
def test_an_expression_names_these_slots(expression: str, start: str, expected: list[str]) -> None:
    schedule, slots = cron_schedule(expression), [utc(text) for text in expected]

    assert slots_after(schedule, utc(start), len(slots)) == slots
    assert [*reversed(slots_until(schedule, slots[-1], len(slots)))] == slots


@pytest.mark.parametrize(("expression", "start", "expected"), ROWS)
def test_the_oracle_knows_the_slots_of_an_expression(expression: str, start: str, expected: list[str]) -> None:
    oracle, slots = Oracle(expression), [utc(text) for text in expected]

    assert [*islice(oracle.slots_after(utc(start)), len(slots))] == slots
    assert [*reversed([*islice(oracle.slots_until(slots[-1]), len(slots))])] == slots


def test_a_slot_is_the_latest_until_itself_and_not_the_next_after_itself() -> None:
    schedule = cron_schedule("0 0 * * *")

    assert schedule.latest_until(MONDAY) == MONDAY
    assert schedule.latest_until(MONDAY - MICROSECOND) == utc("2026-01-04")
    assert schedule.next_after(MONDAY - MICROSECOND) == MONDAY
    assert schedule.next_after(MONDAY) == utc("2026-01-06")


@pytest.mark.parametrize(
    "expression",
    [
        "0 0 31 2 *",
        "0 0 30 2 *",
        "0 0 30 2 */2",
        "0 0 31 2,4,6,9,11 *",
        "0 0 31W 2,4 *",
        "0 0 30W 2 *",
        "0 0 LW * */6",
        "0 0 */14 * 2#2",
        "*/5 * 31 2 */7",
        "* * * 31 2 *",
    ],
)
@pytest.mark.parametrize("timezone", ["UTC", "America/New_York", "Pacific/Apia"])
def test_a_date_that_never_comes_has_no_slot(expression: str, timezone: str) -> None:
    schedule = cron_schedule(expression, timezone=timezone)

    for instant in (MONDAY, utc("0001-01-01"), utc("1900-02-28T12:00"), utc("9999-12-31T23:59:59")):
        assert schedule.next_after(instant) is None
        assert schedule.latest_until(instant) is None


@pytest.mark.parametrize("start", ["1600-01-01", "1900-01-01", "2400-02-28", "9998-12-31"])
def test_other_centuries_follow_the_same_calendar(start: str) -> None:
    instant, expression = utc(start), "0 0 */3 * *"
    end = instant + timedelta(days=300)
    due = [*Oracle(expression).slots_after(instant - MICROSECOND, end=end)]

    assert slots_between(cron_schedule(expression), instant, end) == due


THE_END = utc("9999-12-31T23:59:59.999999")


@pytest.mark.parametrize("timezone", ["UTC", "America/New_York", "Asia/Tokyo"])
@pytest.mark.parametrize(
    "expression", ["* * * * *", "0 0 29 2 *", "59 23 31 12 *", "0 0 13 * 5", "0 0 31 2 *", "* * * * * *", "0 0 L * *"]
)
def test_beyond_the_year_9999_there_is_no_slot(expression: str, timezone: str) -> None:
    assert cron_schedule(expression, timezone=timezone).next_after(THE_END) is None


@pytest.mark.parametrize("timezone", ["UTC", "America/New_York", "Asia/Tokyo"])
@pytest.mark.parametrize("expression", ["0 0 L * *", "30 1 * * *", "*/30 * * * *", "0 0 29 2 *", "* * * * * *"])
def test_near_the_ends_of_time_a_slot_is_on_the_right_side_or_none(expression: str, timezone: str) -> None:
    schedule = cron_schedule(expression, timezone=timezone)
    days = timedelta(days=200)

    for instant in (utc("0001-01-01"), utc("0001-01-01T12:00"), utc("0001-01-01") + days, THE_END - days, THE_END):
        due, been = schedule.next_after(instant), schedule.latest_until(instant)
        assert due is None or due > instant
        assert been is None or been <= instant


def test_the_last_slots_of_all_are_found_and_counted() -> None:
    schedule = cron_schedule("* * * * *")
    last = utc("9999-12-31T23:59")

    assert schedule.latest_until(THE_END) == last
    assert schedule.next_after(last - timedelta(minutes=1)) == last
    assert schedule.next_after(last) is None
    assert schedule.count_between(last - timedelta(minutes=9), last) == (10, True)
    assert cron_schedule("0 0 29 2 *").latest_until(THE_END) == utc("9996-02-29")


def test_the_first_slots_of_all_are_found() -> None:
    schedule = cron_schedule("* * * * *")

    assert schedule.latest_until(utc("0001-01-01")) == utc("0001-01-01")
    assert cron_schedule("0 0 1 * *").latest_until(utc("0001-01-31")) == utc("0001-01-01")
    assert cron_schedule("0 0 2 1 *").latest_until(utc("0001-01-01T12:00")) is None


def test_counting_a_long_stretch_is_exact_or_says_that_there_may_be_more() -> None:
    schedule = cron_schedule("* * * * *")
    a_year, exactly = utc("2027-01-01") - MICROSECOND, 365 * 24 * 60

    assert schedule.count_between(utc("2026-01-01"), a_year) == (exactly, True)
    count, is_exact = schedule.count_between(utc("2026-01-01"), utc("9026-01-01"))
    assert not is_exact
    assert count >= exactly


def test_an_expression_of_the_greatest_length_is_read() -> None:
    expression = ",".join(["10"] * 82 + ["1"]) + " * * * *"
    expression += " " * (MAX_CRON_EXPRESSION_LENGTH - len(expression))

    assert cron_schedule(expression).next_after(MONDAY) == utc("2026-01-05T00:01")


def test_times_that_gaps_swallow_for_decades_are_found_on_the_other_side() -> None:
    cairo = cron_schedule("*/30 1 1 5 *", timezone="Africa/Cairo")
    assert cairo.next_after(utc("1959-04-30T21:00")) == utc("1982-04-30T23:00")

    berlin = cron_schedule("*/15 2 25-31 3 */7", timezone="Europe/Berlin")
    assert berlin.latest_until(utc("2026-12-31")) == utc("1980-03-30T01:45")


def test_an_instant_may_be_given_in_any_zone() -> None:
    schedule = cron_schedule("28-30,*/11,57 6 * * *", timezone="Europe/Dublin")
    instant = utc("2015-08-25T20:23")

    assert schedule.next_after(instant.astimezone(timezone(timedelta(hours=9)))) == schedule.next_after(instant)
