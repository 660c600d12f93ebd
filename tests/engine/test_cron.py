"""Cron expressions against a reading of crontab(5) of its own, minute by minute, and by table."""

from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.cron import CronSchedule, parse_cron
from engine.errors import InvalidSchedule
from engine.limits import MAX_COUNTED_SLOTS, MAX_CRON_EXPRESSION_LENGTH
from engine.schedule import first_slot

MINUTE, DAY = timedelta(minutes=1), timedelta(days=1)
THE_END = datetime.max.replace(tzinfo=UTC)


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


MONDAY = utc("2026-01-05")


MONTHS = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"]
WEEKDAYS = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"]


class Crontab:
    """crontab(5) of Debian, read anew: is it due in this minute? Shares nothing with the engine."""

    def __init__(self, expression: str) -> None:
        texts = expression.split()
        bounds = [(0, 59), (0, 23), (1, 31), (1, 12), (0, 7)]
        self._minutes, self._hours, self._days, self._months, self._weekdays = (
            {value for value in range(60) if self._matches(text, value, *ends)}
            for text, ends in zip(texts, bounds, strict=True)
        )
        # "If both fields are restricted (i.e., do not contain the * character), the command will be run when either
        # field matches the current time": what it looks at is the first character.
        self._joined = all if texts[2].startswith("*") or texts[4].startswith("*") else any

    def is_due(self, minute: datetime) -> bool:
        return minute.minute in self._minutes and minute.hour in self._hours and self.is_due_on(minute)

    def is_due_on(self, day: datetime) -> bool:
        # Sunday is 0 and 7.
        is_weekday = not {day.isoweekday(), day.isoweekday() % 7}.isdisjoint(self._weekdays)
        return day.month in self._months and self._joined([day.day in self._days, is_weekday])

    def _matches(self, text: str, value: int, lowest: int, highest: int) -> bool:
        return any(self._element_matches(element, value, lowest, highest) for element in text.split(","))

    def _element_matches(self, element: str, value: int, lowest: int, highest: int) -> bool:
        numbers, _, step = element.partition("/")
        first, _, last = (f"{lowest}-{highest}" if numbers == "*" else numbers).partition("-")
        from_value, to_value = self._number(first), self._number(last or first)
        return from_value <= value <= to_value and (value - from_value) % int(step or 1) == 0

    def _number(self, word: str) -> int:
        if word.lower() in MONTHS:
            return MONTHS.index(word.lower()) + 1
        return WEEKDAYS.index(word.lower()) if word.lower() in WEEKDAYS else int(word)


def slots_of(schedule: CronSchedule, start: datetime, end: datetime) -> list[datetime]:
    """The slots from `start` on and before `end`, one after another."""
    found: list[datetime] = []
    instant = start - timedelta(microseconds=1)
    while (slot := schedule.next_after(instant)) is not None and slot < end:
        found.append(slot)
        instant = slot
    return found


def elements(lowest: int, highest: int, names: list[str]) -> st.SearchStrategy[str]:
    """A number, name, range, star, or a step of one."""
    numbers = st.integers(lowest, highest)
    spellings = st.sampled_from([spelt for name in names for spelt in (name, name.upper(), name.title())] or ["*"])
    ranges = st.tuples(numbers, numbers).map(sorted)
    # A step of a weekday's star counts to Saturday: beyond that it is larger than the range.
    star_width = min(highest, 6 if names is WEEKDAYS else highest) - lowest + 1
    return st.one_of(
        numbers.map(str),
        spellings,
        st.integers(1, star_width).map(lambda step: f"*/{step}"),
        ranges.map(lambda ends: f"{ends[0]}-{ends[1]}"),
        ranges.flatmap(
            lambda ends: st.integers(1, ends[1] - ends[0] + 1).map(lambda step: f"{ends[0]}-{ends[1]}/{step}")
        ),
    )


def fields(lowest: int, highest: int, names: list[str]) -> st.SearchStrategy[str]:
    return st.just("*") | st.lists(elements(lowest, highest, names), min_size=1, max_size=3).map(",".join)


