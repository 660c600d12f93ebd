"""Slots of days off, moved to the same local time on the next business day."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from engine.calendars import DaysOff
from engine.limits import MAX_COUNTED_SLOTS, MAX_DAYS_OFF_IN_A_ROW
from engine.schedule import MICROSECOND, Schedule, slots_between
from engine.zones import Piece, local, piece_at

ONE_DAY = timedelta(days=1)
NOON = time(12)
_FIRST_DAY, _LAST_DAY = date(1, 3, 1), date(9999, 10, 1)


@dataclass(frozen=True, slots=True)
class NextBusinessDay:
    """The slots of a schedule, and for each on a day off another at that local time on the next business day.

    The slot on the day off stays one: its row says why it was skipped. A slot is not moved over more than
    MAX_DAYS_OFF_IN_A_ROW days.
    """

    schedule: Schedule
    off: DaysOff
    zone: str

    def next_after(self, instant: datetime) -> datetime | None:
        """The schedule's own next slot, or one that comes before it because it was moved from a day off until now."""
        own = self.schedule.next_after(instant)
        target = self._business_day_from(_day(local(instant, self.zone)))
        if target is None:
            return own
        moved = (self._first_moved(day_off, target, instant) for day_off in self._days_off_before(target))
        return min((slot for slot in (own, *moved) if slot is not None), default=None)

    def latest_until(self, instant: datetime) -> datetime | None:
        """The schedule's own last slot, or one that was moved to after it."""
        own = self.schedule.latest_until(instant)
        # Every slot that was moved to after `own` came from it, or from a day off right before its day.
        target = None if own is None else self._business_day_from(_day(local(own, self.zone)))
        if target is None:
            return own
        moved = (self._last_moved(day_off, target, instant) for day_off in self._days_off_before(target))
        return max((slot for slot in (own, *moved) if slot is not None), default=None)

    def count_between(self, first: datetime, last: datetime) -> tuple[int, bool]:
        """One by one, up to MAX_COUNTED_SLOTS; of more, only the schedule's own are counted, a lower bound."""
        count = sum(1 for _ in slots_between(self, first, last, at_most=MAX_COUNTED_SLOTS))
        if count < MAX_COUNTED_SLOTS:
            return count, True
        own_first, own_last = self.schedule.next_after(first - MICROSECOND), self.schedule.latest_until(last)
        if own_first is None or own_last is None or own_first > own_last:
            return count, False
        return max(self.schedule.count_between(own_first, own_last)[0], count), False

    def moved_to(self, slot: datetime) -> datetime | None:
        """Where a slot on a day off runs instead; None if that is too far off."""
        target = self._business_day_from(_day(local(slot, self.zone)))
        return None if target is None else self._moved(slot, target)

    def moved_from(self, slot: datetime) -> datetime | None:
        """The latest of the slots on days off that run here instead; None for one of the schedule's own."""
        if self.schedule.latest_until(slot) == slot:
            return None
        target = _day(local(slot, self.zone))
        originals = (self._last_original(day_off, target, slot) for day_off in self._days_off_before(target))
        return max((each for each in originals if each is not None and self._moved(each, target) == slot), default=None)

    def _first_moved(self, day_off: date, target: date, instant: datetime) -> datetime | None:
        """The first slot after `instant` that is moved from the one day to the other."""
        midnight = datetime.combine(day_off, time.min)
        unpassed = midnight + self._passed(target, instant)
        originals = (
            self._own_between(piece, max(start, unpassed), end) for piece, start, end in self._stretches(midnight)
        )
        return min((self._moved(each, target) for each in originals if each is not None), default=None)

    def _last_moved(self, day_off: date, target: date, instant: datetime) -> datetime | None:
        """The last slot up to `instant` that is moved from the one day to the other."""
        original = self._last_original(day_off, target, instant)
        return None if original is None else self._moved(original, target)

    def _last_original(self, day_off: date, target: date, instant: datetime) -> datetime | None:
        """The slot of the day off that is moved to the other day as the last one up to `instant`."""
        midnight = datetime.combine(day_off, time.min)
        unpassed = midnight + self._passed(target, instant)
        originals = (
            self._own_between(piece, start, min(end, unpassed), is_last=True)
            for piece, start, end in self._stretches(midnight)
        )
        by_move = ((self._moved(each, target), each) for each in originals if each is not None)
        return max(by_move, default=(None, None))[1]

    def _passed(self, target: date, instant: datetime) -> timedelta:
        """How much of a day, as its clocks show it, has come for the first time by `instant`: up to all of it."""
        moment = local(instant, self.zone)
        shown = piece_at(self.zone, instant).wall_before if moment.fold else moment.replace(tzinfo=None) + MICROSECOND
        return min(max(shown - datetime.combine(target, time.min), timedelta(0)), ONE_DAY)

    def _stretches(self, midnight: datetime) -> Iterator[tuple[Piece, datetime, datetime]]:
        """The pieces in which the clocks show times of the day that begins at `midnight`, each from when until when.

        Within one of them a later slot is moved to a later instant; a time that comes twice is in two of them.
        """
        piece = piece_at(self.zone, midnight.replace(tzinfo=UTC) - ONE_DAY)
        while piece.start.replace(tzinfo=None) < midnight + 2 * ONE_DAY:
            start, end = max(piece.first_wall, midnight), min(piece.end_wall, midnight + ONE_DAY)
            if start < end:
                yield piece, start, end
            piece = piece_at(self.zone, piece.end)

    def _own_between(self, piece: Piece, start: datetime, end: datetime, *, is_last: bool = False) -> datetime | None:
        """The schedule's own first (or last) slot at a wall of the piece from `start` on and before `end`."""
        first, limit = piece.instant(start), piece.instant(end)
        if first is None or limit is None or first >= limit:
            return None
        look = self.schedule.latest_until if is_last else self.schedule.next_after
        slot = look((limit if is_last else first) - MICROSECOND)
        return slot if slot is not None and first <= slot < limit else None

    def _moved(self, original: datetime, target: date) -> datetime:
        return _first_instant(target, local(original, self.zone).time(), self.zone)

    def _is_business_day(self, day: date) -> bool:
        # Of the days that zones have left out, as Apia did the 30 December 2011, no clock ever showed noon.
        return self.off.excluding(day) is None and _day(local(_first_instant(day, NOON, self.zone), self.zone)) == day

    def _business_day_from(self, day: date) -> date | None:
        """The first business day from `day` on; None if it is too far off."""
        days = (day + number * ONE_DAY for number in range(MAX_DAYS_OFF_IN_A_ROW + 1))
        return next((each for each in days if self._is_business_day(each)), None)

    def _days_off_before(self, day: date) -> Iterator[date]:
        """The days off right before a business day, from the last to the first."""
        for number in range(1, MAX_DAYS_OFF_IN_A_ROW + 1):
            if self._is_business_day(day - number * ONE_DAY):
                return
            yield day - number * ONE_DAY


def _day(moment: datetime) -> date:
    # Room for the days around it, also at the ends of time.
    return min(max(moment.date(), _FIRST_DAY), _LAST_DAY)


def _first_instant(day: date, wall: time, zone: str) -> datetime:
    """When the clocks of the zone show `wall` on that day for the first time; in a gap, the end of the gap."""
    instant = datetime.combine(day, wall.replace(fold=0), ZoneInfo(zone)).astimezone(UTC)
    shown = instant.astimezone(ZoneInfo(zone))
    return instant if shown.time() == wall.replace(fold=0) else piece_at(zone, instant).start
