"""What is on record of the past beside runs: who was there from when to when, and what was paused. Pure values."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from engine.nouns import Pause, Run, RunState


@dataclass(frozen=True, slots=True)
class Uptime:
    """A node: since when it was there, when it was last seen, and when it stopped, if it lived to say so.

    `is_live`: it has not stopped, and nobody has declared it lost.
    """

    node: UUID
    started_at: datetime
    seen_at: datetime
    stopped_at: datetime | None = None
    is_live: bool = False

    @property
    def ended_at(self) -> datetime:
        """Until when it is known to have been there; of one that was killed, when it was last seen."""
        return self.stopped_at or self.seen_at


@dataclass(frozen=True, slots=True)
class Downtime:
    """No node was there after `since`; the next one came at `until`, None if none has. `was_stopped`: by request."""

    since: datetime
    until: datetime | None
    was_stopped: bool


def downtime_at(instant: datetime, uptimes: Sequence[Uptime], *, current: UUID) -> Downtime | None:
    """When nobody was there, if that was so at the instant; None also where no node is on record before it.

    `current` is the node that asks: however old its last heartbeat, it is there.
    """
    before = max((each for each in uptimes if each.started_at <= instant), key=_started_at, default=None)
    if before is None or before.node == current or before.is_live or before.ended_at > instant:
        return None
    after = min((each for each in uptimes if each.started_at > instant), key=_started_at, default=None)
    return Downtime(before.ended_at, None if after is None else after.started_at, before.stopped_at is not None)


def _started_at(uptime: Uptime) -> datetime:
    return uptime.started_at


@dataclass(frozen=True, slots=True)
class KeptPause:
    """A pause of a job, or without one of everything; `ended_at` is None while it is in force."""

    job_id: UUID | None
    pause: Pause
    ended_at: datetime | None


@dataclass(frozen=True, slots=True)
class Around:
    """What is on record of a job around a stretch of time.

    `within`: its runs with a slot or a request in it, whatever asked for them. `before` and `after`: the nearest slots
    of its schedule on record before it begins and from its end on, the nearest first.
    """

    within: tuple[Run, ...]
    before: tuple[Run, ...]
    after: tuple[Run, ...]


Position = tuple[datetime, UUID]
"""The place of a run in the history: its `scheduled_for` and its id."""


@dataclass(frozen=True, slots=True)
class Entry:
    """What retention looks at of a run. `is_going`: it is not over, or what it called has not returned."""

    run_id: UUID
    scheduled_for: datetime
    state: RunState
    finished_at: datetime | None
    is_going: bool

    @property
    def position(self) -> Position:
        """Its place in the history."""
        return (self.scheduled_for, self.run_id)

    @property
    def ended_at(self) -> datetime:
        """From when on its age counts."""
        return self.finished_at or self.scheduled_for


@dataclass(frozen=True, slots=True)
class CrowdedJob:
    """A job, which may be deleted, with more runs than are kept: `surplus` is the newest of those beyond."""

    job_id: UUID
    surplus: Position
