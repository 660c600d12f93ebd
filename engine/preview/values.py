"""What a schedule will do, as values: slots to come, a sentence, warnings."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class DstNote(StrEnum):
    """What daylight saving makes of a slot.

    `AFTER_GAP`: its local time does not exist that day, and it runs at the first instant after the gap. `FIRST_PASS`,
    `SECOND_PASS`: its local time exists twice that day.
    """

    AFTER_GAP = "after_gap"
    FIRST_PASS = "first_pass"  # noqa: S105 - no password
    SECOND_PASS = "second_pass"  # noqa: S105 - no password


@dataclass(frozen=True, slots=True)
class PreviewedSlot:
    """One slot to come. `at` is UTC; `local` is the same instant in the job's time zone, with its offset.

    `excluded_by` names the calendar because of which it will be skipped. `moved_from` is the slot on a day off that
    runs here instead, on the next business day; None where an ordinary slot lies at the same instant.
    """

    at: datetime
    local: datetime
    dst: DstNote | None = None
    excluded_by: str | None = None
    moved_from: datetime | None = None


@dataclass(frozen=True, slots=True)
class ScheduleWarning:
    """Something about a schedule that its author should know. `code` is for programs, `message` for people."""

    code: str
    message: str


@dataclass(frozen=True, slots=True)
class Preview:
    """The next slots, a sentence that says what the schedule means, and what is odd about it."""

    slots: tuple[PreviewedSlot, ...]
    description: str
    warnings: tuple[ScheduleWarning, ...]
