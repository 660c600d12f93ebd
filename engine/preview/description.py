"""Schedules in plain English: one sentence that says what a timing means, and all of it."""

from engine.cron import CronExpression
from engine.preview.cron_sentence import days_phrase, is_even, sentence
from engine.preview.english import counted, duration, instant_text, listed
from engine.timing import DstGap, DstOverlap, OnExcluded, Timing
from engine.zones import local


def describe(timing: Timing, *, expression: CronExpression | None) -> str:
    """The sentence. `expression` is the timing's cron expression as it was read, H included; None if it has none."""
    clauses = [
        _kind(timing, expression),
        _zone(timing, expression),
        _clock_changes(timing, expression),
        "" if timing.start_at is None else f"from {instant_text(timing.start_at)} on",
        "" if timing.end_at is None else f"until {instant_text(timing.end_at)}",
        "" if timing.max_runs is None else f"at most {counted(timing.max_runs, 'run')}",
        f"each up to {duration(timing.jitter_seconds)} later" if timing.jitter_seconds else "",
        _days_off(timing, expression),
    ]
    return f"{', '.join(clause for clause in clauses if clause)}."


def _kind(timing: Timing, expression: CronExpression | None) -> str:
    if expression is not None:
        return sentence(expression)
    if timing.interval_seconds is not None:
        return f"Every {duration(timing.interval_seconds).removeprefix('1 ')}"
    if timing.run_at is None:
        return "Never"
    once = f"Once, at {instant_text(timing.run_at)}"
    if timing.timezone == "UTC":
        return once
    moment = local(timing.run_at, timing.timezone).replace(tzinfo=None)
    return f"{once} ({moment} in {timing.timezone})"


def _zone(timing: Timing, expression: CronExpression | None) -> str:
    if expression is None or _is_the_same_everywhere(expression):
        return ""
    return "UTC" if timing.timezone == "UTC" else f"{timing.timezone} time"


def _is_the_same_everywhere(expression: CronExpression) -> bool:
    """Whether no zone makes a difference: offsets of today are whole quarters of an hour."""
    if not expression.hour.is_full or days_phrase(expression.days) or not expression.days.month.is_full:
        return False
    step = 60 // len(expression.minute.values)
    return not expression.is_fixed_time and is_even(expression.minute) and 15 % step == 0


def _clock_changes(timing: Timing, expression: CronExpression | None) -> str:
    """What is not as one would expect it where clocks are changed."""
    if expression is None or not expression.is_fixed_time or timing.timezone == "UTC":
        return ""
    clauses = []
    if timing.dst_gap is DstGap.SKIP:
        clauses.append("left out when the clocks skip it")
    if timing.dst_overlap is DstOverlap.BOTH:
        clauses.append("repeated when the clocks go back over it")
    elif expression.hour.is_full:
        clauses.append("not repeated when the clocks go back")
    return listed(clauses) if clauses else ""


def _days_off(timing: Timing, expression: CronExpression | None) -> str:
    if not timing.exclude_calendars:
        return ""
    names = listed(timing.exclude_calendars)
    # A cron expression's zone has been said already.
    zone = f" ({timing.timezone} days)" if expression is None or _is_the_same_everywhere(expression) else ""
    if timing.on_excluded is OnExcluded.NEXT_BUSINESS_DAY:
        return f"moved from days off of {names}{zone} to the same time on the next business day"
    return f"except on days off of {names}{zone}"
