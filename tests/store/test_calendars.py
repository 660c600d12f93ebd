"""Calendars in the store, the same on both databases."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from functools import partial
from threading import Barrier
from typing import Any

import pytest

from engine.calendars import WEEKDAYS, Calendar, Weekday
from engine.errors import CalendarExists, CalendarNotFound, RequestRefused, TooManyCalendars, TooManyDates
from engine.limits import MAX_CALENDAR_DATES
from store import SqlStore
from tests.factories import NOON, make_calendar

CHRISTMAS, NEW_YEAR = date(2026, 12, 25), date(2027, 1, 1)
LATER = NOON + timedelta(hours=1)


def holidays(name: str = "holidays", **overrides: Any) -> Calendar:
    """A calendar of one day, made at noon."""
    return replace(make_calendar(name, dates=[CHRISTMAS]), **overrides)


def refusal_of(verb: Callable[[], object]) -> type[RequestRefused] | None:
    try:
        verb()
    except RequestRefused as refusal:
        return type(refusal)
    return None


def at_once(*verbs: Callable[[], object]) -> list[type[RequestRefused] | None]:
    """What became of verbs that threads of their own call at the same moment."""
    together = Barrier(len(verbs))

    def call(verb: Callable[[], object]) -> type[RequestRefused] | None:
        together.wait()
        return refusal_of(verb)

    with ThreadPoolExecutor(len(verbs)) as pool:
        return list(pool.map(call, verbs))


@contextmanager
def limited_to(monkeypatch: pytest.MonkeyPatch, **limits: int) -> Iterator[None]:
    with monkeypatch.context() as patch:
        for name, limit in limits.items():
            patch.setattr(f"store.calendar_rows.{name}", limit)
        yield


@pytest.mark.parametrize(
    "calendar",
    [
        holidays(),
        holidays("0", dates=frozenset(), description=""),
        holidays("z" * 64, description="Grüße, 世界 🌍 " * 30, weekly_days_off=frozenset(Weekday)),
        holidays("a_b.c-d", dates=frozenset({date.min, date(2028, 2, 29), date.max}), updated_at=LATER),
    ],
    ids=lambda calendar: calendar.name[:9],
)
def test_a_calendar_comes_back_as_it_was_kept(store: SqlStore, calendar: Calendar) -> None:
    store.add_calendar(calendar)
    assert store.views.calendar(calendar.name) == calendar
    assert store.calendars([calendar.name]) == store.views.all_calendars() == [calendar]


def test_instants_of_a_calendar_come_back_in_utc(store: SqlStore) -> None:
    store.add_calendar(holidays(updated_at=datetime(9999, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC)))
    stored = store.views.calendar("holidays")
    assert stored is not None
    assert (stored.created_at.tzinfo, stored.updated_at.tzinfo) == (UTC, UTC)


def test_calendars_are_found_by_their_names(store: SqlStore) -> None:
    for name in ("a", "b", "c"):
        store.add_calendar(holidays(name))
    assert {calendar.name for calendar in store.calendars({"a", "c", "d"})} == {"a", "c"}
    assert store.calendars([]) == []
    assert store.views.calendar("d") is None


def test_all_calendars_come_in_the_order_of_their_names_and_not_of_a_language(store: SqlStore) -> None:
    names = ["a_c", "b", "a.b", "ab", "10", "a-d", "9", "a"]
    for name in names:
        store.add_calendar(holidays(name))
    assert [calendar.name for calendar in store.views.all_calendars()] == sorted(names)


def test_a_name_is_taken_once(store: SqlStore) -> None:
    store.add_calendar(holidays())
    with pytest.raises(CalendarExists, match="holidays"):
        store.add_calendar(holidays(description="another"))
    assert store.views.all_calendars() == [holidays()]


def test_a_new_version_replaces_all_but_when_it_was_made(store: SqlStore) -> None:
    store.add_calendar(holidays())
    store.add_calendar(holidays("other"))
    new = holidays(
        dates=frozenset({NEW_YEAR}), weekly_days_off=frozenset(WEEKDAYS[5:]), description="new", updated_at=LATER
    )
    assert store.replace_calendar(replace(new, created_at=LATER)) == new
    assert store.views.all_calendars() == [new, holidays("other")]


def test_dates_are_added_to_those_that_are_there(store: SqlStore) -> None:
    store.add_calendar(holidays(description="ours", weekly_days_off=frozenset({Weekday.SUNDAY})))
    changed = store.add_calendar_dates("holidays", [NEW_YEAR, CHRISTMAS, NEW_YEAR], updated_at=LATER)
    assert changed == holidays(
        description="ours",
        weekly_days_off=frozenset({Weekday.SUNDAY}),
        dates=frozenset({CHRISTMAS, NEW_YEAR}),
        updated_at=LATER,
    )
    assert store.views.calendar("holidays") == changed


def test_dates_that_threads_add_at_the_same_moment_are_all_there(store: SqlStore) -> None:
    store.add_calendar(holidays(dates=frozenset()))
    days = [NEW_YEAR + timedelta(days=number) for number in range(40)]

    def add(some: list[date]) -> None:
        for day in some:
            store.add_calendar_dates("holidays", [day], updated_at=LATER)

    assert at_once(lambda: add(days[:20]), lambda: add(days[20:])) == [None, None]
    stored = store.views.calendar("holidays")
    assert stored is not None
    assert stored.dates == set(days)


def test_a_deleted_calendar_is_gone_and_its_name_free(store: SqlStore) -> None:
    store.add_calendar(holidays())
    store.add_calendar(holidays("other"))
    store.delete_calendar("holidays")
    assert store.views.all_calendars() == [holidays("other")]
    store.add_calendar(holidays())


def test_what_is_not_there_is_not_changed(store: SqlStore) -> None:
    store.add_calendar(holidays("other"))
    for verb in (
        lambda: store.replace_calendar(holidays()),
        lambda: store.add_calendar_dates("holidays", [NEW_YEAR], updated_at=LATER),
        lambda: store.delete_calendar("holidays"),
    ):
        with pytest.raises(CalendarNotFound, match="Calendar holidays not found"):
            verb()
    assert store.views.all_calendars() == [holidays("other")]


def test_so_many_calendars_may_be_and_no_more(store: SqlStore, monkeypatch: pytest.MonkeyPatch) -> None:
    with limited_to(monkeypatch, MAX_CALENDARS=2):
        store.add_calendar(holidays("a"))
        store.add_calendar(holidays("b"))
        with pytest.raises(TooManyCalendars, match="2 calendars"):
            store.add_calendar(holidays("c"))
        with pytest.raises(CalendarExists):
            store.add_calendar(holidays("a"))
        store.replace_calendar(holidays("a", updated_at=LATER))
        store.delete_calendar("b")
        store.add_calendar(holidays("c"))
    assert [calendar.name for calendar in store.views.all_calendars()] == ["a", "c"]


def test_a_calendar_may_have_so_many_dates_and_no_more(store: SqlStore) -> None:
    days = [date(2000, 1, 1) + timedelta(days=number) for number in range(MAX_CALENDAR_DATES + 1)]
    store.add_calendar(holidays(dates=frozenset(days[:-2])))
    full = store.add_calendar_dates("holidays", days[-4:-1], updated_at=LATER)
    assert len(full.dates) == MAX_CALENDAR_DATES
    refused = holidays(dates=frozenset(days))
    for verb in (
        lambda: store.add_calendar_dates("holidays", days[-1:], updated_at=NOON),
        lambda: store.replace_calendar(refused),
        lambda: store.add_calendar(replace(refused, name="other")),
    ):
        with pytest.raises(TooManyDates, match=f"{MAX_CALENDAR_DATES + 1} dates: at most {MAX_CALENDAR_DATES}"):
            verb()
    assert store.views.all_calendars() == [full]
    assert store.add_calendar_dates("holidays", days[:-1], updated_at=LATER) == full


@pytest.mark.parametrize("attempt", range(10))
def test_of_two_who_take_a_name_at_the_same_moment_one_is_told_that_it_is_taken(store: SqlStore, attempt: int) -> None:
    told = at_once(lambda: store.add_calendar(holidays()), lambda: store.add_calendar(holidays()))
    assert told in ([None, CalendarExists], [CalendarExists, None])
    assert store.views.all_calendars() == [holidays()]


@pytest.mark.parametrize("attempt", range(10))
def test_calendars_that_come_at_the_same_moment_are_counted(
    store: SqlStore, monkeypatch: pytest.MonkeyPatch, attempt: int
) -> None:
    with limited_to(monkeypatch, MAX_CALENDARS=1):
        told = at_once(*(partial(store.add_calendar, holidays(name)) for name in "abcd"))
    assert sorted(told.count(each) for each in (None, TooManyCalendars)) == [1, 3]
    assert len(store.views.all_calendars()) == 1
