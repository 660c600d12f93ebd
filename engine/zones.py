"""Time zones: which names there are, and the stretches of time in which a zone keeps one offset from UTC."""

import difflib
import zoneinfo
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from functools import cache, lru_cache

from engine.errors import InvalidSchedule
from engine.limits import MAX_REMEMBERED_ZONE_MONTHS, MAX_TIMEZONE_LENGTH

FIELD = "timezone"
UTC_NAME = "UTC"

PROBING = timedelta(days=3)
"""How far apart a zone is looked at, which does not tell its changes. Two that undo each other in between would go
unseen; the nearest two of any zone are 3.99 days apart (Freetown, 1939). A test looks at all zones."""

LOOKING_BACK = timedelta(days=2)
"""Longer than any overlap: the largest change of clocks is a day."""

ONE_SECOND = timedelta(seconds=1)

NOT_ZONES = {"localtime", "posixrules", "Factory"}
"""What a machine may have beside the zones, and another may not: its own setting, a rule set, a placeholder."""

# The ends of time, with room for any offset: zoneinfo cannot tell one for the very first and last hours.
_FIRST_KNOWN = datetime(1, 1, 4, tzinfo=UTC)
_LAST_KNOWN = datetime(9999, 12, 29, tzinfo=UTC)
END_OF_TIME = datetime.max.replace(tzinfo=UTC, microsecond=0)
FIRST_WALL = datetime.min  # noqa: DTZ901 - a wall is naive
LAST_WALL = END_OF_TIME.replace(tzinfo=None)


@dataclass(frozen=True, slots=True)
class Piece:
    """A stretch of one offset, from `start` (in it) to `end` (not in it), both aware UTC.

    `offset_before` is the offset until `start`: a larger one makes an overlap there, a smaller one a gap. Pieces
    are made month by month: each ends with its month at the latest, and begins with it at the earliest, unless the
    clocks were changed within the two days before.
    """

    start: datetime
    end: datetime
    offset: timedelta
    offset_before: timedelta

    def wall(self, instant: datetime) -> datetime:
        """What the clocks on the wall show at the instant, naive. Stays within the years 1 to 9999."""
        return _shifted(instant, self.offset)

    def instant(self, wall: datetime) -> datetime | None:
        """When they show that, in this piece; None outside of the years 1 to 9999."""
        try:
            return (wall - self.offset).replace(tzinfo=UTC)
        except OverflowError:
            return None

    @property
    def first_wall(self) -> datetime:
        """What the clocks show first."""
        return _shifted(self.start, self.offset)

    @property
    def end_wall(self) -> datetime:
        """What they would show at the end, if it were in the piece."""
        return _shifted(self.end, self.offset)

    @property
    def wall_before(self) -> datetime:
        """What they would show at the start if they had not been changed then."""
        return _shifted(self.start, self.offset_before)

    @property
    def begins_with_gap(self) -> bool:
        """Whether the walls from `wall_before` to `first_wall` never are."""
        return self.offset > self.offset_before

    @property
    def begins_with_overlap(self) -> bool:
        """Whether the walls from `first_wall` to `wall_before` have been before."""
        return self.offset < self.offset_before


def require_zone(name: str) -> None:
    """Raises InvalidSchedule if there is no such zone, with the name that may have been meant."""
    if name in zone_names():
        return
    shown = name if len(name) <= MAX_TIMEZONE_LENGTH else f"{name[:MAX_TIMEZONE_LENGTH]}..."
    by_lower_case = {known.lower(): known for known in zone_names()}
    close = difflib.get_close_matches(shown.lower(), by_lower_case, n=1, cutoff=0.7)
    meant = f"; did you mean {by_lower_case[close[0]]}?" if close else ""
    raise InvalidSchedule(
        FIELD, f'timezone "{shown}" is not known: an IANA name such as Europe/Berlin or UTC is wanted{meant}'
    )


@cache
def zone_names() -> frozenset[str]:
    """The IANA names that this machine knows. Read once: a new tz database counts from the next start on."""
    return frozenset(zoneinfo.available_timezones()) - NOT_ZONES


def local(instant: datetime, zone: str) -> datetime:
    """The instant in the zone, aware, `fold` set. Instants too near to the ends of time are left in UTC."""
    try:
        return instant.astimezone(zoneinfo.ZoneInfo(zone))
    except OverflowError:
        return instant.astimezone(UTC)


def start_of_day(day: date, zone: str) -> datetime:
    """The first instant of the local day."""
    return datetime.combine(day, time.min, zoneinfo.ZoneInfo(zone)).astimezone(UTC)


def piece_at(zone: str, instant: datetime) -> Piece:
    """The piece that holds the instant. Raises ZoneInfoNotFoundError for a name that require_zone refuses."""
    instant = instant.astimezone(UTC)
    for piece in _pieces(zone, instant.year, instant.month):
        if instant < piece.end:
            return piece
    return piece  # the last instant of all


@lru_cache(maxsize=MAX_REMEMBERED_ZONE_MONTHS)
def _pieces(zone: str, year: int, month: int) -> tuple[Piece, ...]:
    """The pieces of a month of UTC, in their order."""
    start = month_start = datetime(year, month, 1, tzinfo=UTC)
    month_end = _month_after(month_start)
    if zone == UTC_NAME:
        return (Piece(start, month_end, timedelta(0), timedelta(0)),)
    keys = zoneinfo.ZoneInfo(zone)
    # An overlap may reach into this month: its piece begins in the one before, where the clocks were changed.
    looked_at = max(start, _FIRST_KNOWN) - LOOKING_BACK
    offset = offset_before = _offset(keys, looked_at - ONE_SECOND)
    pieces = []
    for transition in _transitions(keys, looked_at, month_end):
        if transition > month_start:
            pieces.append(Piece(start, transition, offset, offset_before))
        start, offset_before, offset = transition, offset, _offset(keys, transition)
    return (*pieces, Piece(start, month_end, offset, offset_before))


def _month_after(start: datetime) -> datetime:
    if (start.year, start.month) == (END_OF_TIME.year, 12):
        return END_OF_TIME
    return start.replace(year=start.year + start.month // 12, month=start.month % 12 + 1)


def _transitions(zone: zoneinfo.ZoneInfo, start: datetime, end: datetime) -> list[datetime]:
    """The instants from `start` on and before `end` at which the offset changes, to the second."""
    found = []
    last = start - ONE_SECOND
    offset = _offset(zone, last)
    while last < end - ONE_SECOND:
        probe = last + PROBING if end - last > PROBING + ONE_SECOND else end - ONE_SECOND
        offset_there = _offset(zone, probe)
        if offset_there != offset:
            found.append(_transition(zone, last, probe, offset))
        last, offset = probe, offset_there
    return found


def _transition(zone: zoneinfo.ZoneInfo, before: datetime, after: datetime, offset: timedelta) -> datetime:
    """The first second that has not the `offset` of `before` any more, by halving."""
    while after - before > ONE_SECOND:
        middle = before + (after - before) // 2
        middle = middle.replace(microsecond=0)
        before, after = (middle, after) if _offset(zone, middle) == offset else (before, middle)
    return after


def _offset(zone: zoneinfo.ZoneInfo, instant: datetime) -> timedelta:
    offset = min(max(instant, _FIRST_KNOWN), _LAST_KNOWN).astimezone(zone).utcoffset()
    return offset or timedelta(0)


def _shifted(instant: datetime, offset: timedelta) -> datetime:
    naive = instant.replace(tzinfo=None)
    try:
        return naive + offset
    except OverflowError:
        return LAST_WALL if offset > timedelta(0) else FIRST_WALL
