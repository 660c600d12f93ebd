"""Schedules: pure functions of time. From an instant, the next slot; nothing here knows what time it is."""

import math
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Protocol

from engine.cron import parse_cron
from engine.errors import InvalidSchedule

MICROSECOND = timedelta(microseconds=1)


class Schedule(Protocol):
    """When a job is due. Instants are aware UTC."""

    def next_after(self, instant: datetime) -> datetime | None:
        """The first slot strictly after `instant`; None when there is none."""
        ...

    def latest_until(self, instant: datetime) -> datetime | None:
        """The last slot at or before `instant`; None when there is none."""
        ...

    def count_between(self, first: datetime, last: datetime) -> tuple[int, bool]:
        """How many slots lie from slot `first` to slot `last`, both counted, and whether that number is exact."""
        ...


@dataclass(frozen=True, slots=True)
class IntervalSchedule:
    """The grid `anchor_at + k * seconds`, k = 1, 2, ...: elapsed time, so no drift and no DST."""

    anchor_at: datetime
    seconds: float

    def next_after(self, instant: datetime) -> datetime | None:
        """In constant time, whatever the distance."""
        return self._slot(max(self._index_until(instant) + 1, 1))

    def latest_until(self, instant: datetime) -> datetime | None:
        """In constant time, whatever the distance."""
        index = self._index_until(instant)
        return self._slot(index) if index >= 1 else None

    def count_between(self, first: datetime, last: datetime) -> tuple[int, bool]:
        """By arithmetic: always exact."""
        return self._index_until(last) - self._index_until(first) + 1, True

    @property
    def _step(self) -> int:
        return max(round(self.seconds * 1_000_000), 1)

    def _index_until(self, instant: datetime) -> int:
        # Whole microseconds: a million slots of 0.1 s stay on the grid, which a float would leave.
        return ((instant - self.anchor_at) // MICROSECOND) // self._step

    def _slot(self, index: int) -> datetime | None:
        try:
            return self.anchor_at + timedelta(microseconds=index * self._step)
        except OverflowError:
            # Beyond the year 9999, or beyond what a timedelta holds: no such slot.
            return None


def parse_schedule(*, interval_seconds: float | None, cron_expression: str | None, anchor_at: datetime) -> Schedule:
    """The schedule that a job's fields describe; raises InvalidSchedule with the field's name."""
    if cron_expression is not None and interval_seconds is None:
        return parse_cron(cron_expression)
    if cron_expression is not None or interval_seconds is None:
        raise InvalidSchedule("interval_seconds", "exactly one of interval_seconds and cron_expression is wanted")
    if not 0 < interval_seconds < math.inf:
        raise InvalidSchedule(
            "interval_seconds", f"interval_seconds is {interval_seconds}: a finite number more than 0 is wanted"
        )
    return IntervalSchedule(anchor_at, interval_seconds)


def first_slot(schedule: Schedule, *, field: str, after: datetime) -> datetime:
    """The first slot after the instant; raises InvalidSchedule if the schedule never fires again."""
    slot = schedule.next_after(after)
    if slot is None:
        raise InvalidSchedule(
            field, f"{field} names no instant after {after.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}: it would never run"
        )
    return slot
