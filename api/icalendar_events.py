"""iCalendar text (RFC 5545) as events: what is in it about days, and nothing else of it. Meant for hostile text too.

The lines are split, and their values read, by `icalendar`. Its components are not used: while it builds one, it expands
the rules of a VTIMEZONE, which may be endless, and keeps the result for the whole process.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from typing import Any

from icalendar.parser import Contentline, Contentlines
from icalendar.prop import vDDDLists, vDDDTypes, vRecur

from api.limits import MAX_EVENT_DAYS, MAX_SHOWN_EVENT_TEXT_LENGTH
from api.refusals import InvalidICalendar
from engine.text import clean_text

ONE_DAY = timedelta(days=1)
NAME = re.compile(r"[A-Za-z-]+(?=[;:])")
WANTED = {
    *("DTSTART", "DTEND", "DURATION", "UID", "SUMMARY", "STATUS"),
    *("RRULE", "RDATE", "EXRULE", "EXDATE", "RECURRENCE-ID"),
}


class LeftOut(Exception):
    """Why an event has no days off."""


@dataclass(frozen=True, slots=True)
class Event:
    """One VEVENT. It covers `days` days from `start` on, from each of `extra_starts`, and from what its rules give.

    `problem` says why it is left out. `replaces` is the day of the series `uid` in whose place it stands, also when it
    is left out.
    """

    label: str
    uid: str
    replaces: date | None
    problem: str | None = None
    start: date = date.min
    days: int = 1
    rules: tuple[str, ...] = ()
    extra_starts: tuple[date, ...] = ()
    exceptions: frozenset[date] = field(default_factory=frozenset)


Properties = dict[str, list[str]]
"""The values of an event's properties by name."""


def read_events(text: str) -> list[Event]:
    """The events of the text. Raises InvalidICalendar where it is no iCalendar text, or not a whole one."""
    return [_event(number, lines) for number, lines in enumerate(_events_by_lines(text), start=1)]


def shown(value: object) -> str:
    """A value of the text as it may stand in a sentence."""
    return clean_text(str(value), at_most=MAX_SHOWN_EVENT_TEXT_LENGTH)


def read_value(kind: type[vDDDTypes | vDDDLists | vRecur], name: str, text: str) -> Any:
    """The value of a property. Raises LeftOut where it is none of its kind."""
    try:
        return kind.from_ical(text)
    except (ValueError, TypeError, OverflowError):
        raise LeftOut(f'has {name} "{shown(text)}", which cannot be read') from None


def _events_by_lines(text: str) -> Iterator[list[Contentline]]:
    """The wanted lines of each VEVENT."""
    open_components: list[str] = []
    event: list[Contentline] = []
    for line in _lines(text):
        keyword, _, component = line.upper().rstrip().partition(":")
        if keyword == "BEGIN":
            open_components.append(component)
        elif keyword == "END":
            _close(open_components, component)
            if component == "VEVENT" and len(open_components) == 1:
                yield event
                event = []
        elif len(open_components) == 2 and open_components[1] == "VEVENT" and _name(line) in WANTED:
            event.append(line)
    if open_components:
        raise InvalidICalendar(f"it ends before its {shown(open_components[-1])} does: END:VCALENDAR is wanted last")


def _lines(text: str) -> list[Contentline]:
    unfolded: list[Contentline] = Contentlines.from_ical(text)  # type: ignore[no-untyped-call]  # its types are partial
    lines = [line for line in unfolded if line.strip()]
    if not lines or lines[0].upper().rstrip() != "BEGIN:VCALENDAR":
        given = f'it begins with "{shown(lines[0])}"' if lines else "it is empty"
        raise InvalidICalendar(f"{given}: BEGIN:VCALENDAR is wanted first")
    return lines


def _close(open_components: list[str], component: str) -> None:
    if not open_components or open_components[-1] != component:
        wanted = f"END:{open_components[-1]}" if open_components else "BEGIN:VCALENDAR"
        raise InvalidICalendar(f"it has END:{shown(component)} where {shown(wanted)} is wanted")
    open_components.pop()


def _name(line: Contentline) -> str:
    found = NAME.match(line)
    return found[0].upper() if found else ""


def _event(number: int, lines: list[Contentline]) -> Event:
    properties, fault = _properties(lines)
    label, uid = _label(number, properties), _first(properties, "UID")
    replaces = None
    try:
        replaces = next(_days(properties, "RECURRENCE-ID"), None)
        event = _all_day_event(properties, label=label, uid=uid, replaces=replaces)
    except LeftOut as problem:
        return Event(label, uid, replaces, problem=fault or str(problem))
    return replace(event, problem=fault)


def _properties(lines: list[Contentline]) -> tuple[Properties, str | None]:
    """The values by name, and what is wrong with one of the lines."""
    properties: Properties = {}
    fault = None
    for line in lines:
        try:
            _, parameters, value = line.parts()
        except ValueError:
            fault = f'has the line "{shown(line)}", which cannot be read: NAME;PARAMETER=...:VALUE is wanted'
            continue
        properties.setdefault(_name(line), []).append(value)
        if "RANGE" in parameters:
            fault = "is to replace all later days of its series as well (RANGE), which is not understood"
    return properties, fault


def _label(number: int, properties: Properties) -> str:
    summary = _first(properties, "SUMMARY")
    return f'event {number} ("{shown(summary)}")' if summary else f"event {number}"


def _all_day_event(properties: Properties, *, label: str, uid: str, replaces: date | None) -> Event:
    if _first(properties, "STATUS").upper() == "CANCELLED":
        raise LeftOut("is cancelled")
    if "EXRULE" in properties:
        raise LeftOut("has an EXRULE, which is not understood: its days as EXDATE are wanted")
    start = _start(properties)
    return Event(
        label,
        uid,
        replaces,
        start=start,
        days=_length(properties, start),
        rules=tuple(properties.get("RRULE", [])),
        extra_starts=tuple(_days(properties, "RDATE")),
        exceptions=frozenset(_days(properties, "EXDATE")),
    )


def _start(properties: Properties) -> date:
    text = _first(properties, "DTSTART")
    if not text:
        raise LeftOut("has no DTSTART")
    start = read_value(vDDDTypes, "DTSTART", text)
    if type(start) is not date:
        raise LeftOut(f"begins at {shown(text)}, a time of day: only events of whole days are taken")
    return start


def _length(properties: Properties, start: date) -> int:
    """How many days it covers. RFC 5545, 3.6.1: DTEND is the first day after it; without end it is one day."""
    name = "DTEND" if "DTEND" in properties else "DURATION"
    if name not in properties:
        return 1
    text = _first(properties, name)
    end = read_value(vDDDTypes, name, text)
    length = end - start if type(end) is date else end
    if type(length) is not timedelta or length % ONE_DAY:
        raise LeftOut(f"has {name} {shown(text)}, which is no whole day, as its DTSTART is")
    if length.days > MAX_EVENT_DAYS:
        raise LeftOut(f"lasts {length.days} days: at most {MAX_EVENT_DAYS} are taken")
    # Some programs write the last day itself as the end of a day.
    return max(length.days, 1)


def _days(properties: Properties, name: str) -> Iterator[date]:
    for text in properties.get(name, []):
        for value in read_value(vDDDLists, name, text):
            day = value[0] if isinstance(value, tuple) else value
            if not isinstance(day, date):
                raise LeftOut(f"has {name} {shown(text)}: dates such as 20261225 are wanted")
            # A time of day says nothing more about an event of whole days.
            yield date(day.year, day.month, day.day)


def _first(properties: Properties, name: str) -> str:
    return properties.get(name, [""])[0]
