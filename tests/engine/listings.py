"""What a schedule says of its slots, held against a list of them."""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from itertools import pairwise

from engine.limits import MAX_COUNTED_SLOTS
from engine.schedule import Schedule, slots_between

MICROSECOND = timedelta(microseconds=1)
THE_END = datetime.max.replace(tzinfo=UTC)


def listed(schedule: Schedule, first: datetime, last: datetime = THE_END, *, at_most: int = 100_000) -> list[datetime]:
    """The slots from one instant to another, both included, found by asking for the next one again and again."""
    return list(slots_between(schedule, first, last, at_most=at_most))


def assert_lists(
    schedule: Schedule, slots: Sequence[datetime], *, first: datetime, last: datetime, also_at: Iterable[datetime] = ()
) -> None:
    """Between the two instants the schedule has these slots and no others, asked forwards, backwards and for a count.

    It is asked at each slot and right beside it, and at the instants `also_at`.
    """
    assert all(earlier < later for earlier, later in pairwise(slots))
    assert listed(schedule, first, last) == list(slots)
    beside = (slot + offset for slot in slots for offset in (-MICROSECOND, timedelta(0), MICROSECOND))
    for at in sorted({first, last, *also_at, *beside}):
        if first <= at <= last:
            following, latest = _within(schedule.next_after(at), first, last), schedule.latest_until(at)
            assert following == min((slot for slot in slots if slot > at), default=None), at
            assert _within(latest, first, last) == max((slot for slot in slots if slot <= at), default=None), at
    middle = len(slots) // 2
    for counted in [slots, slots[:middle], slots[middle:], slots[middle : middle + 1]]:
        if counted:
            count, is_exact = schedule.count_between(counted[0], counted[-1])
            # Where slots move, so many are counted one by one; of more, the number is a lower bound.
            assert is_exact or len(counted) >= MAX_COUNTED_SLOTS
            assert count == len(counted) if is_exact else MAX_COUNTED_SLOTS <= count <= len(counted)


def _within(slot: datetime | None, first: datetime, last: datetime) -> datetime | None:
    return slot if slot is not None and first <= slot <= last else None
