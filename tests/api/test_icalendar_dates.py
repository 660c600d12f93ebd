"""Which days of an iCalendar text are days off, and what is said of the rest."""

from datetime import date, timedelta

import pytest

from api.icalendar_dates import dates_of
from api.refusals import InvalidICalendar
from tests.api.icalendar_texts import CHRISTMAS, MAINTENANCE, TODAY, calendar_of


def days(*events: str) -> list[str]:
    found = dates_of(calendar_of(*events), today=TODAY)
    assert found.ignored == ()
    return [day.isoformat() for day in sorted(found.dates)]


def ignored(*events: str) -> list[str]:
    found = dates_of(calendar_of(*events), today=TODAY)
    assert found.dates == frozenset()
    return list(found.ignored)


@pytest.mark.parametrize(
    ("event", "expected"),
    [
        ("DTSTART;VALUE=DATE:20261225", ["2026-12-25"]),
        ("DTSTART:20261225", ["2026-12-25"]),
        ("DTSTART;VALUE=DATE;TZID=Europe/Berlin:20261225", ["2026-12-25"]),
        ("dtstart;value=date:20261225", ["2026-12-25"]),
        (CHRISTMAS, ["2026-12-24", "2026-12-25", "2026-12-26"]),
        ("DTSTART;VALUE=DATE:20261231\nDTEND;VALUE=DATE:20270102", ["2026-12-31", "2027-01-01"]),
        ("DTSTART;VALUE=DATE:20280228\nDURATION:P2D", ["2028-02-28", "2028-02-29"]),
        ("DTSTART;VALUE=DATE:20261221\nDURATION:P1W", [f"2026-12-{day}" for day in range(21, 28)]),
        ("DTSTART;VALUE=DATE:20261225\nDTEND;VALUE=DATE:20261225", ["2026-12-25"]),
        ("DTSTART;VALUE=DATE:20261225\nRDATE;VALUE=DATE:20271225,20281225", ["2026-12-25", "2027-12-25", "2028-12-25"]),
        ("DTSTART;VALUE=DATE:19501225", ["1950-12-25"]),
        ("DTSTART;VALUE=DATE:99991231\nDURATION:P5D", ["9999-12-31"]),
        ("DTSTART;VALUE=DATE:20261225\nTRANSP:TRANSPARENT\nCLASS:PUBLIC\nX-ANY;A=b:c", ["2026-12-25"]),
    ],
)
def test_an_event_of_whole_days_is_off_from_its_start_until_before_its_end(event: str, expected: list[str]) -> None:
    assert days(event) == expected


def test_days_that_several_events_name_are_off_once() -> None:
    assert days(CHRISTMAS, CHRISTMAS, "DTSTART;VALUE=DATE:20261227") == [f"2026-12-{day}" for day in range(24, 28)]


def test_a_recurring_event_is_followed_from_a_year_ago_to_ten_years_from_now() -> None:
    found = dates_of(calendar_of("DTSTART;VALUE=DATE:19800101\nRRULE:FREQ=YEARLY"), today=TODAY)

    assert sorted(found.dates) == [date(year, 1, 1) for year in range(2026, 2037)]
    assert found.expanded_until == date(2036, 11, 24)


def test_without_recurring_events_nothing_is_said_of_an_end() -> None:
    assert dates_of(calendar_of(CHRISTMAS), today=TODAY).expanded_until is None


@pytest.mark.parametrize(
    ("today", "first", "last"),
    [
        (date(2028, 2, 29), date(2027, 2, 28), date(2038, 2, 28)),
        (date(9995, 1, 1), date(9994, 1, 1), date(9999, 1, 1)),
        (date(1, 5, 5), date(1, 5, 5), date(11, 5, 5)),
    ],
)
def test_the_years_around_today_may_be_any(today: date, first: date, last: date) -> None:
    event = f"DTSTART;VALUE=DATE:{max(today.year - 50, 1):04}0101\nRRULE:FREQ=MONTHLY;BYMONTHDAY=28,5,1"

    found = dates_of(calendar_of(event), today=today)

    assert first <= min(found.dates) <= first + timedelta(days=40)
    assert last - timedelta(days=40) <= max(found.dates) <= last


def test_exceptions_and_their_replacements_are_honoured() -> None:
    series = "UID:a\nDTSTART;VALUE=DATE:20270101\nRRULE:FREQ=YEARLY;COUNT=5\nEXDATE;VALUE=DATE:20280101,20290101"
    moved = "UID:a\nRECURRENCE-ID;VALUE=DATE:20300101\nDTSTART;VALUE=DATE:20300103"

    assert days(series, moved) == ["2027-01-01", "2030-01-03", "2031-01-01"]
    assert days(moved, series) == ["2027-01-01", "2030-01-03", "2031-01-01"]


