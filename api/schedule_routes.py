"""The routes that show what a schedule will do, before and after it is saved. They change nothing."""

from dataclasses import replace
from typing import Annotated

from fastapi import APIRouter, Body, Response
from fastapi.exceptions import RequestValidationError
from fastapi.openapi.models import Example

from api.errors import PLANNING, documented
from api.json_bodies import StrictRoute
from api.previews import NIGHTLY, ONCE, PreviewView, SchedulePreview, WantedCount, preview_answer
from api.refusals import InvalidJobId
from api.service import JobId, TheService
from engine.errors import InvalidSchedule, JobNotFound, StoreUnavailable, UnknownCalendar
from engine.limits import DEFAULT_PREVIEWED_SLOTS

router = APIRouter(tags=["schedules"], route_class=StrictRoute)

UnsavedSchedule = Annotated[
    SchedulePreview,
    Body(
        openapi_examples={
            "nightly": Example(summary="At half past two in New York, also when there is no such time", value=NIGHTLY),
            "once": Example(summary="Once", value=ONCE),
        }
    ),
]


@router.post(
    "/schedules/preview",
    summary="Preview a schedule",
    response_model=PreviewView,
    responses=documented(*PLANNING, StoreUnavailable),
)
def preview_schedule(body: UnsavedSchedule, service: TheService) -> Response:
    """The next slots of a schedule that is not saved, in UTC and local time, and what is odd about it."""
    preview = service.scheduler.forecast.of_timing(
        body.timing(), after=body.after, count=body.count or DEFAULT_PREVIEWED_SLOTS, job_id=body.job_id
    )
    return preview_answer(replace(preview, warnings=(*body.unknown_fields(), *preview.warnings)))


@router.get(
    "/jobs/{job_id}/next",
    summary="Preview a job",
    response_model=PreviewView,
    responses=documented(
        InvalidJobId, JobNotFound, RequestValidationError, InvalidSchedule, UnknownCalendar, StoreUnavailable
    ),
)
def preview_job(job_id: JobId, service: TheService, count: WantedCount = DEFAULT_PREVIEWED_SLOTS) -> Response:
    """The next slots of a job; of a paused one as if it were resumed now; none of a completed one."""
    return preview_answer(service.scheduler.forecast.of_job(job_id, count=count))
