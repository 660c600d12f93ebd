"""Jitter: slots spread by chance that is the same at each look, so that lateness and history stay defined."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from hashlib import sha256
from uuid import UUID

from engine.schedule import MICROSECOND, Schedule
from engine.zones import END_OF_TIME

FRACTIONS = 2**64


@dataclass(frozen=True, slots=True)
class Jitter:
    """Each slot of a schedule moved to later by less than `seconds`, by job and slot.

    Never as far as the slot after it, so that slots stay in their order, nor past `end_at`.
    """

    schedule: Schedule
    seconds: float
    job_id: UUID
    end_at: datetime | None

    def origin(self, slot: datetime) -> datetime:
        """The slot of the schedule that was moved here, by this jitter or by another one."""
        return self.schedule.latest_until(slot) or slot

    def following(self, slot: datetime) -> datetime | None:
        """The slot after one that may have been moved by another jitter: no slot of the schedule is had twice."""
        after = self.schedule.next_after(self.origin(slot))
        return None if after is None else self._moved(after)

    def next_after(self, instant: datetime) -> datetime | None:
        """Of the slot before, which may be moved past `instant`, or of the one after."""
        before = self.schedule.latest_until(instant)
        if before is not None and (moved := self._moved(before)) > instant:
            return moved
        after = self.schedule.next_after(instant)
        return None if after is None else self._moved(after)

    def latest_until(self, instant: datetime) -> datetime | None:
        """Of the slot before, unless that is moved past `instant`: then of the one before it."""
        before = self.schedule.latest_until(instant)
        if before is not None and self._moved(before) > instant:
            before = self.schedule.latest_until(before - MICROSECOND)
        return None if before is None else self._moved(before)

    def count_between(self, first: datetime, last: datetime) -> tuple[int, bool]:
        """That of the schedule between the slots that were moved here."""
        return self.schedule.count_between(self.origin(first), self.origin(last))

    def _moved(self, slot: datetime) -> datetime:
        room = self._room_after(slot) // MICROSECOND
        return slot + timedelta(microseconds=room * self._fraction(slot) // FRACTIONS)

    def _room_after(self, slot: datetime) -> timedelta:
        """How much later the slot may be: less than the next one, whose own move may be none."""
        room = timedelta(seconds=self.seconds)
        following = self.schedule.next_after(slot)
        if following is not None:
            room = min(room, following - slot)
        return max(min(room, (self.end_at or END_OF_TIME) - slot), timedelta(0))

    def _fraction(self, slot: datetime) -> int:
        """From 0 to FRACTIONS, without it."""
        return int.from_bytes(sha256(f"{self.job_id}/{slot.isoformat()}".encode()).digest()[:8])
