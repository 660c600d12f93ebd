"""What the checker compares: grids, rows of the run table, lines of bodies, faults. Instants are whole microseconds.

Whole microseconds since 1970, because a slot has to be compared exactly and a float cannot hold one.
"""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

SECOND = 1_000_000
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

WAITING = frozenset({"queued", "retrying"})
UNSETTLED = WAITING | {"running"}
NEVER_CALLED = frozenset({"skipped", "missed", "queued"})
"""States of a row that say of its latest attempt that nothing was called."""


def instant(value: datetime) -> int:
    return (value - _EPOCH) // timedelta(microseconds=1)


def as_text(at: int) -> str:
    """For clients of the API, and for people."""
    return (_EPOCH + timedelta(microseconds=at)).isoformat().replace("+00:00", "Z")


@dataclass(frozen=True, slots=True)
class Grid:
    """The slots of one job as its author asked for them: `start_at + k * interval`. No engine is asked."""

    job_id: str
    start_at: int
    interval: int
    overlaps: bool = False
    """Whether its runs may go side by side."""

    def slots(self, until: int) -> range:
        """Those that are due at `until` or before."""
        return range(self.start_at, until + 1, self.interval)

    def has(self, slot: int) -> bool:
        return slot >= self.start_at and (slot - self.start_at) % self.interval == 0


@dataclass(frozen=True, slots=True)
class Attempt:
    """One that came before the latest."""

    number: int
    state: str
    finished_at: int


@dataclass(frozen=True, slots=True)
class Row:
    """A row of the run table: the latest attempt, and those before it."""

    run_id: str
    job_id: str
    slot: int
    state: str
    attempt: int = 1
    finished_at: int | None = None
    last_slot: int | None = None
    slot_count: int = 1
    trigger: str = "schedule"
    earlier: tuple[Attempt, ...] = ()
    reason: str | None = None

    def end_of(self, attempt: int) -> tuple[str, int | None] | None:
        """State and end of an attempt; None if the row knows of none such."""
        if attempt == self.attempt and self.state != "retrying":
            return self.state, self.finished_at
        ends = [(each.state, each.finished_at) for each in self.earlier if each.number == attempt]
        return ends[-1] if ends else None


@dataclass(frozen=True, slots=True)
class Line:
    """What a body wrote, outside the store."""

    kind: Literal["start", "end"]
    run_id: str
    job_id: str
    slot: int
    attempt: int
    pid: int
    at: int


@dataclass(frozen=True, slots=True)
class Fault:
    """Something that the driver did, from when to when; `pid` where it was done to one process."""

    kind: str
    at: int
    until: int
    pid: int | None = None
    witnesses: int = 0
    """Of a kill: how many others were at work, who can see that the process is gone."""


def lines_of(text: str, *, steady_to_wall: float | None = None) -> list[Line]:
    """Read what bodies wrote. With `steady_to_wall`, which takes a monotonic clock to the true time, their own wall
    clocks do not count: those of some tests are wrong on purpose."""
    return [_line(json.loads(each), steady_to_wall) for each in text.splitlines() if each]


def _line(facts: dict[str, Any], steady_to_wall: float | None) -> Line:
    seconds = facts["wall"] if steady_to_wall is None else facts["steady"] + steady_to_wall
    return Line(
        kind=facts["kind"],
        run_id=facts["run"],
        job_id=facts["job"],
        slot=instant(datetime.fromisoformat(facts["slot"])),
        attempt=facts["attempt"],
        pid=facts["pid"],
        at=round(seconds * SECOND),
    )


def starts(lines: Iterable[Line]) -> list[Line]:
    return [line for line in lines if line.kind == "start"]
