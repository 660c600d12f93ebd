"""Why a slot did not run, in one word and in a sentence: the words, and what a sentence that was written here says."""

import re
from enum import StrEnum
from uuid import UUID

_RUN_IN_THE_WAY = re.compile(r"run ([0-9a-f-]{36}) of this job|cancelled for run ([0-9a-f-]{36})")
_DAY_OFF = re.compile(r"^excluded by calendar (?P<calendar>\S+?)(?:, moved to (?P<moved_to>\S+)|, not moved: .*)?$")


class ReasonCode(StrEnum):
    """The reason of a run that was skipped or missed.

    `OVERLAP`: another run was in the way, or another slot of the job before it. `DAY_OFF`: a calendar excludes the day.
    `ORPHANED`: its function was not registered. `MISFIRE`: nobody claimed it within its grace. `PAUSED`, `PAUSED_ALL`:
    its job, or everything, was paused. `EDITED`, `DELETED`: its job was, before the slot was claimed or started.
    `STOPPED`: the scheduler stopped before it started.
    """

    OVERLAP = "overlap"
    DAY_OFF = "day_off"
    ORPHANED = "orphaned"
    MISFIRE = "misfire"
    PAUSED = "paused"
    PAUSED_ALL = "paused_all"
    EDITED = "edited"
    DELETED = "deleted"
    STOPPED = "stopped"


def day_off_reason(calendar: str, becomes: str = "") -> str:
    """Why a slot on a day off is skipped, and what becomes of it."""
    return f"excluded by calendar {calendar}{f', {becomes}' if becomes else ''}"


def superseded_reason(by: UUID) -> str:
    """Why a run ends for a later one of its job."""
    return f"cancelled for run {by}, whose slot came while this one was not over"


def run_in_the_way(reason: str) -> UUID | None:
    """The run that an overlap's reason names."""
    found = _RUN_IN_THE_WAY.search(reason)
    return None if found is None else UUID(found[1] or found[2])


def calendar_and_target(reason: str) -> tuple[str | None, str | None]:
    """The calendar that a day off's reason names, and the instant that the slot was moved to."""
    found = _DAY_OFF.match(reason)
    return (None, None) if found is None else (found["calendar"], found["moved_to"])
