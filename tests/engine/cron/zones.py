"""Where clocks are set: the transitions of a zone, asked of zoneinfo instant by instant."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache, lru_cache
from zoneinfo import ZoneInfo, available_timezones

SECOND, HALF_DAY = timedelta(seconds=1), timedelta(hours=12)


@dataclass(frozen=True, slots=True)
class Transition:
    """The first instant of a new offset."""

    at: datetime
    before: timedelta
    after: timedelta

    @property
    def expected_wall(self) -> datetime:
        """What a clock that nobody set would show at this instant; naive."""
        return self.at.replace(tzinfo=None) + self.before

    @property
    def is_gap(self) -> bool:
        return self.after > self.before


@cache
def all_zones() -> list[str]:
    """Every IANA zone, in order; without what is a placeholder, or the setting of one machine."""
    return sorted(available_timezones() - {"Factory", "localtime"})


@lru_cache(maxsize=4_096)
def transitions_of(timezone: str, first_year: int, last_year: int) -> tuple[Transition, ...]:
    """Those from the beginning of the first year to the end of the last: offsets that last for half a day or longer."""
    return tuple(_transitions(ZoneInfo(timezone), datetime(first_year, 1, 1, tzinfo=UTC), last_year))


def _transitions(zone: ZoneInfo, start: datetime, last_year: int) -> Iterator[Transition]:
    before = _offset(zone, start)
    while start.year <= last_year:
        end = start + HALF_DAY
        after = _offset(zone, end)
        if after != before:
            yield Transition(_first_instant_of(zone, after, start, end), before, after)
        start, before = end, after


def _first_instant_of(zone: ZoneInfo, offset: timedelta, start: datetime, end: datetime) -> datetime:
    while end - start > SECOND:
        middle = start + (end - start) // SECOND // 2 * SECOND
        start, end = (start, middle) if _offset(zone, middle) == offset else (middle, end)
    return end


def _offset(zone: ZoneInfo, instant: datetime) -> timedelta:
    offset = instant.astimezone(zone).utcoffset()
    assert offset is not None
    return offset
