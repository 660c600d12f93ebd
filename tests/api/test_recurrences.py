"""Recurrence rules: as the standard has them, as dateutil follows them without our bounds, and endless ones."""

import time
from datetime import date, datetime

import pytest
from dateutil.rrule import rrulestr
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from api.icalendar_dates import DaysInText, dates_of
from api.icalendar_events import Event, LeftOut
from api.recurrences import Effort, days_of_rule
from api.refusals import InvalidICalendar
from tests.api.icalendar_texts import TODAY, calendar_of, filled_with

pytestmark = pytest.mark.once

END = date(2036, 11, 24)
MIDNIGHT = datetime.min.time()


def read_or_refused(text: str | bytes) -> DaysInText | None:
    """What is found in the text; None where it is refused, which must be in a sentence."""
    try:
        return dates_of(text, today=TODAY)
    except InvalidICalendar as error:
        refusal = error
    assert str(refusal).startswith("The iCalendar text cannot be taken: ")
    return None


def days(start: date, rule: str, *, until: date = END) -> list[date]:
    return list(days_of_rule(Event("event 1", "", None, start=start), rule, until=until, effort=Effort()))


@pytest.mark.parametrize(
    ("start", "rule", "expected"),
    [
        ("2026-12-25", "FREQ=YEARLY;COUNT=2", ["2026-12-25", "2027-12-25"]),
        ("2026-12-25", "FREQ=YEARLY;UNTIL=20281224", ["2026-12-25", "2027-12-25"]),
        ("2026-12-25", "FREQ=YEARLY;UNTIL=20281225T235959Z", ["2026-12-25", "2027-12-25", "2028-12-25"]),
        ("2026-12-25", "FREQ=YEARLY;COUNT=9;UNTIL=20271225", ["2026-12-25", "2027-12-25"]),
        ("2028-02-29", "FREQ=YEARLY", ["2028-02-29", "2032-02-29", "2036-02-29"]),
        ("2026-11-26", "FREQ=YEARLY;BYMONTH=11;BYDAY=4TH;COUNT=3", ["2026-11-26", "2027-11-25", "2028-11-23"]),
        ("2027-05-31", "FREQ=YEARLY;BYMONTH=5;BYDAY=-1MO;COUNT=2", ["2027-05-31", "2028-05-29"]),
        ("2027-01-31", "FREQ=MONTHLY;COUNT=3", ["2027-01-31", "2027-03-31", "2027-05-31"]),
        ("2027-01-31", "FREQ=MONTHLY;BYMONTHDAY=-1;COUNT=2", ["2027-01-31", "2027-02-28"]),
        ("2027-01-29", "FREQ=MONTHLY;BYDAY=MO,TU,WE,TH,FR;BYSETPOS=-1;COUNT=2", ["2027-01-29", "2027-02-26"]),
        ("2026-11-25", "FREQ=WEEKLY;INTERVAL=2;BYDAY=MO,WE;COUNT=3", ["2026-11-25", "2026-12-07", "2026-12-09"]),
        (
            "1997-08-05",
            "FREQ=WEEKLY;INTERVAL=2;COUNT=4;BYDAY=TU,SU;WKST=SU",
            ["1997-08-05", "1997-08-17", "1997-08-19", "1997-08-31"],
        ),
        ("2026-12-25", "FREQ=DAILY;INTERVAL=10;COUNT=2", ["2026-12-25", "2027-01-04"]),
        ("2027-04-10", "FREQ=YEARLY;BYYEARDAY=100,-1;COUNT=2", ["2027-04-10", "2027-12-31"]),
        ("2027-05-17", "FREQ=YEARLY;BYWEEKNO=20;BYDAY=MO;COUNT=2", ["2027-05-17", "2028-05-15"]),
        ("2026-12-25", "freq=yearly;count=1;byhour=8;byminute=0;bysecond=0", ["2026-12-25"]),
        ("2026-12-25", "FREQ=YEARLY;COUNT=1;", ["2026-12-25"]),
        ("2040-01-01", "FREQ=YEARLY", []),
        ("2026-12-25", "FREQ=YEARLY;UNTIL=20200101", []),
        ("2026-12-25", "FREQ=YEARLY;INTERVAL=9000", ["2026-12-25"]),
    ],
)
def test_a_rule_gives_the_days_that_the_standard_says(start: str, rule: str, expected: list[str]) -> None:
    assert [day.isoformat() for day in days(date.fromisoformat(start), rule)] == expected


