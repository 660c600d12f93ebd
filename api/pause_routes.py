"""The routes that hold things back: pausing and resuming one job, or everything."""

from typing import Annotated

from fastapi import APIRouter, Body, Response
from fastapi.exceptions import RequestValidationError

from api.errors import documented
from api.job_views import answer
from api.json_bodies import StrictRoute
from api.pauses import PauseRequest, ResumeRequest, ServicePauseView
from api.preconditions import IfMatch
from api.refusals import BodyTooLarge, InvalidJobId, UnreadableBody
from api.responses import JobView
from api.service import JobId, TheService
from engine.errors import InvalidPause, InvalidSchedule, JobChanged, JobNotFound, StoreUnavailable

router = APIRouter(route_class=StrictRoute)

BODY = (UnreadableBody, BodyTooLarge, RequestValidationError)
"""What may be wrong with a body that may also be left out."""

Pausing = Annotated[PauseRequest | None, Body()]
Resuming = Annotated[ResumeRequest | None, Body()]


@router.post(
    "/jobs/{job_id}/pause",
    summary="Pause a job",
    tags=["jobs"],
    response_model=JobView,
    responses=documented(InvalidJobId, JobNotFound, JobChanged, *BODY, InvalidPause, StoreUnavailable),
)
def pause_job(job_id: JobId, service: TheService, known: IfMatch, body: Pausing = None) -> Response:
    """It is kept, and does not run until it is resumed, or until the instant that is given."""
    wanted = body or PauseRequest()
    pause = service.scheduler.pausing.pause
    return answer(service, pause(job_id, until=wanted.until, by=wanted.by, note=wanted.note, known=known))


@router.post(
    "/jobs/{job_id}/resume",
    summary="Resume a job",
    tags=["jobs"],
    response_model=JobView,
    responses=documented(InvalidJobId, JobNotFound, JobChanged, *BODY, InvalidSchedule, StoreUnavailable),
)
def resume_job(job_id: JobId, service: TheService, known: IfMatch, body: Resuming = None) -> Response:
    """Its next slot is the first one from now on.

    With `catch_up` its pause was downtime, and its misfire policy says what becomes of the slots in it.
    """
    wanted = body or ResumeRequest()
    return answer(service, service.scheduler.pausing.resume(job_id, catch_up=wanted.catch_up, known=known))


@router.get("/pause", summary="Is everything paused?", tags=["service"])
def get_pause(service: TheService) -> ServicePauseView:
    """The pause of everything, if there is one."""
    return ServicePauseView.of(service.scheduler.pausing.current)


@router.post(
    "/pause",
    summary="Pause everything",
    tags=["service"],
    responses=documented(*BODY, InvalidPause, StoreUnavailable),
)
def pause_everything(service: TheService, body: Pausing = None) -> ServicePauseView:
    """Once this is answered no run starts, also after a restart, but manual ones that are forced.

    Runs that are going go on.
    """
    wanted = body or PauseRequest()
    return ServicePauseView.of(service.scheduler.pausing.pause_all(until=wanted.until, by=wanted.by, note=wanted.note))


@router.post(
    "/resume",
    summary="Resume everything",
    tags=["service"],
    responses=documented(*BODY, StoreUnavailable),
)
def resume_everything(service: TheService, body: Resuming = None) -> ServicePauseView:
    """Slots that came due meanwhile are missed; with `catch_up` the pause was downtime, and misfire policies apply."""
    wanted = body or ResumeRequest()
    service.scheduler.pausing.resume_all(catch_up=wanted.catch_up)
    return ServicePauseView.of(service.scheduler.pausing.current)
