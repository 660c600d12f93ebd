"""What clients send and get about backfills."""

from datetime import datetime
from typing import Annotated, Any, Self
from uuid import UUID

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from api.schedule_fields import Instant, not_boolean
from engine.backfilling import CancelledBackfill
from engine.backfills import BackfillCount, BackfillProgress, BackfillRequest, BackfillState
from engine.limits import MAX_BACKFILL_CONCURRENCY
from engine.nouns import RunState

LAST_WEEK: dict[str, Any] = {"from": "2026-01-05T00:00:00Z", "to": "2026-01-11T23:59:59Z", "concurrency": 2}


class BackfillCreate(BaseModel):
    """The slots from one instant to another, both included, and how many of them may run at once."""

    model_config = ConfigDict(json_schema_extra={"examples": [LAST_WEEK]})

    from_at: Instant = Field(alias="from", description="No slot before this instant")
    to_at: Instant = Field(alias="to", description="No slot after this instant, which is not after now")
    concurrency: Annotated[int, Field(ge=1, le=MAX_BACKFILL_CONCURRENCY), BeforeValidator(not_boolean)] = Field(
        default=1, description="Runs of this backfill that may go at once"
    )
    dry_run: bool = Field(default=False, description="Only count, as with ?dry_run=true")

    def request(self) -> BackfillRequest:
        """The same in the engine's words."""
        return BackfillRequest(self.from_at, self.to_at, self.concurrency)


class BackfillCountView(BaseModel):
    """What a backfill would run. `excluded_count`: slots on days off, which it leaves out."""

    slot_count: int
    first: datetime | None
    last: datetime | None
    excluded_count: int

    @classmethod
    def of(cls, count: BackfillCount) -> Self:
        """As clients see `count`."""
        return cls(slot_count=count.slot_count, first=count.first, last=count.last, excluded_count=count.excluded_count)


class BackfillView(BaseModel):
    """A backfill. `runs`: how many of its runs are in each state. `held_up_because`: why none of them starts now."""

    id: UUID
    job_id: UUID
    from_at: datetime = Field(serialization_alias="from")
    to_at: datetime = Field(serialization_alias="to")
    slot_count: int
    concurrency: int
    created_at: datetime
    cancelled_at: datetime | None
    state: BackfillState
    runs: dict[RunState, int]
    held_up_because: str | None

    @classmethod
    def of(cls, progress: BackfillProgress, *, hold_up: str | None) -> Self:
        """As clients see `progress`."""
        backfill = progress.backfill
        return cls(
            id=backfill.id,
            job_id=backfill.job_id,
            from_at=backfill.from_at,
            to_at=backfill.to_at,
            slot_count=backfill.slot_count,
            concurrency=backfill.concurrency,
            created_at=backfill.created_at,
            cancelled_at=backfill.cancelled_at,
            state=progress.state,
            runs=dict(progress.runs),
            held_up_because=hold_up,
        )


class CancelledBackfillView(BaseModel):
    """What a cancellation came to: runs that waited and are over, runs in a call that were asked to end."""

    cancelled: int
    asked_to_end: int
    backfill: BackfillView

    @classmethod
    def of(cls, found: CancelledBackfill) -> Self:
        """As clients see `found`."""
        return cls(
            cancelled=found.cancelled,
            asked_to_end=found.asked_to_end,
            backfill=BackfillView.of(found.progress, hold_up=None),
        )