def lists_of(values: st.SearchStrategy[int]) -> st.SearchStrategy[str]:
    return st.lists(values, min_size=1, max_size=3).map(lambda found: ",".join(map(str, found)))


WEEKDAYS = st.lists(st.sampled_from(["MO", "TU", "WE", "TH", "FR", "SA", "SU"]), min_size=1, max_size=3).map(",".join)
COUNTED_WEEKDAYS = st.sampled_from(["1MO", "-1FR", "2TU,4TH", "5SU", "-5WE"])
RULES = st.fixed_dictionaries(
    {"FREQ": st.sampled_from(["YEARLY", "MONTHLY", "WEEKLY", "DAILY"])},
    optional={
        "INTERVAL": st.integers(1, 5).map(str),
        "COUNT": st.integers(1, 30).map(str),
        "BYMONTH": lists_of(st.integers(1, 12)),
        "BYMONTHDAY": lists_of(st.integers(1, 31) | st.integers(-31, -1)),
        "BYDAY": WEEKDAYS | COUNTED_WEEKDAYS,
        "BYYEARDAY": lists_of(st.integers(1, 366) | st.integers(-366, -1)),
        "BYWEEKNO": lists_of(st.integers(1, 53) | st.integers(-53, -1)),
        "BYSETPOS": lists_of(st.integers(1, 5) | st.integers(-5, -1)),
        "WKST": st.sampled_from(["MO", "SU"]),
    },
)


@given(start=st.dates(date(1990, 1, 1), date(2030, 1, 1)), parts=RULES)
@settings(max_examples=200)
def test_the_days_are_those_of_dateutil_without_our_bounds(start: date, parts: dict[str, str]) -> None:
    rule = ";".join(f"{part}={value}" for part, value in parts.items())
    assume(parts["FREQ"] in ("YEARLY", "MONTHLY") or "BYDAY" not in parts or parts["BYDAY"][0] not in "-12345")
    try:
        found = days(start, rule)
    except InvalidICalendar:
        # Without our bounds, this would take dateutil until the year 9999 to say.
        return
    first, last = datetime.combine(start, MIDNIGHT), datetime.combine(END, MIDNIGHT)
    assert found == [moment.date() for moment in rrulestr(rule, dtstart=first).between(first, last, inc=True)]


@pytest.mark.parametrize(
    ("rule", "reason"),
    [
        ("FREQ=SECONDLY", "FREQ of DAILY, WEEKLY, MONTHLY or YEARLY is wanted"),
        ("FREQ=HOURLY;COUNT=3", "FREQ of DAILY"),
        ("hello", "FREQ of DAILY"),
        ("", "FREQ of DAILY"),
        ("FREQ=OFTEN", "cannot be read"),
        ("FREQ=YEARLY;COUNT=1e9", "cannot be read"),
        ("FREQ=YEARLY;UNTIL=never", "cannot be read"),
        ("FREQ=YEARLY;UNTIL=P1D", "UNTIL should be a date"),
        ("FREQ=YEARLY;COUNT=0", "COUNT of 1 or more is wanted"),
        ("FREQ=YEARLY;COUNT=-1", "COUNT of 1 or more is wanted"),
        ("FREQ=YEARLY;INTERVAL=0", "INTERVAL of 1 to 10000 is wanted"),
        ("FREQ=DAILY;INTERVAL=-1", "INTERVAL of 1 to 10000 is wanted"),
        ("FREQ=YEARLY;INTERVAL=10001", "INTERVAL of 1 to 10000 is wanted"),
        (f"FREQ=YEARLY;INTERVAL={'9' * 4_000}", "cannot be read"),
        ("FREQ=YEARLY;BYMONTH=13", "BYMONTH of 1 to 12, and not 0, is wanted"),
        ("FREQ=YEARLY;BYMONTH=0", "BYMONTH of 1 to 12"),
        ("FREQ=YEARLY;BYMONTH=1,-1", "cannot be read"),
        ("FREQ=YEARLY;BYMONTHDAY=32", "BYMONTHDAY of -31 to 31, and not 0, is wanted"),
        ("FREQ=YEARLY;BYYEARDAY=0", "BYYEARDAY of -366 to 366"),
        ("FREQ=YEARLY;BYWEEKNO=54", "BYWEEKNO of -53 to 53"),
        ("FREQ=YEARLY;BYSETPOS=367", "BYSETPOS of -366 to 366"),
        ("FREQ=YEARLY;BYDAY=XX", "cannot be read"),
        ("FREQ=YEARLY;BYDAY=54MO", "BYDAY with a number of 53 at most is wanted here"),
        ("FREQ=YEARLY;BYMONTH=12;BYDAY=6MO", "BYDAY with a number of 5 at most"),
        ("FREQ=MONTHLY;BYDAY=-6MO", "BYDAY with a number of 5 at most"),
        ("FREQ=WEEKLY;BYDAY=1MO", "BYDAY with a number of 0 at most"),
        ("RSCALE=CHINESE;FREQ=YEARLY", "RSCALE is not understood"),
        ("FREQ=YEARLY;BYEASTER=0", "BYEASTER is not understood"),
        ("FREQ=YEARLY;BYMONTH=5L", "BYMONTH of 1 to 12"),
        (f"FREQ=YEARLY;BYDAY={','.join(['MO'] * 63)}", "it has 63 values, and at most 62 are taken"),
    ],
)
def test_a_rule_that_cannot_be_followed_leaves_its_event_out_with_the_reason(rule: str, reason: str) -> None:
    with pytest.raises(LeftOut) as problem:
        days(date(2026, 12, 25), rule)
    assert reason in str(problem.value)
    assert len(str(problem.value)) < 300