day_fields = [fields(1, 31, []), fields(1, 12, MONTHS), fields(0, 7, WEEKDAYS)]
expressions = st.tuples(fields(0, 59, []), fields(0, 23, []), *day_fields).map(" ".join)
day_expressions = st.tuples(*day_fields).map(lambda days: " ".join(["0", "0", *days]))
minutes_of_time = st.integers(0, 60 * 24 * 365 * 200).map(lambda minutes: utc("1970-01-01") + minutes * MINUTE)
fractions = st.integers(0, 59_999_999).map(lambda microseconds: timedelta(microseconds=microseconds))
WINDOW = 300
"""Minutes that are read one by one; a start late in the day takes them over midnight, and some over a year's end."""

looks = st.tuples(st.integers(0, WINDOW - 1), fractions)


@given(expressions, minutes_of_time, st.lists(looks, max_size=5))
def test_minute_by_minute_it_is_due_when_crontab_says(
    expression: str, start: datetime, looks: list[tuple[int, timedelta]]
) -> None:
    schedule, crontab, end = parse_cron(expression), Crontab(expression), start + WINDOW * MINUTE
    due = [minute for minute in (start + number * MINUTE for number in range(WINDOW)) if crontab.is_due(minute)]

    assert slots_of(schedule, start, end) == due
    for number, fraction in looks:
        instant = start + number * MINUTE + fraction
        latest, following = schedule.latest_until(instant), schedule.next_after(instant)
        assert (latest if latest and latest >= start else None) == max((s for s in due if s <= instant), default=None)
        assert (following if following and following < end else None) == min(
            (s for s in due if s > instant), default=None
        )
    if due:
        assert schedule.count_between(due[0], due[-1]) == (len(due), True)
        assert schedule.count_between(due[0], end - MINUTE) == (len(due), True)


@given(day_expressions, minutes_of_time)
def test_day_by_day_for_more_than_a_year_it_is_due_when_crontab_says(expression: str, start: datetime) -> None:
    schedule, crontab, start = parse_cron(expression), Crontab(expression), start.replace(hour=0, minute=0)
    due = [day for day in (start + number * DAY for number in range(400)) if crontab.is_due_on(day)]

    assert slots_of(schedule, start, start + 400 * DAY) == due
    assert [schedule.latest_until(later - MINUTE) for later in due[1:]] == due[:-1]


@given(expressions, minutes_of_time, fractions)
def test_slots_strictly_increase_and_lie_on_whole_minutes(
    expression: str, minute: datetime, fraction: timedelta
) -> None:
    schedule = parse_cron(expression)
    slots = [minute + fraction]
    while len(slots) < 20 and (slot := schedule.next_after(slots[-1])) is not None:
        slots.append(slot)
        assert schedule.latest_until(slot) == slot
        assert slot.second == slot.microsecond == 0
        assert slot.tzinfo is UTC

    assert all(earlier < later for earlier, later in pairwise(slots))


