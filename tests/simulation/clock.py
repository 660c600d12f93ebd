"""The clocks of a node over the one true time: a wall clock that is wrong and is set, a monotonic one that is not."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from tests.simulation.world import SECOND, World

EPOCH = datetime(2026, 1, 1, 12, 0, tzinfo=UTC)
"""True time zero."""


class MachineClock:
    """Stands where the engine has the system's clock. Of one host all have the same wall clock, else each its own."""

    def __init__(self, world: World, *, monotonic_zero: int, skew: int | None) -> None:
        self._world = world
        self._monotonic_zero = monotonic_zero
        self._skew = skew

    def step(self, microseconds: int) -> None:
        """Set the wall clock."""
        if self._skew is None:
            self._world.ahead += microseconds
        else:
            self._skew += microseconds

    def now(self) -> datetime:
        self._world.brush()
        return instant(self._world.now + (self._world.ahead if self._skew is None else self._skew))

    def monotonic(self) -> float:
        self._world.brush()
        return (self._world.now + self._monotonic_zero) / SECOND

    def wait(self, condition: Any, seconds: float) -> None:
        condition.wait(max(seconds, 0.0))

    def adjust(self, ask: Callable[[], datetime | None]) -> None:
        """Nobody else's time counts."""


def instant(microseconds: int) -> datetime:
    """The instant of the true time."""
    return EPOCH + timedelta(microseconds=microseconds)


def microseconds_of(at: datetime | str) -> int:
    """The true time of an instant, also as the database holds it."""
    found = datetime.fromisoformat(at) if isinstance(at, str) else at
    return (found - EPOCH) // timedelta(microseconds=1)