IMPOSSIBLE = [
    "FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=30",
    "FREQ=MONTHLY;BYMONTH=2;BYMONTHDAY=30",
    "FREQ=WEEKLY;BYMONTH=2;BYMONTHDAY=30",
    "FREQ=DAILY;BYMONTH=2;BYMONTHDAY=30",
    "FREQ=DAILY;BYMONTH=4,6,9,11;BYMONTHDAY=31;UNTIL=20270101",
    "FREQ=YEARLY;BYDAY=MO;BYSETPOS=60",
]


@pytest.mark.parametrize("rule", IMPOSSIBLE)
def test_an_impossible_rule_is_refused_by_name(rule: str) -> None:
    with pytest.raises(InvalidICalendar, match="of event 1 never gives a day: mend it, or take it out"):
        days(date(2026, 12, 25), rule)


START = "DTSTART;VALUE=DATE:20261224\n"
ALL_DAYS = "BYDAY=MO,TU,WE,TH,FR,SA,SU"
POSITIONS = ",".join(map(str, range(1, 56)))
ENDLESS_TEXTS = {
    "seconds": filled_with(f"{START}RRULE:FREQ=SECONDLY"),
    "impossible": filled_with(f"{START}RRULE:FREQ=DAILY;BYMONTH=2;BYMONTHDAY=30"),
    "rare": filled_with(f"{START}RRULE:FREQ=DAILY;BYMONTH=2;BYMONTHDAY=29;BYDAY=MO"),
    "positions by year": filled_with(f"{START}RRULE:FREQ=YEARLY;{ALL_DAYS};BYSETPOS={POSITIONS}"),
    "positions by day": filled_with(f"{START}RRULE:FREQ=DAILY;{ALL_DAYS};BYSETPOS={POSITIONS}"),
    "each day of a year": filled_with(f"{START}RRULE:FREQ=YEARLY;{ALL_DAYS}"),
    "days": filled_with(f"{START}RRULE:FREQ=DAILY"),
    "weeks": filled_with(f"{START}RRULE:FREQ=WEEKLY"),
    "months": filled_with(f"{START}RRULE:FREQ=MONTHLY"),
    "years": filled_with(f"{START}RRULE:FREQ=YEARLY"),
    "a year each day": filled_with(f"{START}DURATION:P366D\nRRULE:FREQ=DAILY"),
    "a billion": filled_with(f"{START}RRULE:FREQ=DAILY;COUNT=1000000000"),
    "since the year 1": filled_with("DTSTART;VALUE=DATE:00010101\nRRULE:FREQ=DAILY"),
    "one since the year 1": calendar_of("DTSTART;VALUE=DATE:00010101\nRRULE:FREQ=WEEKLY"),
    "9,000 years": filled_with("DTSTART;VALUE=DATE:00010101\nDTEND;VALUE=DATE:90000101"),
    "tiny events": filled_with("X"),
    "events that begin only": "BEGIN:VCALENDAR\n" + "BEGIN:VEVENT\n" * 20_000,
    "lines far within": "BEGIN:VCALENDAR\n" + "BEGIN:A\n" * 16_000 + "DTSTART:x\n" * 12_000,
    "extra dates": calendar_of(f"{START}DURATION:P366D\nRDATE;VALUE=DATE:{'20260101,' * 28_000}20260101"),
    "exceptions": calendar_of(f"{START}RRULE:FREQ=DAILY\nEXDATE;VALUE=DATE:{'20260101,' * 28_000}20260101"),
    "parameters": calendar_of("DTSTART;" + "A=B;" * 65_000 + ":20260101"),
    "commas": calendar_of("SUMMARY;A=" + "," * 260_000 + ":x"),
    "weekdays": calendar_of(f"{START}RRULE:FREQ=YEARLY;BYDAY={'MO,' * 85_000}MO"),
    "a time zone": calendar_of(
        f"{START}END:VEVENT\nBEGIN:VTIMEZONE\nTZID:X\nBEGIN:STANDARD\nDTSTART:19700101T000000"
    ).replace(
        "DTSTART:19700101T000000\r\nEND:VEVENT",
        "DTSTART:19700101T000000\r\nTZOFFSETFROM:+0000\r\nTZOFFSETTO:+0100\r\nRRULE:FREQ=SECONDLY\r\n"
        "END:STANDARD\r\nEND:VTIMEZONE",
    ),
    "blank lines": "BEGIN:VCALENDAR" + "\n" * 260_000,
    "folds": "BEGIN:VCALENDAR\n" + "a\n " * 87_000,
    "nothing": "\x00" * 262_144,
}