def test_a_replacement_is_for_its_own_series_only() -> None:
    series = "UID:a\nDTSTART;VALUE=DATE:20270101\nRRULE:FREQ=YEARLY;COUNT=2"
    moved = "UID:b\nRECURRENCE-ID;VALUE=DATE:20280101\nDTSTART;VALUE=DATE:20280103"

    assert days(series, moved) == ["2027-01-01", "2028-01-01", "2028-01-03"]


@pytest.mark.parametrize(
    "replacement", ["STATUS:CANCELLED\nDTSTART;VALUE=DATE:20280101", "DTSTART:20280101T080000Z", "SUMMARY:no start"]
)
def test_an_occurrence_whose_replacement_has_no_day_off_is_not_off(replacement: str) -> None:
    series = "UID:a\nDTSTART;VALUE=DATE:20270101\nRRULE:FREQ=YEARLY;COUNT=3"

    found = dates_of(calendar_of(series, f"UID:a\nRECURRENCE-ID:20280101\n{replacement}"), today=TODAY)

    assert sorted(found.dates) == [date(2027, 1, 1), date(2029, 1, 1)]
    assert len(found.ignored) == 1


def test_an_exception_with_a_time_of_day_means_its_day() -> None:
    assert days("DTSTART;VALUE=DATE:20270101\nRRULE:FREQ=YEARLY;COUNT=2\nEXDATE:20280101T000000Z") == ["2027-01-01"]


@pytest.mark.parametrize(
    ("event", "sentence"),
    [
        (
            MAINTENANCE,
            'event 1 ("Maintenance") begins at 20261224T080000Z, a time of day: only events of whole days are taken',
        ),
        ("DTSTART;TZID=Nowhere/At_All:20261224T000000", "event 1 begins at 20261224T000000, a time of day"),
        ("DTSTART;VALUE=DATE:20261224\nSTATUS:CANCELLED\nSUMMARY:a\\, b", 'event 1 ("a, b") is cancelled'),
        ("SUMMARY:x", 'event 1 ("x") has no DTSTART'),
        ("DTSTART;VALUE=DATE:2026-12-24", 'event 1 has DTSTART "2026-12-24", which cannot be read'),
        ("DTSTART;VALUE=DATE:20261324", 'event 1 has DTSTART "20261324", which cannot be read'),
        ("DTSTART;VALUE=DATE:٢٠٢٦١٢٢٤", 'event 1 has DTSTART "٢٠٢٦١٢٢٤", which cannot be read'),
        ("DTSTART:P1D", "event 1 begins at P1D, a time of day"),
        (
            "DTSTART;VALUE=DATE:20261224\nDTEND:20261225T120000Z",
            "event 1 has DTEND 20261225T120000Z, which is no whole",
        ),
        ("DTSTART;VALUE=DATE:20261224\nDURATION:PT12H", "event 1 has DURATION PT12H, which is no whole day"),
        ("DTSTART;VALUE=DATE:00010101\nDTEND:90000101", "event 1 lasts 3286817 days: at most 366 are taken"),
        ("DTSTART;VALUE=DATE:20261224\nDURATION:P999999999D", "event 1 lasts 999999999 days"),
        ("DTSTART;VALUE=DATE:20261224\nDURATION:P9999999999W", 'event 1 has DURATION "P9999999999W", which cannot'),
        ("DTSTART;VALUE=DATE:20261224\nRDATE:never", 'event 1 has RDATE "never", which cannot be read'),
        ("DTSTART;VALUE=DATE:20261224\nEXDATE:P1D", "event 1 has EXDATE P1D: dates such as 20261225 are wanted"),
        ("DTSTART;VALUE=DATE:20261224\nRRULE:FREQ=DAILY\nEXRULE:FREQ=WEEKLY", "event 1 has an EXRULE, which is not"),
        (
            "DTSTART;VALUE=DATE:20261224\nRECURRENCE-ID;RANGE=THISANDFUTURE:20261223",
            "event 1 is to replace all later days of its series as well (RANGE)",
        ),
        ("DTSTART;VALUE:20261224", 'event 1 has the line "DTSTART;VALUE:20261224", which cannot be read'),
    ],
)
def test_an_event_that_is_left_out_is_named_with_the_reason(event: str, sentence: str) -> None:
    [told] = ignored(event)

    assert told.startswith(sentence)


