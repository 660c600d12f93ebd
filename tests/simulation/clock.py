"""The clocks of a node over the one true time: a wall clock that is wrong and is set, a monotonic one that is not."""

from datetime import UTC, datetime, timedelta
from typing import Any

from tests.simulation.world import SECOND, World

EPOCH = datetime(2026, 1, 1, 12, 0, tzinfo=UTC)
"""True time zero."""


class NodeClock:
    """Implements engine.ports.Clock."""

    def __init__(self, world: World, *, monotonic_zero: int = 0) -> None:
        self._world = world
        self._monotonic_zero = monotonic_zero

    def now(self) -> datetime:
        self._world.brush()
        return self.reads()

    def reads(self) -> datetime:
        """What it shows, for who only watches."""
        return instant(self._world.now + self._world.ahead)

    def monotonic(self) -> float:
        self._world.brush()
        return (self._world.now + self._monotonic_zero) / SECOND

    def wait(self, condition: Any, seconds: float) -> None:
        condition.wait(max(seconds, 0.0))


def instant(microseconds: int) -> datetime:
    """The instant of the true time."""
    return EPOCH + timedelta(microseconds=microseconds)


def microseconds_of(at: datetime | str) -> int:
    """The true time of an instant, also as the database holds it."""
    found = datetime.fromisoformat(at) if isinstance(at, str) else at
    return (found - EPOCH) // timedelta(microseconds=1)
