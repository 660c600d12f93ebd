"""An independent calendar: when slots are, by arithmetic of our own, and which rows must stand for them."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from tests.simulation.clock import microseconds_of
from tests.simulation.world import SECOND


@dataclass(frozen=True, slots=True)
class Grid:
    """Slots at `anchor + k * step`, k > 0; of a date (no step) the anchor itself."""

    anchor: int
    step: int | None

    @classmethod
    def of(cls, row: dict[str, Any]) -> "Grid":
        """That of a job's row."""
        if row["interval_seconds"] is not None:
            return cls(microseconds_of(row["anchor_at"]), round(row["interval_seconds"] * SECOND))
        if row["cron_expression"] is not None:
            # Only "every n seconds of the minute" occurs here, and time zero, and this long ago, is the begin of one.
            seconds = int(row["cron_expression"].split()[0].removeprefix("*/"))
            return cls(-600_000_000 * SECOND, seconds * SECOND)
        return cls(microseconds_of(row["run_at"]), None)

    def first_after(self, at: int) -> int | None:
        if self.step is None:
            return self.anchor if self.anchor > at else None
        return self.anchor + max((at - self.anchor) // self.step + 1, 1) * self.step

    def between(self, first: int, last: int) -> Iterator[int]:
        """The slots from one instant to another, both included."""
        slot = self.first_after(first - 1)
        while slot is not None and slot <= last:
            yield slot
            slot = self.first_after(slot)


@dataclass(slots=True)
class Row:
    """One row of a schedule's slots, as it was written."""

    first: int
    last: int
    count: int
    state: str


@dataclass(slots=True)
class Epoch:
    """A stretch of a job's life on one grid, from the edit that began it to the one that ended it.

    Its slots from `first` to `required` must each be on record once; those up to `allowed` may be.
    """

    grid: Grid
    first: int
    required: int | None = None
    allowed: int | None = None
    rows: list[Row] = field(default_factory=list)

    def faults(self, *, required: int, allowed: int) -> Iterator[str]:
        """What is wrong with its rows."""
        found: Counter[int] = Counter()
        for row in self.rows:
            slots = list(self.grid.between(row.first, row.last))
            if not slots or slots[0] != row.first or slots[-1] != row.last:
                yield f"row {row.state} of {_time(row.first)} to {_time(row.last)} is off the grid"
            if len(slots) != row.count:
                yield f"row {row.state} of {_time(row.first)} counts {row.count} slots, not {len(slots)}"
            found.update(slots)
        for slot in self.grid.between(self.first, required):
            if not found[slot]:
                yield f"slot {_time(slot)} has no row"
        for slot, rows in found.items():
            if rows > 1:
                yield f"slot {_time(slot)} has {rows} rows"
            if not self.first <= slot <= allowed:
                yield f"slot {_time(slot)} has a row and was not due (from {_time(self.first)} to {_time(allowed)})"


def _time(at: int) -> str:
    return f"{at / SECOND:.6f}"
