"""Schedules: pure functions of time. From an instant, the next slot; nothing here knows what time it is."""

import math
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Protocol

from engine.errors import InvalidSchedule
from engine.limits import MIN_INTERVAL_SECONDS
from engine.values import quick_dataclass

MICROSECOND = timedelta(microseconds=1)


class Schedule(Protocol):
    """When a job is due. Instants are aware UTC; slots are strictly increasing."""

    def next_after(self, instant: datetime) -> datetime | None:
        """The first slot strictly after `instant`; None when there is none."""
        ...

    def latest_until(self, instant: datetime) -> datetime | None:
        """The last slot at or before `instant`; None when there is none."""
        ...

    def count_between(self, first: datetime, last: datetime) -> tuple[int, bool]:
        """How many slots lie from slot `first` to slot `last`, both counted, and whether that number is exact."""
        ...


@quick_dataclass(frozen=True, slots=True)
class IntervalSchedule:
    """The grid `anchor_at + k * seconds`, k = first_index, ...: elapsed time, so no drift and no DST."""

    anchor_at: datetime
    seconds: float
    first_index: int = 1

    def next_after(self, instant: datetime) -> datetime | None:
        """In constant time, whatever the distance."""
        return self._slot(max(self._index_until(instant) + 1, self.first_index))

    def latest_until(self, instant: datetime) -> datetime | None:
        """In constant time, whatever the distance."""
        index = self._index_until(instant)
        return self._slot(index) if index >= self.first_index else None

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


@quick_dataclass(frozen=True, slots=True)
class DateSchedule:
    """One slot, at `run_at`."""

    run_at: datetime

    def next_after(self, instant: datetime) -> datetime | None:
        """The one slot, as long as it is to come."""
        return self.run_at if instant < self.run_at else None

    def latest_until(self, instant: datetime) -> datetime | None:
        """The one slot, once it is past."""
        return self.run_at if instant >= self.run_at else None

    def count_between(self, first: datetime, last: datetime) -> tuple[int, bool]:
        """One, if it lies between them."""
        return int(first <= self.run_at <= last), True


@quick_dataclass(frozen=True, slots=True)
class Window:
    """The slots of a schedule from `start_at` to `end_at`, both of which may be one."""

    schedule: Schedule
    start_at: datetime | None
    end_at: datetime | None

    def next_after(self, instant: datetime) -> datetime | None:
        """That of the schedule, looked for from the start of the window on."""
        if self.start_at is not None and instant < self.start_at:
            instant = self.start_at - MICROSECOND
        slot = self.schedule.next_after(instant)
        return None if slot is None or (self.end_at is not None and slot > self.end_at) else slot

    def latest_until(self, instant: datetime) -> datetime | None:
        """That of the schedule, looked for from the end of the window back."""
        slot = self.schedule.latest_until(instant if self.end_at is None else min(instant, self.end_at))
        return None if slot is None or (self.start_at is not None and slot < self.start_at) else slot

    def count_between(self, first: datetime, last: datetime) -> tuple[int, bool]:
        """That of the schedule, as slots of the window are slots of it."""
        return self.schedule.count_between(first, last)


def slots_between(schedule: Schedule, first: datetime, last: datetime, *, at_most: int) -> Iterator[datetime]:
    """The slots from instant `first` to instant `last`, both included, and no more than `at_most` of them."""
    slot = schedule.next_after(first - MICROSECOND)
    for _ in range(at_most):
        if slot is None or slot > last:
            return
        yield slot
        slot = schedule.next_after(slot)


def interval_schedule(seconds: float, *, anchor_at: datetime, start_at: datetime | None) -> IntervalSchedule:
    """The grid of an interval. With a `start_at` that is its zero, and a slot itself. Raises InvalidSchedule."""
    if not MIN_INTERVAL_SECONDS <= seconds < math.inf:
        raise InvalidSchedule(
            "interval_seconds",
            f"interval_seconds is {seconds:g}: a finite number of at least {MIN_INTERVAL_SECONDS:g} is wanted",
        )
    if start_at is not None:
        return IntervalSchedule(start_at, seconds, first_index=0)
    return IntervalSchedule(anchor_at, seconds)
