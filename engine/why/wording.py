"""Parts of the sentences: instants, spans, how a run went, who paused."""

from datetime import datetime, timedelta

from engine.nouns import Attempt, Pause, Run, RunState, Trigger
from engine.past import Downtime
from engine.run_path import as_text

_ENDS = {
    RunState.SUCCEEDED: "succeeded",
    RunState.FAILED: "failed",
    RunState.TIMED_OUT: "timed out",
    RunState.CANCELLED: "was cancelled",
    RunState.LOST: "was lost",
}
_TRIGGERS = {
    Trigger.SCHEDULE: "It ran",
    Trigger.MANUAL: "It was run by hand",
    Trigger.BACKFILL: "It ran as part of a backfill",
}


def how_it_ran(run: Run) -> str:
    """Of a run that is over: when it started, how late, and how each attempt ended."""
    begun = "" if run.started_at is None else f", started at {as_text(run.started_at)}{_late(run)}"
    earlier = "".join(f"; attempt {each.number} {_end_of(each)}" for each in run.earlier_attempts)
    last = f"attempt {run.attempt} " if run.attempt > 1 else ""
    took = "" if run.duration_ms is None else f" after {span(timedelta(milliseconds=run.duration_ms))}"
    error = "" if run.error is None else f" ({run.error.type})"
    joint = ", and " if not earlier else "; "
    return f"{_TRIGGERS[run.trigger]}{begun}{earlier}{joint}{last}{_ENDS[run.state]}{took}{error}{because(run.reason)}."


def _end_of(attempt: Attempt) -> str:
    return _ENDS[attempt.state] + ("" if attempt.error_type is None else f" ({attempt.error_type})")


def _late(run: Run) -> str:
    late = timedelta(milliseconds=run.lateness_ms or 0.0)
    return f", {span(late)} late" if late >= timedelta(milliseconds=1) else ""


def because(reason: str | None) -> str:
    """What is on record as the reason, behind a colon."""
    return "" if not reason else f": {reason}"


def span(length: timedelta) -> str:
    """A length of time as people say it: to the millisecond if it is short, to the second if it is not."""
    if length < timedelta(minutes=1):
        return f"{round(length.total_seconds(), 3):g} s"
    seconds = round(length.total_seconds())
    parts = ((seconds // 86_400, "d"), (seconds // 3_600 % 24, "h"), (seconds // 60 % 60, "min"), (seconds % 60, "s"))
    return " ".join(f"{number} {unit}" for number, unit in parts if number)


def stretch(run: Run) -> str:
    """Which slots a row stands for, if it stands for more than one."""
    if run.slot_count == 1 or run.last_scheduled_for is None:
        return ""
    first, last = as_text(run.scheduled_for), as_text(run.last_scheduled_for)
    return f" It is one of {run.slot_count} slots from {first} to {last} that share a row."


def paused(what: str, pause: Pause | None, ended_at: datetime | None) -> str:
    """Who paused what, from when to when, and why."""
    if pause is None:
        return f"{what} paused; by whom and since when is not on record"
    by = "" if pause.by is None else f" by {pause.by}"
    note = f" ({pause.note})" if pause.note else ""
    until = "" if pause.until is None else f", to end by itself at {as_text(pause.until)}"
    to = f" to {as_text(ended_at)}" if ended_at is not None else f" on{until}, and still is"
    return f"{what} paused{by} from {as_text(pause.at)}{to}{note}{because(pause.reason)}"


def down(downtime: Downtime) -> str:
    """Since when and until when nobody was there."""
    began = "stopped" if downtime.was_stopped else "was last seen"
    until = "" if downtime.until is None else f" and came back at {as_text(downtime.until)}"
    return f"the scheduler was not running: it {began} at {as_text(downtime.since)}{until}"
