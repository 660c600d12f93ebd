"""The days off in an iCalendar text: those of its events of whole days. What is left out is told."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date

from api.icalendar_events import Event, LeftOut, read_events
from api.limits import EXPANDED_YEARS_AFTER, EXPANDED_YEARS_BEFORE, MAX_IGNORED_EVENTS_TOLD
from api.recurrences import Effort, days_of_rule
from api.refusals import InvalidICalendar
from engine.limits import MAX_CALENDAR_DATES

Replaced = Mapping[str, set[date]]
"""For each series, the days in whose place other events stand."""


@dataclass(frozen=True, slots=True)
class DaysInText:
    """The days off; for each event that has none a sentence why; until when recurring events, if any, were followed."""

    dates: frozenset[date]
    ignored: tuple[str, ...]
    expanded_until: date | None


@dataclass(frozen=True, slots=True)
class Span:
    """The days, first and last included, between which recurring events are followed."""

    first: date
    last: date


def dates_of(text: str | bytes, *, today: date) -> DaysInText:
    """The days off in the text. Raises InvalidICalendar, which says what is wanted, also of a text without end."""
    events = read_events((text if isinstance(text, str) else _decoded(text)).removeprefix("\ufeff"))
    span = Span(_years_from(today, -EXPANDED_YEARS_BEFORE), _years_from(today, EXPANDED_YEARS_AFTER))
    replaced = _replaced(events)
    dates: set[date] = set()
    ignored: list[str] = []
    effort = Effort()
    for event in events:
        try:
            _add(dates, _days_off(event, span=span, replaced=replaced, effort=effort))
        except LeftOut as problem:
            ignored.append(f"{event.label} {problem}")
    is_recurring = any(event.rules for event in events)
    return DaysInText(frozenset(dates), tuple(_bounded(ignored)), expanded_until=span.last if is_recurring else None)


def _decoded(text: bytes) -> str:
    try:
        return text.decode("utf-8")
    except UnicodeDecodeError as error:
        raise InvalidICalendar(f"its byte {error.start + 1} is not UTF-8: text in UTF-8 is wanted") from None


def _years_from(today: date, years: int) -> date:
    year = min(max(today.year + years, date.min.year), date.max.year)
    try:
        return today.replace(year=year)
    except ValueError:
        return today.replace(year=year, day=28)


def _replaced(events: Iterable[Event]) -> Replaced:
    found: dict[str, set[date]] = {}
    for event in events:
        if event.replaces is not None:
            found.setdefault(event.uid, set()).add(event.replaces)
    return found


def _days_off(event: Event, *, span: Span, replaced: Replaced, effort: Effort) -> Iterator[date]:
    """Each day that the event covers, once, in order."""
    if event.problem is not None:
        raise LeftOut(event.problem)
    gone = set(event.exceptions) if event.replaces else event.exceptions | replaced.get(event.uid, set())
    uncovered = date.min.toordinal()
    for start in sorted(_starts(event, span=span, effort=effort) - gone):
        after = min(start.toordinal() + event.days, date.max.toordinal() + 1)
        yield from map(date.fromordinal, range(max(start.toordinal(), uncovered), after))
        uncovered = after


def _starts(event: Event, *, span: Span, effort: Effort) -> set[date]:
    """The first days of all stretches that the event covers: of a recurring one, those that reach into the span."""
    starts = {event.start, *event.extra_starts}
    if not event.rules:
        return starts
    for rule in event.rules:
        starts.update(days_of_rule(event, rule, until=span.last, effort=effort))
    earliest = span.first.toordinal() - event.days
    return {start for start in starts if earliest < start.toordinal() and start <= span.last}


def _add(dates: set[date], days: Iterable[date]) -> None:
    for day in days:
        dates.add(day)
        if len(dates) > MAX_CALENDAR_DATES:
            raise InvalidICalendar(f"its events have more days than the {MAX_CALENDAR_DATES} that a calendar may have")


def _bounded(ignored: list[str]) -> list[str]:
    more = len(ignored) - MAX_IGNORED_EVENTS_TOLD
    return ignored if more <= 0 else [*ignored[:MAX_IGNORED_EVENTS_TOLD], f"and {more} more events"]
