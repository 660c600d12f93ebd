"""What the author of a schedule should know before it is saved: warnings, each with what is so and what to do."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from itertools import pairwise

from engine.calendars import DaysOff
from engine.cron import CronExpression, CronSchedule
from engine.cron.wall_clock import wall_clock
from engine.preview.clock_change_lint import lint_clock_changes
from engine.preview.cron_lint import lint_cron, load
from engine.preview.days_off_lint import lint_days_off
from engine.preview.english import counted, duration, instant_text, listed
from engine.preview.values import ScheduleWarning
from engine.schedule import Schedule, slots_between
from engine.slots import why_never
from engine.timing import DstGap, DstOverlap, OnExcluded, Timing
from engine.zones import END_OF_TIME, local

FEW_SLOTS = 5
"""Slots to come that are looked at for a long pause: rare ones take long to be found."""

RARE = timedelta(days=367)
"""More than a leap year, and than what jitter (a day at most) or a change of clocks adds to a year."""

CLOSE_SLOTS = 25
CLOSE = timedelta(days=7)
"""Slots to come that are looked at for the shortest distance: within a week, as jitter is a day at most."""

FREQUENT_SECONDS = 10.0
"""An interval below this is a load that should be meant."""

MAX_COUNTED_WINDOW = timedelta(days=731)
"""Longer windows are not counted: each year of a zone that was not looked at yet costs half a millisecond."""


def lint(
    timing: Timing,
    *,
    schedule: Schedule,
    expression: CronExpression | None,
    after: datetime,
    off: DaysOff,
    has_job_id: bool,
) -> list[ScheduleWarning]:
    """The warnings, those about the whole schedule first.

    `schedule` and `off` are made of the timing and its calendars, `expression` is its cron expression as it was read.
    Looks at a bounded number of slots and days after the instant `after`, and at two years of the zone's clocks.
    """
    found = [*_lint_slots(timing, schedule, after), *lint_days_off(timing, schedule, after, off)]
    if expression is None:
        found += _lint_elapsed_time(timing)
    else:
        found += lint_cron(expression, first=local(after, timing.timezone).date())
        found += lint_clock_changes(timing, expression, after=after, off=off)
        found += _lint_jitter(timing, expression, after)
    if not has_job_id:
        found += _lint_chance(timing, expression)
    return [*found, *_lint_useless(timing, expression)]


def _lint_slots(timing: Timing, schedule: Schedule, after: datetime) -> Iterator[ScheduleWarning]:
    """That there are none, few, or not enough of them."""
    first = schedule.next_after(after)
    if first is None:
        yield ScheduleWarning("never_fires", why_never(timing, after))
        return
    slots = [after, first]
    while len(slots) <= FEW_SLOTS and slots[-1] - slots[-2] <= RARE:
        following = schedule.next_after(slots[-1])
        if following is None:
            break
        slots.append(following)
    if slots[-1] - slots[-2] > RARE:
        yield ScheduleWarning("fires_rarely", _rarely(slots, schedule.next_after(slots[-1])))
    yield from _lint_window(timing, schedule, first, after)


def _rarely(slots: list[datetime], following: datetime | None) -> str:
    before, slot = slots[-2:]
    first = "the first slot is" if len(slots) == 2 else f"after the slot at {instant_text(before)} the next one is"
    then = "there is none after it" if following is None else f"the one after it at {instant_text(following)}"
    distance = f"{counted((slot - before).days, 'day')} from {instant_text(before)}"
    return f"{first} at {instant_text(slot)}, {distance}, and {then}: check the dates if that is not meant"


def _lint_window(timing: Timing, schedule: Schedule, first: datetime, after: datetime) -> Iterator[ScheduleWarning]:
    """That a window which is still to come has fewer slots than runs are wanted.

    Slots that are moved to business days are counted one by one, which would take too long.
    """
    max_runs, end_at = timing.max_runs, timing.end_at
    is_over_in_part = timing.start_at is not None and timing.start_at <= after
    moves = timing.exclude_calendars and timing.on_excluded is OnExcluded.NEXT_BUSINESS_DAY
    if max_runs is None or end_at is None or end_at - first > MAX_COUNTED_WINDOW or is_over_in_part or moves:
        return
    count, is_exact = schedule.count_between(first, end_at)
    if is_exact and count < max_runs:
        yield ScheduleWarning(
            "window_short",
            f"from {instant_text(first)} until end_at {instant_text(end_at)} there "
            f"{'is' if count == 1 else 'are'} {counted(count, 'slot')}, fewer than max_runs {max_runs:,}: "
            "for all of these runs give a later end_at or none",
        )


def _lint_elapsed_time(timing: Timing) -> Iterator[ScheduleWarning]:
    """What is said of intervals, and of single instants."""
    seconds = timing.interval_seconds
    if seconds is not None and seconds < FREQUENT_SECONDS:
        a_run = f"interval_seconds {seconds:g} starts a run every {duration(seconds).removeprefix('1 ')}"
        yield ScheduleWarning("second_level_load", load(a_run, 3_600 / seconds, 86_400 / seconds))
    if seconds is not None and seconds < timing.jitter_seconds:
        yield _clipped(timing, f"the interval of {duration(seconds)}")


def _lint_jitter(timing: Timing, expression: CronExpression, after: datetime) -> Iterator[ScheduleWarning]:
    """That slots are too close to each other for all of the jitter."""
    if not timing.jitter_seconds:
        return
    walls = wall_clock(expression)
    unspread = CronSchedule(expression, walls, timing.timezone, timing.dst_gap, timing.dst_overlap)
    first = unspread.next_after(after if timing.start_at is None else max(after, timing.start_at))
    if first is None:
        return
    end = min(first, END_OF_TIME - CLOSE) + CLOSE
    slots = list(slots_between(unspread, first, end, at_most=CLOSE_SLOTS))
    shortest = min(((second - first, first) for first, second in pairwise(slots)), default=None)
    if shortest is not None and shortest[0].total_seconds() < timing.jitter_seconds:
        distance, slot = shortest
        yield _clipped(timing, f"the {duration(distance.total_seconds())} from {instant_text(slot)} to the next slot")


def _clipped(timing: Timing, room: str) -> ScheduleWarning:
    return ScheduleWarning(
        "jitter_clipped",
        f"jitter_seconds {timing.jitter_seconds:g} is more than {room}: the spread is cut to that, so that slots stay "
        "in their order; give less jitter or a longer distance if the whole spread is needed",
    )


def _lint_chance(timing: Timing, expression: CronExpression | None) -> Iterator[ScheduleWarning]:
    """That what depends on the id of the job is that of another one."""
    parts = [] if expression is None or not expression.is_hashed else [f'H in "{expression.text}"']
    parts += [f"the spread of jitter_seconds {timing.jitter_seconds:g}"] if timing.jitter_seconds else []
    if parts:
        yield ScheduleWarning(
            "hashed_without_job",
            f"{listed(parts)} {'depends' if len(parts) == 1 else 'depend'} on the job's id, and there is none yet: the "
            "slots that are shown are those of an example; a job that is saved has slots of its own, always the same",
        )


def _lint_useless(timing: Timing, expression: CronExpression | None) -> Iterator[ScheduleWarning]:
    """Settings that change nothing, wherever and whenever."""
    useless = []
    if timing.on_excluded is not OnExcluded.SKIP and not timing.exclude_calendars:
        useless.append((f'on_excluded "{timing.on_excluded}"', "there are no exclude_calendars"))
    if expression is None:
        why = f"it is for cron expressions, and {timing.kinds[0]} does not depend on clocks being changed"
        useless += [(f'dst_gap "{timing.dst_gap}"', why)] if timing.dst_gap is not DstGap.RUN_AFTER else []
        useless += [(f'dst_overlap "{timing.dst_overlap}"', why)] if timing.dst_overlap is not DstOverlap.FIRST else []
        if timing.timezone != "UTC" and not timing.exclude_calendars:
            why = f"{timing.kinds[0]} does not depend on a time zone, and there are no exclude_calendars, which do"
            useless.append((f"timezone {timing.timezone}", f"{why}; for local times give a cron_expression"))
    for setting, why in useless:
        yield ScheduleWarning("no_effect", f"{setting} changes nothing about when it runs: {why}")
