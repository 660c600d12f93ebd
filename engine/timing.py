"""What a client says about when: the fields of a schedule as they are stored. engine.schedule makes slots of them."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from typing import Any


class DstGap(StrEnum):
    """What becomes of a fixed local time that a spring gap swallows: run at the first instant after it, or not."""

    RUN_AFTER = "run_after"
    SKIP = "skip"


class DstOverlap(StrEnum):
    """In which pass of an autumn overlap a fixed local time runs: in the first only, or in both."""

    FIRST = "first"
    BOTH = "both"


class OnExcluded(StrEnum):
    """What becomes of a slot on a day off: it is skipped, or moved to the same local time on the next business day."""

    SKIP = "skip"
    NEXT_BUSINESS_DAY = "next_business_day"


KINDS = ("interval_seconds", "cron_expression", "run_at")
"""The kinds of schedule: each timing has exactly one."""


@dataclass(frozen=True, slots=True)
class Timing:
    """When a job is due. Exactly one of the KINDS is set; the rest says in which zone, how long, and on which days.

    Instants are aware UTC, durations in seconds. `timezone` is an IANA name. `start_at` and `end_at` are the first and
    the last instant at which there may be a slot. `max_runs` bounds the runs that the schedule starts.
    `jitter_seconds` is the width of the spread after each instant. `exclude_calendars` are names of calendars.
    """

    interval_seconds: float | None = None
    cron_expression: str | None = None
    run_at: datetime | None = None
    timezone: str = "UTC"
    dst_gap: DstGap = DstGap.RUN_AFTER
    dst_overlap: DstOverlap = DstOverlap.FIRST
    start_at: datetime | None = None
    end_at: datetime | None = None
    max_runs: int | None = None
    jitter_seconds: float = 0.0
    exclude_calendars: tuple[str, ...] = ()
    on_excluded: OnExcluded = OnExcluded.SKIP

    @property
    def kinds(self) -> list[str]:
        """The kinds that are set: one, in a timing that has been checked."""
        return [kind for kind in KINDS if getattr(self, kind) is not None]

    @property
    def moves_slots(self) -> bool:
        """Whether a calendar decides when there are slots, not only which of them are skipped."""
        return bool(self.exclude_calendars) and self.on_excluded is OnExcluded.NEXT_BUSINESS_DAY

    def without_jitter(self) -> "Timing":
        """The same with nothing left to chance."""
        return replace(self, jitter_seconds=0.0)

    def with_changes(self, named: Mapping[str, Any]) -> "Timing":
        """The timing with the named fields changed; naming one kind of schedule clears the others."""
        cleared: dict[str, Any] = dict.fromkeys(KINDS) if any(named.get(kind) is not None for kind in KINDS) else {}
        return replace(self, **(cleared | dict(named)))