@pytest.mark.parametrize(
    ("expression", "start", "expected"),
    [
        ("5-5 * * * *", "2026-01-05", ["2026-01-05 00:05", "2026-01-05 01:05", "2026-01-05 02:05"]),
        ("0 0 */2 * 1", "2026-01-05", ["2026-01-05", "2026-01-19", "2026-02-09"]),
        ("0 0 13 * 5", "2026-02-01", ["2026-02-06", "2026-02-13", "2026-02-20"]),
        ("0 0 13 * */5", "2026-02-01", ["2026-02-13", "2026-03-13", "2026-09-13"]),
        ("0 0 1-31 * 1", "2026-01-05", ["2026-01-05", "2026-01-06", "2026-01-07"]),
        ("0 0 13 * 0-6", "2026-01-05", ["2026-01-05", "2026-01-06", "2026-01-07"]),
        ("0 0 13 * *", "2026-01-05", ["2026-01-13", "2026-02-13", "2026-03-13"]),
        ("0 0 * * 1", "2026-01-05", ["2026-01-05", "2026-01-12", "2026-01-19"]),
        ("0 0 */2 * 0-6", "2026-01-05", ["2026-01-05", "2026-01-07", "2026-01-09"]),
        ("0 0 2,* * 1", "2026-01-05", ["2026-01-05", "2026-01-06", "2026-01-07"]),
        ("0 0 *,2 * 1", "2026-01-05", ["2026-01-05", "2026-01-12", "2026-01-19"]),
        ("*/2,5 * * * *", "2026-01-05 00:03", ["2026-01-05 00:04", "2026-01-05 00:05", "2026-01-05 00:06"]),
        ("*/60 * * * *", "2026-01-05", ["2026-01-05 00:00", "2026-01-05 01:00", "2026-01-05 02:00"]),
        ("0 0 * * 7", "2026-01-05", ["2026-01-11", "2026-01-18", "2026-01-25"]),
        ("0 0 * * 0", "2026-01-05", ["2026-01-11", "2026-01-18", "2026-01-25"]),
        ("0 0 * * 5-7", "2026-01-05", ["2026-01-09", "2026-01-10", "2026-01-11"]),
        ("0 0 * * */7", "2026-01-05", ["2026-01-11", "2026-01-18", "2026-01-25"]),
        ("0 9 * * mon-fri", "2026-01-09", ["2026-01-09 09:00", "2026-01-12 09:00", "2026-01-13 09:00"]),
        ("0 0 1 JAN,Jul *", "2026-01-05", ["2026-07-01", "2027-01-01", "2027-07-01"]),
        ("0 0 * * SUN,wed", "2026-01-05", ["2026-01-07", "2026-01-11", "2026-01-14"]),
        ("0 0 29 2 *", "2095-01-01", ["2096-02-29", "2104-02-29", "2108-02-29"]),
        ("0 0 29 2 */7", "2033-01-01", ["2060-02-29", "2088-02-29", "2128-02-29"]),
        ("0 0 31 * *", "2026-01-05", ["2026-01-31", "2026-03-31", "2026-05-31"]),
        ("0 0 31 2 1", "2026-01-05", ["2026-02-02", "2026-02-09", "2026-02-16"]),
        ("1\t2  3 4 *", "2026-01-05", ["2026-04-03 02:01", "2027-04-03 02:01", "2028-04-03 02:01"]),
        (" 0 0 1 1 * ", "2026-01-05", ["2027-01-01", "2028-01-01", "2029-01-01"]),
        ("00 07 01 01 *", "2026-01-05", ["2027-01-01 07:00", "2028-01-01 07:00", "2029-01-01 07:00"]),
        ("@yearly", "2026-01-05", ["2027-01-01", "2028-01-01", "2029-01-01"]),
        ("@annually", "2026-01-05", ["2027-01-01", "2028-01-01", "2029-01-01"]),
        ("@monthly", "2026-01-05", ["2026-02-01", "2026-03-01", "2026-04-01"]),
        ("@weekly", "2026-01-05", ["2026-01-11", "2026-01-18", "2026-01-25"]),
        ("@daily", "2026-01-05 00:01", ["2026-01-06", "2026-01-07", "2026-01-08"]),
        ("@midnight", "2026-01-05 00:01", ["2026-01-06", "2026-01-07", "2026-01-08"]),
        (" @hourly\t", "2026-01-05 00:01", ["2026-01-05 01:00", "2026-01-05 02:00", "2026-01-05 03:00"]),
    ],
)
def test_an_expression_names_these_slots(expression: str, start: str, expected: list[str]) -> None:
    slots = [utc(text) for text in expected]

    assert slots_of(parse_cron(expression), utc(start), slots[-1] + MINUTE) == slots


