"""The routes of backfills: making up for slots that are past."""

from collections.abc import Sequence
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Body, Depends, Path, Query
from fastapi.exceptions import RequestValidationError
from fastapi.openapi.models import Example

from api.backfill_bodies import LAST_WEEK, BackfillCountView, BackfillCreate, BackfillView, CancelledBackfillView
from api.errors import documented
from api.json_bodies import StrictRoute
from api.refusals import BodyTooLarge, InvalidBackfillId, InvalidJobId, UnreadableBody
from api.responses import RunView
from api.service import JobId, Service, TheService, parsed_id
from engine.backfills import BackfillProgress
from engine.errors import (
    BackfillIsOver,
    BackfillNotFound,
    BackfillTooLarge,
    InvalidBackfill,
    InvalidSchedule,
    JobNotFound,
    StoreUnavailable,
    TooManyBackfills,
    UnknownCalendar,
    UnknownFunction,
)
from engine.limits import MAX_BACKFILL_SLOTS, MAX_LISTED_BACKFILLS

router = APIRouter(tags=["backfills"], route_class=StrictRoute)

KNOWN = (InvalidBackfillId, BackfillNotFound)
"""What may be wrong with the id of a backfill."""

ASKING = (UnreadableBody, BodyTooLarge, RequestValidationError, InvalidBackfill, BackfillTooLarge)
"""What may be wrong with what a client asks for."""

OF_ITS_JOB = (InvalidJobId, JobNotFound, UnknownFunction, InvalidSchedule, UnknownCalendar)
"""What may be wrong with the job."""

DRY_RUN: dict[int | str, dict[str, Any]] = {
    200: {"description": "The backfill; in a dry run the count of its slots, and nothing is changed"}
}
"""The two good answers of the route that creates, for the documentation."""

WantedRange = Annotated[
    BackfillCreate, Body(openapi_examples={"week": Example(summary="A week, two slots at once", value=LAST_WEEK)})
]
CountOnly = Annotated[bool, Query(description="Change nothing, and answer with the count of the slots")]


async def _backfill_id(
    backfill_id: Annotated[str, Path(description="The backfill's UUID", json_schema_extra={"format": "uuid"})],
) -> UUID:
    return parsed_id(backfill_id, InvalidBackfillId)


BackfillId = Annotated[UUID, Depends(_backfill_id)]


@router.post(
    "/jobs/{job_id}/backfill",
    summary="Backfill a job",
    response_model=BackfillView | BackfillCountView,
    responses=DRY_RUN | documented(*OF_ITS_JOB, *ASKING, TooManyBackfills, StoreUnavailable),
)
def create_backfill(
    job_id: JobId, body: WantedRange, service: TheService, dry_run: CountOnly = False
) -> BackfillView | BackfillCountView:
    """One run for each slot of a range that is past, whether or not it ran before; but not on days off.

    They run in the order of their slots, `concurrency` at a time, behind all slots that are due. They wait while the
    job, or everything, is paused.
    """
    backfilling = service.scheduler.backfilling
    if dry_run or body.dry_run:
        return BackfillCountView.of(backfilling.count(job_id, body.request()))
    return _views(service, [backfilling.create(job_id, body.request())])[0]


@router.get(
    "/jobs/{job_id}/backfills",
    summary="List the backfills of a job",
    responses=documented(InvalidJobId, JobNotFound, StoreUnavailable),
)
def list_backfills(job_id: JobId, service: TheService) -> list[BackfillView]:
    """The newest hundred, newest first; also of a job that is deleted."""
    found = service.store.backfills_of(job_id, limit=MAX_LISTED_BACKFILLS)
    if not found and service.store.job(job_id) is None and not service.store.has_runs(job_id):
        raise JobNotFound
    return _views(service, found)


@router.get("/backfills/{backfill_id}", summary="Get a backfill", responses=documented(*KNOWN, StoreUnavailable))
def get_backfill(backfill_id: BackfillId, service: TheService) -> BackfillView:
    """How far it has come."""
    return _views(service, [_existing(service, backfill_id)])[0]


@router.get(
    "/backfills/{backfill_id}/runs",
    summary="List the runs of a backfill",
    responses=documented(*KNOWN, StoreUnavailable),
)
def list_runs_of_backfill(backfill_id: BackfillId, service: TheService) -> list[RunView]:
    """All of them, the latest slot first."""
    _existing(service, backfill_id)
    return [RunView.of(run) for run in service.store.runs_of_backfill(backfill_id, limit=MAX_BACKFILL_SLOTS)]


@router.post(
    "/backfills/{backfill_id}/cancel",
    summary="Cancel a backfill",
    responses=documented(*KNOWN, BackfillIsOver, StoreUnavailable),
)
def cancel_backfill(backfill_id: BackfillId, service: TheService) -> CancelledBackfillView:
    """Its runs that wait are over; those in a call are asked to end, which is not waited for."""
    return CancelledBackfillView.of(service.scheduler.backfilling.cancel(backfill_id))


def _existing(service: Service, backfill_id: UUID) -> BackfillProgress:
    found = service.store.backfill(backfill_id)
    if found is None:
        raise BackfillNotFound
    return found


def _views(service: Service, found: Sequence[BackfillProgress]) -> list[BackfillView]:
    hold_ups = service.scheduler.backfilling.hold_ups(found)
    return [BackfillView.of(each, hold_up=hold_ups.get(each.backfill.id)) for each in found]
