"""Backfills: requests for the slots of a range that is past. Values; engine.backfilling has what is done with them."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from uuid import UUID

from engine.limits import BACKFILL_PRIORITY
from engine.nouns import WAITING_STATES, RunState


class BackfillState(StrEnum):
    """Where a backfill stands.

    `RUNNING`: a run of it is going or waits. `COMPLETED`: all of its runs are over. `CANCELLED`: by request, or because
    its job was deleted; a run that was asked to end may still be in its call.
    """

    RUNNING = "running"
    COMPLETED = "completed"
    CANCELLED = "cancelled"


@dataclass(frozen=True, slots=True)
class BackfillRequest:
    """The slots from `from_at` to `to_at`, both included, of which at most `concurrency` run at once."""

    from_at: datetime
    to_at: datetime
    concurrency: int = 1


@dataclass(frozen=True, slots=True)
class BackfillCount:
    """What a backfill would run: how many slots, from the first to the last, and how many days off leave out."""

    slot_count: int
    excluded_count: int
    first: datetime | None = None
    last: datetime | None = None


@dataclass(frozen=True, slots=True)
class Backfill:
    """A backfill as it was asked for. It has a run for each of its `slot_count` slots."""

    id: UUID
    job_id: UUID
    from_at: datetime
    to_at: datetime
    slot_count: int
    concurrency: int
    created_at: datetime
    cancelled_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class BackfillProgress:
    """A backfill, and how many of its runs are in each state; states without any are left out."""

    backfill: Backfill
    runs: Mapping[RunState, int]

    @property
    def state(self) -> BackfillState:
        """What the runs say."""
        if self.backfill.cancelled_at is not None:
            return BackfillState.CANCELLED
        is_over = self.runs.keys().isdisjoint(UNFINISHED)
        return BackfillState.COMPLETED if is_over else BackfillState.RUNNING


UNFINISHED = WAITING_STATES | {RunState.RUNNING}
"""The states of a run that is not over."""


@dataclass(frozen=True, slots=True)
class BackfillEnding:
    """What a cancellation found: how many runs waited and are over now, and which are still going."""

    cancelled: int
    going: tuple[UUID, ...]


def hint_priority(priority: int, backfill_id: UUID | None) -> int:
    """That of a waiting run of a job with this priority: no backfill takes the place of a slot that is due."""
    return priority if backfill_id is None else priority + BACKFILL_PRIORITY