@pytest.mark.parametrize(
    ("expression", "field", "given_text", "wanted"),
    [
        ("60 * * * *", "minute", "60", "a number from 0 to 59 is wanted"),
        ("* 24 * * *", "hour", "24", "a number from 0 to 23 is wanted"),
        ("* * 0 * *", "day of month", "0", "a number from 1 to 31 is wanted"),
        ("* * 32 * *", "day of month", "32", "a number from 1 to 31 is wanted"),
        ("* * * 13 *", "month", "13", "a number from 1 to 12 or jan, feb, mar, "),
        ("* * * 0 *", "month", "0", "a number from 1 to 12 or jan, feb, mar, "),
        ("* * * * 8", "day of week", "8", "a number from 0 to 7 or sun, mon, tue, "),
        ("* * * mon *", "month", "mon", "a number from 1 to 12 or jan, feb, mar, "),
        ("* * * * jan", "day of week", "jan", "a number from 0 to 7 or sun, mon, tue, "),
        ("* * * * monday", "day of week", "monday", "a number from 0 to 7 or sun, mon, tue, "),
        ("jan * * * *", "minute", "jan", "a number from 0 to 59 is wanted"),
        ("*/90 * * * *", "minute", "*/90", "a step from 1 to 60 is wanted"),
        ("*/0 * * * *", "minute", "*/0", "a step from 1 to 60 is wanted"),
        ("*/x * * * *", "minute", "*/x", "a step from 1 to 60 is wanted"),
        ("* * * * */8", "day of week", "*/8", "a step from 1 to 7 is wanted"),
        ("5-5/2 * * * *", "minute", "5-5/2", "a step from 1 to 1 is wanted"),
        ("0-10/12 * * * *", "minute", "0-10/12", "a step from 1 to 11 is wanted"),
        ("59/15 * * * *", "minute", "59/15", "a step after a star or a range, such as */5 or 0-59/5, is wanted"),
        ("50-10 * * * *", "minute", "50-10", "a range that goes up, such as 10-50, is wanted"),
        ("* * * * fri-sun", "day of week", "fri-sun", "a range that goes up, such as 5-7, is wanted"),
        ("1,,2 * * * *", "minute", "", "ranges a-b, lists a,b and steps */n or a-b/n are wanted"),
        ("1, * * * *", "minute", "", "ranges a-b, lists a,b and steps */n or a-b/n are wanted"),
        ("-5 * * * *", "minute", "-5", "ranges a-b, lists a,b and steps */n or a-b/n are wanted"),
        ("1-2-3 * * * *", "minute", "1-2-3", "ranges a-b, lists a,b and steps */n or a-b/n are wanted"),
        ("** * * * *", "minute", "**", "ranges a-b, lists a,b and steps */n or a-b/n are wanted"),
        ("*-5 * * * *", "minute", "*-5", "ranges a-b, lists a,b and steps */n or a-b/n are wanted"),
        ("1.5 * * * *", "minute", "1.5", "ranges a-b, lists a,b and steps */n or a-b/n are wanted"),
        ("R * * * *", "minute", "R", "a number from 0 to 59 is wanted"),
        ("R(0-29) * * * *", "minute", "R(0-29)", "ranges a-b, lists a,b and steps */n or a-b/n are wanted"),
        ("? * * * *", "minute", "?", "ranges a-b, lists a,b and steps */n or a-b/n are wanted"),
        ("0 0 ? * *", "day of month", "?", "ranges a-b, lists a,b and steps */n or a-b/n are wanted"),
        ("0 0 L * *", "day of month", "L", "a number from 1 to 31 is wanted"),
        ("0 0 15W * *", "day of month", "15W", "a number from 1 to 31 is wanted"),
        ("0 0 * * 5L", "day of week", "5L", "a number from 0 to 7 or sun, "),
        ("0 0 * * 5#3", "day of week", "5#3", "ranges a-b, lists a,b and steps */n or a-b/n are wanted"),
        ("\u0665 * * * *", "minute", "\u0665", "ranges a-b, lists a,b and steps */n or a-b/n are wanted"),
        ("*/\uff15 * * * *", "minute", "*/\uff15", "ranges a-b, lists a,b and steps */n or a-b/n are wanted"),
        ("\u00b2 * * * *", "minute", "\u00b2", "ranges a-b, lists a,b and steps */n or a-b/n are wanted"),
        ("\x00 * * * *", "minute", "\x00", "ranges a-b, lists a,b and steps */n or a-b/n are wanted"),
        ("5\x00 * * * *", "minute", "5\x00", "ranges a-b, lists a,b and steps */n or a-b/n are wanted"),
        ("5" * 200 + " * * * *", "minute", "5" * 200, "a number from 0 to 59 is wanted"),
        ("*/" + "5" * 200 + " * * * *", "minute", "*/" + "5" * 200, "a step from 1 to 60 is wanted"),
    ],
)
def test_a_refusal_names_the_field_what_was_given_and_what_is_wanted(
    expression: str, field: str, given_text: str, wanted: str
) -> None:
    with pytest.raises(InvalidSchedule) as refusal:
        parse_cron(expression)

    assert refusal.value.field == "cron_expression"
    assert str(refusal.value).startswith(f'cron_expression has "{given_text}" in its {field} field: ')
    assert wanted in str(refusal.value)


FIVE_FIELDS = "5 are wanted, minute hour day-of-month month day-of-week"