@pytest.mark.parametrize("text", ENDLESS_TEXTS.values(), ids=ENDLESS_TEXTS.keys())
def test_no_text_takes_long(text: str) -> None:
    assert len(text) <= 262_144
    # The time of this thread alone: the machine may be busy. A second was measured at most on a quiet one.
    begun = time.thread_time()
    found = read_or_refused(text)
    assert time.thread_time() - begun < 5
    assert found is None or len(found.dates) <= 5_000
    assert found is None or len(found.ignored) <= 51


def test_a_text_that_costs_too_much_says_where_and_what_is_wanted() -> None:
    with pytest.raises(InvalidICalendar, match=r"take too long to follow, at event \d+: give fewer of them"):
        dates_of(ENDLESS_TEXTS["days"], today=TODAY)


def test_more_holidays_than_any_country_has_cost_not_too_much() -> None:
    weekdays = ("MO", "TU", "WE", "TH", "FR")
    rules = [f"BYMONTH={month};BYDAY={n}{day}" for month in range(1, 13) for n in (1, 2, -1) for day in weekdays]
    holidays = [f"DTSTART;VALUE=DATE:19700101\nRRULE:FREQ=YEARLY;{rule}" for rule in rules]

    found = dates_of(calendar_of(*holidays), today=TODAY)

    assert len(holidays) == 180
    assert 180 * 11 - 20 < len(found.dates) < 180 * 11 + 20


@given(st.text(max_size=200) | st.binary(max_size=200))
def test_whatever_the_text_it_is_read_or_refused(text: str | bytes) -> None:
    read_or_refused(text)


LINES = st.lists(
    st.sampled_from(
        [
            *("BEGIN:VEVENT", "END:VEVENT", "BEGIN:VALARM", "END:VALARM", "UID:a", "UID:b", "SUMMARY:x"),
            *("DTSTART:20261224", "DTSTART;VALUE=DATE:20270101", "DTEND:20270103", "DURATION:P3D", "DURATION:-P3D"),
            *("RRULE:FREQ=DAILY;COUNT=3", "RRULE:FREQ=YEARLY;UNTIL=20300101", "RRULE:FREQ=YEARLY;BYMONTH=1;BYDAY=SU"),
            *("RDATE:20280101", "RDATE;VALUE=PERIOD:20270101T000000Z/P1D", "EXDATE:20261224"),
            *("RECURRENCE-ID:20261224", "STATUS:CANCELLED", "RRULE:", "RDATE:", "DTSTART:", "DTSTART", ";", ":", "="),
        ]
    ),
    max_size=20,
)


@given(LINES)
@settings(max_examples=300)
def test_whatever_the_lines_they_are_read_or_refused(lines: list[str]) -> None:
    text = "\n".join(["BEGIN:VCALENDAR", "BEGIN:VEVENT", *lines, "END:VEVENT", "END:VCALENDAR"])
    found = read_or_refused(text)
    assert found is None or found.dates or found.ignored or "RRULE" in text or "EXDATE" in text or "REC" in text