def test_a_line_without_a_value_says_nothing() -> None:
    assert days("DTSTART;VALUE=DATE:20261224\nEXDATE") == ["2026-12-24"]


def test_one_event_that_is_left_out_does_not_keep_the_others_out() -> None:
    found = dates_of(calendar_of(MAINTENANCE, CHRISTMAS, "SUMMARY:x"), today=TODAY)

    assert len(found.dates) == 3
    assert [told.partition(" (")[0] for told in found.ignored] == ["event 1", "event 3"]


def test_not_every_event_that_is_left_out_is_told() -> None:
    found = dates_of(calendar_of(*[MAINTENANCE] * 60), today=TODAY)

    assert len(found.ignored) == 51
    assert found.ignored[-1] == "and 10 more events"


def test_long_lines_may_be_folded_and_values_be_quoted() -> None:
    assert days('DTSTART;VALUE=DATE;X-A="b:c;d":2026\n 1225\nSUMMARY:a\n\tb') == ["2026-12-25"]


@pytest.mark.parametrize("text", [f"\ufeff{calendar_of(CHRISTMAS)}", calendar_of(CHRISTMAS).replace("\r\n", "\n")])
def test_a_byte_order_mark_and_plain_line_ends_do_no_harm(text: str) -> None:
    assert len(dates_of(text, today=TODAY).dates) == 3
    assert len(dates_of(text.encode(), today=TODAY).dates) == 3


def test_what_is_within_an_event_or_beside_it_is_not_the_event() -> None:
    alarm = "BEGIN:VALARM\nDTSTART;VALUE=DATE:20200101\nTRIGGER:-PT5M\nEND:VALARM"
    todo = calendar_of(CHRISTMAS).replace("VEVENT", "VTODO")

    assert days(f"{alarm}\nDTSTART;VALUE=DATE:20261225\n{alarm}") == ["2026-12-25"]
    assert dates_of(todo, today=TODAY).dates == frozenset()


def test_several_calendars_in_one_text_are_all_read() -> None:
    assert len(dates_of(calendar_of(CHRISTMAS) + calendar_of("DTSTART:20270101"), today=TODAY).dates) == 4


def test_a_calendar_without_events_has_no_days() -> None:
    assert dates_of(calendar_of(), today=TODAY).dates == frozenset()


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "it is empty: BEGIN:VCALENDAR is wanted first"),
        (" \r\n\r\n", "it is empty"),
        ("<!doctype html>\n<html>", 'it begins with "<!doctype html>": BEGIN:VCALENDAR is wanted first'),
        ('{"dates": []}', "it begins with"),
        ("BEGIN:VEVENT\nEND:VEVENT", 'it begins with "BEGIN:VEVENT"'),
        (calendar_of(CHRISTMAS)[:-30], "it ends before its VEVENT does: END:VCALENDAR is wanted last"),
        (calendar_of(CHRISTMAS).replace("END:VCALENDAR", ""), "it ends before its VCALENDAR does"),
        ("BEGIN:VCALENDAR\nBEGIN:VEVENT\nEND:VCALENDAR", "it has END:VCALENDAR where END:VEVENT is wanted"),
        ("BEGIN:VCALENDAR\nEND:VCALENDAR\nEND:VCALENDAR", "it has END:VCALENDAR where BEGIN:VCALENDAR is wanted"),
        (calendar_of(CHRISTMAS).encode("utf-16"), "its byte 1 is not UTF-8: text in UTF-8 is wanted"),
        (calendar_of("SUMMARY:Nöel").encode("latin-1"), "is not UTF-8"),
        (b"\x00" * 100, "it begins with"),
        (b"\x89PNG\r\n\x1a\n", "its byte 1 is not UTF-8"),
    ],
)
def test_a_text_that_is_no_calendar_is_refused_with_what_is_wanted(text: str | bytes, reason: str) -> None:
    with pytest.raises(InvalidICalendar) as refusal:
        dates_of(text, today=TODAY)
    assert reason in str(refusal.value)


def test_more_days_than_a_calendar_may_have_are_refused() -> None:
    fitting = [f"DTSTART;VALUE=DATE:{year}0101\nDURATION:P100D" for year in range(2000, 2050)]
    assert len(dates_of(calendar_of(*fitting), today=TODAY).dates) == 5_000

    with pytest.raises(InvalidICalendar, match="more days than the 5000 that a calendar may have"):
        dates_of(calendar_of(*fitting, "DTSTART;VALUE=DATE:20500101"), today=TODAY)
