"""iCalendar texts for tests: a calendar around the events that a test is about."""

from datetime import date
from itertools import chain

TODAY = date(2026, 11, 24)

CHRISTMAS = "DTSTART;VALUE=DATE:20261224\nDTEND;VALUE=DATE:20261227\nSUMMARY:Christmas"
THANKSGIVING = "DTSTART;VALUE=DATE:20221124\nRRULE:FREQ=YEARLY;BYMONTH=11;BYDAY=4TH\nSUMMARY:Thanksgiving"
MAINTENANCE = "DTSTART:20261224T080000Z\nDTEND:20261224T100000Z\nSUMMARY:Maintenance"


def calendar_of(*events: str) -> str:
    """A calendar with an event of each block of lines, with the line ends of the standard."""
    lines = chain.from_iterable(["BEGIN:VEVENT", *event.split("\n"), "END:VEVENT"] for event in events)
    return "\r\n".join(["BEGIN:VCALENDAR", "VERSION:2.0", "PRODID:-//test//EN", *lines, "END:VCALENDAR", ""])


def filled_with(event: str, *, size: int = 262_144) -> str:
    """A calendar with the same event again and again, up to so many bytes."""
    room = size - len(calendar_of())
    return calendar_of(*[event] * (room // (len(calendar_of(event)) - len(calendar_of()))))
