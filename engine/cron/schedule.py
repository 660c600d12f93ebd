"""Slots of a cron expression in a time zone: walls made instants, with the rules for gaps and overlaps."""

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from uuid import UUID

from engine.cron.expression import CronExpression, parse_cron
from engine.cron.wall_clock import WallClock, count_walls, wall_clock
from engine.limits import MAX_COUNTED_YEARS, MAX_FRUITLESS_YEARS
from engine.timing import DstGap, DstOverlap
from engine.zones import END_OF_TIME, LAST_WALL, Piece, piece_at, require_zone

ONE_SECOND = timedelta(seconds=1)

NEIGHBOURHOOD = timedelta(days=2)
"""A wall of a day comes to pass within this of the day in UTC, whatever the offset and however clocks are changed: the
largest offset is under 16 hours, the largest change 24 (Apia, which left out a day)."""


def cron_schedule(
    expression: str,
    *,
    timezone: str = "UTC",
    dst_gap: DstGap = DstGap.RUN_AFTER,
    dst_overlap: DstOverlap = DstOverlap.FIRST,
    job_id: UUID | None = None,
) -> "CronSchedule":
    """The slots of an expression in a zone. Raises InvalidSchedule."""
    require_zone(timezone)
    parsed = parse_cron(expression, job_id=job_id)
    return CronSchedule(parsed, wall_clock(parsed), timezone, dst_gap, dst_overlap)


@dataclass(frozen=True, slots=True)
class CronSchedule:
    """The instants at which the clocks of a zone show a wall of the expression.

    Time is a row of pieces of one offset. Within a piece the slots are the walls, shifted. An expression of fixed times
    has rules for where pieces meet: walls in a gap are one slot at its end, unless it is to skip them; walls of an
    overlap have been in the piece before, unless they are to be in both. Everything is on whole seconds.
    """

    expression: CronExpression
    walls: WallClock
    timezone: str
    dst_gap: DstGap
    dst_overlap: DstOverlap

    def next_after(self, instant: datetime) -> datetime | None:
        """The first slot strictly after `instant`; None if there is none before the year 10000."""
        if instant >= END_OF_TIME:
            return None
        start = instant.astimezone(UTC).replace(microsecond=0) + ONE_SECOND
        first_year = None
        while (day := self.expression.days.on_or_after(_day(start, -NEIGHBOURHOOD))) is not None:
            is_rare, first_year = first_year is not None, first_year or day.year
            if day.year > first_year + MAX_FRUITLESS_YEARS:
                return None
            start = max(start, _midnight(day, -NEIGHBOURHOOD))
            piece = piece_at(self.timezone, start)
            slot = self._first_in(piece, start, is_rare=is_rare)
            if slot is not None or piece.end >= END_OF_TIME:
                return slot
            start = piece.end
        return None

    def latest_until(self, instant: datetime) -> datetime | None:
        """The last slot at or before `instant`; None if there is none since the year 1."""
        until = instant.astimezone(UTC).replace(microsecond=0)
        last_year = None
        while (day := self.expression.days.on_or_before(_day(until, NEIGHBOURHOOD))) is not None:
            is_rare, last_year = last_year is not None, last_year or day.year
            if day.year < last_year - MAX_FRUITLESS_YEARS:
                return None
            until = min(until, _midnight(day, NEIGHBOURHOOD + NEIGHBOURHOOD))
            piece = piece_at(self.timezone, until)
            slot = self._last_in(piece, until, is_rare=is_rare)
            if slot is not None or piece.start.year == piece.start.month == piece.start.day == 1:
                return slot
            until = piece.start - ONE_SECOND
        return None

    def count_between(self, first: datetime, last: datetime) -> tuple[int, bool]:
        """By arithmetic, a month at a time; over more than MAX_COUNTED_YEARS the number is a lower bound."""
        last_counted = min(last, _years_later(first, MAX_COUNTED_YEARS))
        total, start = 0, first
        while start <= last_counted:
            piece = piece_at(self.timezone, start)
            total += self._count_in(piece, start, min(piece.end, last_counted + ONE_SECOND))
            if piece.end >= END_OF_TIME:
                break
            start = piece.end
        return total, last_counted == last

    def is_after_gap(self, slot: datetime) -> bool:
        """Whether the slot stands for times that a gap has swallowed, and for no other."""
        piece = piece_at(self.timezone, slot)
        return slot == piece.start and self._has_slot_after_gap(piece) and not self._shows_wall(piece.first_wall)

    def _first_in(self, piece: Piece, start: datetime, *, is_rare: bool) -> datetime | None:
        """The first slot of the piece from `start`, which is in it, on."""
        if start == piece.start and self._has_slot_after_gap(piece):
            return piece.start
        first = max(piece.wall(start), self._first_wall(piece))
        if is_rare and not count_walls(self.expression, first, piece.end_wall):
            # Counting is cheaper than stepping, which goes on to the next wall, years away.
            return None
        found = self.walls.first_from(first)
        return piece.instant(found) if found is not None and found < piece.end_wall else None

    def _last_in(self, piece: Piece, until: datetime, *, is_rare: bool) -> datetime | None:
        """The last slot of the piece up to `until`, which is in it."""
        first, last = self._first_wall(piece), min(piece.wall(until), LAST_WALL - ONE_SECOND)
        if not is_rare or count_walls(self.expression, first, last + ONE_SECOND):
            found = self.walls.last_until(piece.wall(until))
            slot = None if found is None or found < first else piece.instant(found)
            # Later than `until` only at the ends of time, where walls are cut.
            if slot is not None and slot <= until:
                return slot
        return piece.start if self._has_slot_after_gap(piece) else None

    def _count_in(self, piece: Piece, start: datetime, end: datetime) -> int:
        """How many slots of the piece lie from `start` on and before `end`, both within it."""
        walls = count_walls(self.expression, max(piece.wall(start), self._first_wall(piece)), piece.wall(end))
        stands_for_gap = start == piece.start and self.is_after_gap(start)
        return walls + stands_for_gap

    def _first_wall(self, piece: Piece) -> datetime:
        """The first wall that may be a slot: of an overlap, only those that have not been before."""
        is_second_pass = self.expression.is_fixed_time and self.dst_overlap is DstOverlap.FIRST
        return piece.wall_before if is_second_pass and piece.begins_with_overlap else piece.first_wall

    def _has_slot_after_gap(self, piece: Piece) -> bool:
        """Whether the piece begins with a gap that has swallowed a fixed time."""
        is_moved = self.expression.is_fixed_time and self.dst_gap is DstGap.RUN_AFTER
        if not is_moved or not piece.begins_with_gap:
            return False
        swallowed = self.walls.first_from(piece.wall_before)
        return swallowed is not None and swallowed < piece.first_wall

    def _shows_wall(self, wall: datetime) -> bool:
        return self.walls.first_from(wall) == wall


def _day(instant: datetime, shift: timedelta) -> date:
    try:
        return (instant.astimezone(UTC) + shift).date()
    except OverflowError:
        return instant.date()


def _midnight(day: date, shift: timedelta) -> datetime:
    try:
        return datetime.combine(day, time.min, UTC) + shift
    except OverflowError:
        return datetime.combine(day, time.min if shift < timedelta(0) else time(23, 59, 59), UTC)


def _years_later(instant: datetime, years: int) -> datetime:
    try:
        return instant + timedelta(days=365 * years)
    except OverflowError:
        return END_OF_TIME