@pytest.mark.parametrize(
    ("expression", "complaint"),
    [
        ("", f'cron_expression "" has 0 fields: {FIVE_FIELDS}'),
        ("   ", f'cron_expression "   " has 0 fields: {FIVE_FIELDS}'),
        ("*", f'cron_expression "*" has 1 field: {FIVE_FIELDS}'),
        ("* * * *", f'cron_expression "* * * *" has 4 fields: {FIVE_FIELDS}'),
        ("* * * * * *", f'cron_expression "* * * * * *" has 6 fields: {FIVE_FIELDS}'),
        ("@reboot", 'cron_expression "@reboot" is no macro: @yearly, @annually, @monthly, '),
        ("@", 'cron_expression "@" is no macro: @yearly'),
        ("@daily now", 'cron_expression "@daily now" is no macro: @yearly'),
        ("\x00", 'cron_expression "\x00" has 1 field'),
        ("0" * 300, "cron_expression has 300 characters: at most 256 are wanted"),
        ("* " * 128 + "*", "cron_expression has 257 characters: at most 256 are wanted"),
    ],
)
def test_what_has_not_five_fields_is_refused_with_what_is_wanted(expression: str, complaint: str) -> None:
    with pytest.raises(InvalidSchedule) as refusal:
        parse_cron(expression)

    assert refusal.value.field == "cron_expression"
    assert str(refusal.value).startswith(complaint)


def test_an_expression_of_the_greatest_length_is_read() -> None:
    expression = ",".join(["10"] * 82 + ["1"]) + " * * * *"
    expression += " " * (MAX_CRON_EXPRESSION_LENGTH - len(expression))

    assert parse_cron(expression).next_after(MONDAY) == MONDAY + MINUTE


@given(st.text(max_size=300) | st.text("0123456789*/-,@ aHLRW#?\x00\t\n", max_size=40))
def test_any_text_is_read_or_refused_and_nothing_else(text: str) -> None:
    try:
        schedule = parse_cron(text)
    except InvalidSchedule as refusal:
        assert refusal.field == "cron_expression"  # noqa: PT017 - a text that is read raises nothing
    else:
        slot = schedule.next_after(MONDAY)
        assert slot is None or slot > MONDAY


def test_a_date_that_never_comes_has_no_slot_and_is_refused() -> None:
    never = parse_cron("0 0 31 2 *")

    assert never.next_after(MONDAY) is None
    assert never.latest_until(MONDAY) is None
    with pytest.raises(InvalidSchedule, match="cron_expression names no instant after 2026-01-05T00:00:00Z"):
        first_slot(never, field="cron_expression", after=MONDAY)


@pytest.mark.parametrize("expression", ["* * * * *", "0 0 29 2 *", "59 23 31 12 *", "0 0 13 * 5", "0 0 31 2 *"])
def test_beyond_the_year_9999_there_is_no_slot(expression: str) -> None:
    assert parse_cron(expression).next_after(THE_END) is None


def test_the_last_slots_of_all_are_found_and_counted() -> None:
    schedule = parse_cron("* * * * *")
    last = utc("9999-12-31 23:59")

    assert schedule.latest_until(THE_END) == last
    assert schedule.next_after(last - MINUTE) == last
    assert schedule.next_after(last) is None
    assert schedule.count_between(last - 9 * MINUTE, last) == (10, True)
    assert parse_cron("0 0 29 2 *").count_between(utc("9992-02-29"), THE_END) == (2, True)


@pytest.mark.parametrize("start", ["1600-01-01", "1900-01-01", "2400-02-28", "9998-12-31"])
def test_other_centuries_follow_the_same_calendar(start: str) -> None:
    instant = utc(start)
    due = [day for day in (instant + number * DAY for number in range(1, 360)) if Crontab("0 0 */3 * *").is_due_on(day)]

    assert slots_of(parse_cron("0 0 */3 * *"), instant + DAY, instant + 360 * DAY) == due


def test_counting_stops_at_its_limit_and_says_that_there_may_be_more() -> None:
    schedule = parse_cron("* * * * *")
    most = MONDAY + (MAX_COUNTED_SLOTS - 2) * MINUTE

    assert schedule.count_between(MONDAY, most) == (MAX_COUNTED_SLOTS - 1, True)
    assert schedule.count_between(MONDAY, most + 365 * DAY) == (MAX_COUNTED_SLOTS, False)
