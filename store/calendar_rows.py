"""Calendars as rows, and the jobs that list them. Every function works inside the caller's transaction."""

import json
from collections.abc import Collection
from dataclasses import replace
from datetime import date, datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, Row, Text, bindparam, cast, delete, insert, or_, select, text, update

from engine.calendars import WEEKDAYS, Calendar, Weekday
from engine.errors import (
    CalendarExists,
    CalendarInUse,
    CalendarNotFound,
    TooManyCalendars,
    TooManyDates,
    UnknownCalendar,
)
from engine.limits import MAX_CALENDAR_DATES, MAX_CALENDARS
from store.tables import calendars, jobs

JOBS_NAMED = 5
"""Jobs that a refused deletion names, the oldest ones."""

_BY_NAMES = select(calendars).where(calendars.c.name.in_(bindparam("names", expanding=True)))
_BY_NAME = select(calendars).where(calendars.c.name == bindparam("named"))
# SQLite leaves the locks out, here and below: there a transaction that writes is alone from its first moment.
_TO_CHANGE = _BY_NAME.with_for_update(key_share=True)
_TO_DELETE = select(calendars.c.name).where(calendars.c.name == bindparam("named")).with_for_update()
# The weakest lock that keeps a calendar from being deleted; several jobs may hold it, and its dates may change.
_TO_LIST = (
    select(calendars.c.name)
    .where(calendars.c.name.in_(bindparam("names", expanding=True)))
    .with_for_update(read=True, key_share=True)
)
_NAMES = select(calendars.c.name)
_INSERT = insert(calendars)
_UPDATE = update(calendars).where(calendars.c.name == bindparam("named")).returning(calendars.c.created_at)
_DELETE = delete(calendars).where(calendars.c.name == bindparam("named"))
# No row can be locked that is not there yet. Conflicts with itself and with every write, not with jobs that list.
_LOCK_TABLE = text("LOCK TABLE calendars IN SHARE ROW EXCLUSIVE MODE")

_LISTED = cast(jobs.c.exclude_calendars, Text)


def find_calendar(connection: Connection, name: str) -> Calendar | None:
    row = connection.execute(_BY_NAME, {"named": name}).first()
    return None if row is None else _calendar_of(row)


def find_calendars(connection: Connection, names: Collection[str]) -> list[Calendar]:
    return [_calendar_of(row) for row in connection.execute(_BY_NAMES, {"names": list(names)})]


def all_calendars(connection: Connection) -> list[Calendar]:
    # Sorted here: PostgreSQL would go by the language of the database.
    found = [_calendar_of(row) for row in connection.execute(select(calendars))]
    return sorted(found, key=lambda calendar: calendar.name)


def require_calendars(connection: Connection, names: Collection[str]) -> None:
    """Raise UnknownCalendar for the first name without a calendar; the others stay until the transaction ends."""
    if not names:
        return
    known = set(connection.execute(_TO_LIST, {"names": list(names)}).scalars())
    for name in names:
        if name not in known:
            raise UnknownCalendar(name)


def insert_calendar(connection: Connection, calendar: Calendar) -> None:
    """Raises CalendarExists, TooManyCalendars and TooManyDates."""
    if connection.dialect.name == "postgresql":
        connection.execute(_LOCK_TABLE)
    names = set(connection.execute(_NAMES).scalars())
    if calendar.name in names:
        raise CalendarExists(calendar.name)
    if len(names) >= MAX_CALENDARS:
        raise TooManyCalendars(MAX_CALENDARS)
    connection.execute(_INSERT, {"name": calendar.name, "created_at": calendar.created_at} | _changeable(calendar))


def replace_calendar(connection: Connection, calendar: Calendar) -> Calendar:
    """Raises CalendarNotFound and TooManyDates."""
    row = connection.execute(_UPDATE.values(_changeable(calendar)), {"named": calendar.name}).first()
    if row is None:
        raise CalendarNotFound(calendar.name)
    return replace(calendar, created_at=row.created_at)


def add_dates(connection: Connection, name: str, dates: Collection[date], updated_at: datetime) -> Calendar:
    """Add the dates; raises CalendarNotFound and TooManyDates."""
    row = connection.execute(_TO_CHANGE, {"named": name}).first()
    if row is None:
        raise CalendarNotFound(name)
    stored = _calendar_of(row)
    return replace_calendar(connection, replace(stored, dates=stored.dates | set(dates), updated_at=updated_at))


def delete_calendar(connection: Connection, name: str) -> None:
    """Raises CalendarNotFound and CalendarInUse."""
    # Locked before jobs are looked at: one that is about to list it is waited for, or waits and finds it gone.
    if connection.execute(_TO_DELETE, {"named": name}).first() is None:
        raise CalendarNotFound(name)
    using = jobs_listing(connection, name)
    if using:
        raise CalendarInUse(name, jobs=using[:JOBS_NAMED], count=len(using))
    connection.execute(_DELETE, {"named": name})


def jobs_listing(connection: Connection, calendar_name: str) -> list[tuple[UUID, str]]:
    """The ids and names of the jobs that list the calendar, the oldest first."""
    # What may list it; a backslash may hide a name from the search. What does list it is then read from the JSON.
    may_list = or_(_LISTED.contains(f'"{calendar_name}"', autoescape=True), _LISTED.contains("\\"))
    rows = connection.execute(
        select(jobs.c.id, jobs.c.name, _LISTED).where(may_list).order_by(jobs.c.created_at, jobs.c.id)
    )
    return [(job_id, name) for job_id, name, listed in rows if calendar_name in _names_in(listed)]


def _names_in(listed: str) -> list[Any]:
    # Read by hand, as only a part of the rows is ours to judge: one that somebody else wrote must not end the search.
    try:
        names = json.loads(listed)
    except ValueError:
        return []
    return names if isinstance(names, list) else []


def _changeable(calendar: Calendar) -> dict[str, Any]:
    """What may change of a calendar; raises TooManyDates."""
    if len(calendar.dates) > MAX_CALENDAR_DATES:
        raise TooManyDates(len(calendar.dates), limit=MAX_CALENDAR_DATES)
    return {
        "description": calendar.description,
        "dates": [day.isoformat() for day in sorted(calendar.dates)],
        "weekly_days_off": [weekday for weekday in WEEKDAYS if weekday in calendar.weekly_days_off],
        "updated_at": calendar.updated_at,
    }


def _calendar_of(row: Row[Any]) -> Calendar:
    return Calendar(
        name=row.name,
        description=row.description,
        dates=frozenset(map(date.fromisoformat, row.dates)),
        weekly_days_off=frozenset(map(Weekday, row.weekly_days_off)),
        created_at=row.created_at,
        updated_at=row.updated_at,
    )
