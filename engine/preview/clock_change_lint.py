"""Warnings about what changes of the clocks do to a cron schedule within the next two years."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, time, timedelta

from engine.calendars import DaysOff
from engine.cron import CronExpression
from engine.cron.wall_clock import count_walls, wall_clock
from engine.preview.english import clock_times, listed
from engine.preview.values import ScheduleWarning
from engine.timing import DstGap, DstOverlap, Timing
from engine.zones import END_OF_TIME, ONE_SECOND, Piece, piece_at

HORIZON = timedelta(days=731)
"""How far to look for changes of the clocks: each yearly one comes twice."""

MAX_SHOWN_CHANGES = 3
"""Further days of which a warning tells."""

ONE_DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class _Times:
    """The times that an expression names among those that a change skips or repeats: the first, the last, how many."""

    change: Piece
    first: datetime
    last: datetime
    count: int

    @property
    def phrase(self) -> str:
        """As in "02:30", "02:00 and 02:30", "02:00 to 02:45"."""
        times = clock_times([self.first.time(), self.last.time()])
        return times[0] if self.count == 1 else (" and " if self.count == 2 else " to ").join(times)

    @property
    def days(self) -> str:
        """Their local date, or the first and the last."""
        first, last = self.first.date(), self.last.date()
        return f"{first}" if first == last else f"{first} to {last}"


def lint_clock_changes(
    timing: Timing, expression: CronExpression, *, after: datetime, off: DaysOff
) -> Iterator[ScheduleWarning]:
    """The warnings. Days off are left out: what does not run cannot be changed."""
    start, end = _span(timing, after)
    changes = _changes(timing.timezone, start, end)
    gaps = [change for change in changes if change.begins_with_gap]
    overlaps = [change for change in changes if change.begins_with_overlap]
    swallowed = _named(expression, gaps, off)
    if expression.is_fixed_time:
        yield from _lint_swallowed(timing, expression, swallowed)
    else:
        yield from _lint_lost_days(timing, expression, swallowed)
    if timing.dst_overlap is DstOverlap.BOTH if expression.is_fixed_time else not expression.hour.is_full:
        yield from _lint_repeated(timing, expression, _named(expression, overlaps, off))
    when = f"from {start.date()} to {end.date()}"
    if timing.dst_gap is not DstGap.RUN_AFTER:
        yield from _lint_useless(timing, expression, f'dst_gap "{timing.dst_gap}"', gaps, f"put forward {when}")
    if timing.dst_overlap is not DstOverlap.FIRST:
        yield from _lint_useless(
            timing, expression, f'dst_overlap "{timing.dst_overlap}"', overlaps, f"put back {when}"
        )


def _span(timing: Timing, after: datetime) -> tuple[datetime, datetime]:
    """From the start of the window or `after` on, over the horizon or to the end of the window."""
    start = after if timing.start_at is None else max(after, timing.start_at)
    end = start + HORIZON if start < END_OF_TIME - HORIZON else END_OF_TIME
    return start, end if timing.end_at is None else min(end, timing.end_at)


def _changes(zone: str, start: datetime, end: datetime) -> list[Piece]:
    """The pieces of time that begin with a change of the clocks in between."""
    found = []
    piece = piece_at(zone, start)
    while piece.end <= end and piece.end < END_OF_TIME:
        cut = piece.end
        piece = piece_at(zone, cut)
        if piece.start == cut and piece.offset != piece.offset_before:
            found.append(piece)
    return found


def _named(expression: CronExpression, changes: Sequence[Piece], off: DaysOff) -> list[_Times]:
    """What the expression names among the times of each change, if anything, and that not on a day off."""
    walls = wall_clock(expression)
    found = []
    for change in changes:
        start, end = sorted([change.first_wall, change.wall_before])
        count = count_walls(expression, start, end)
        first, last = walls.first_from(start), walls.last_until(end - ONE_SECOND)
        if count and first is not None and last is not None and off.excluding(first.date()) is None:
            found.append(_Times(change, first, last, count))
    return found


def _lint_swallowed(
    timing: Timing, expression: CronExpression, swallowed: Sequence[_Times]
) -> Iterator[ScheduleWarning]:
    """Fixed times that do not exist on some days."""
    if not swallowed:
        return
    times = swallowed[0]
    it, does, is_ = ("it", "does", "is") if times.count == 1 else ("they", "do", "are")
    if timing.dst_gap is DstGap.SKIP:
        happens, instead = f"{it} {is_} left out (dst_gap skip)", 'to run after the gap give dst_gap "run_after"'
    else:
        happens = f"{_after_gap(expression, times)} (dst_gap run_after)"
        instead = 'to leave that out give dst_gap "skip"'
    yield ScheduleWarning(
        "gap_swallows",
        f"{times.phrase} {does} not exist on {times.days} in {timing.timezone}: {happens}{_also(swallowed)}; "
        f"{instead}, or name a time of day that the clocks never skip",
    )


def _after_gap(expression: CronExpression, times: _Times) -> str:
    """Which run stands for what was swallowed."""
    end = times.change.first_wall
    when = clock_times([end.time()])[0] + (f" on {end.date()}" if end.date() != times.last.date() else "")
    it = "it" if times.count == 1 else "they"
    if count_walls(expression, end, end + ONE_SECOND):
        return f"{it} {'is' if times.count == 1 else 'are'} one run with that of {when}"
    return f"it runs at {when}" if times.count == 1 else f"they are one run at {when}"


def _lint_lost_days(
    timing: Timing, expression: CronExpression, swallowed: Sequence[_Times]
) -> Iterator[ScheduleWarning]:
    """Days that lose all of their runs. That others lose some is what following elapsed time means."""
    lost = [times for times in swallowed if times.count == _count_on_days(expression, times)]
    if lost:
        yield ScheduleWarning(
            "gap_swallows",
            f"on {lost[0].days} in {timing.timezone} the clocks skip {lost[0].phrase}, which is all that it names "
            f"then, and nothing runs{_also(lost)}; it follows elapsed time because its minute or hour field "
            'starts with *: name fixed times, such as "0-59/15" for "*/15", to run after the gap',
        )


def _count_on_days(expression: CronExpression, times: _Times) -> int:
    """How many times the expression names on the day, or on all of the days, of these."""
    start = datetime.combine(times.first.date(), time.min)
    return count_walls(expression, start, datetime.combine(times.last.date(), time.min) + ONE_DAY)


def _lint_repeated(timing: Timing, expression: CronExpression, repeated: Sequence[_Times]) -> Iterator[ScheduleWarning]:
    """Times that come twice, and run twice."""
    if not repeated:
        return
    times = repeated[0]
    if expression.is_fixed_time:
        why, instead = "dst_overlap both", 'for one pass only give dst_overlap "first"'
    else:
        why = "it follows elapsed time because its minute or hour field starts with *"
        instead = 'for one pass only name fixed times, such as "0-59/15" for "*/15"'
    yield ScheduleWarning(
        "repeated_time",
        f"{times.phrase} {'comes' if times.count == 1 else 'come'} twice on {times.days} in {timing.timezone}, and it "
        f"runs both times ({why}){_also(repeated)}; {instead}",
    )


def _also(times: Sequence[_Times]) -> str:
    others = [each.days for each in times[1 : MAX_SHOWN_CHANGES + 1]]
    return f"; likewise on {listed(others)}" if others else ""


def _lint_useless(
    timing: Timing, expression: CronExpression, setting: str, changes: Sequence[Piece], what: str
) -> Iterator[ScheduleWarning]:
    """A rule for what never happens."""
    if not expression.is_fixed_time:
        why = (
            "it is for fixed times, and this expression follows elapsed time, as its minute or hour field starts with *"
        )
    elif not changes:
        why = f"no clock in {timing.timezone} is {what}"
    else:
        return
    yield ScheduleWarning("no_effect", f"{setting} changes nothing: {why}; leave it out, or change the rest")
