"""Slots one after another, as the engine says them."""

from datetime import UTC, datetime, timedelta

from engine.cron.schedule import CronSchedule

MICROSECOND = timedelta(microseconds=1)


def utc(text: str) -> datetime:
    """The instant that an ISO text without an offset means in UTC."""
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def slots_after(schedule: CronSchedule, instant: datetime, count: int) -> list[datetime]:
    """The next ones, at most `count`."""
    slots: list[datetime] = []
    while len(slots) < count and (slot := schedule.next_after(instant)) is not None:
        slots.append(slot)
        instant = slot
    return slots


def slots_until(schedule: CronSchedule, instant: datetime, count: int) -> list[datetime]:
    """The last ones, the latest first, at most `count`."""
    slots: list[datetime] = []
    while len(slots) < count and (slot := schedule.latest_until(instant)) is not None:
        slots.append(slot)
        instant = slot - MICROSECOND
    return slots


def slots_between(schedule: CronSchedule, first: datetime, last: datetime) -> list[datetime]:
    """Those from `first` to `last`, both included."""
    slots: list[datetime] = []
    instant = first - MICROSECOND
    while (slot := schedule.next_after(instant)) is not None and slot <= last:
        slots.append(slot)
        instant = slot
    return slots


def shown(slots: list[datetime]) -> str:
    """For messages."""
    return ", ".join(f"{slot:%Y-%m-%dT%H:%M:%SZ}" for slot in slots) or "none"
