"""The routes of jobs. They translate; what may be done with a job, the engine knows."""

from functools import partial
from typing import Annotated, Any

from fastapi import APIRouter, Body, Depends, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.openapi.models import Example
from starlette.concurrency import run_in_threadpool

from api.errors import CREATING, documented
from api.job_pages import WantedJobPage, next_link
from api.job_stream import VIEWS, all_jobs
from api.job_views import answer, view_of
from api.json_bodies import StrictRoute
from api.limits import MAX_PAGE_SIZE
from api.preconditions import IfMatch
from api.previews import PreviewView, preview_answer
from api.refusals import InvalidJobId, NotConfirmed
from api.requests import CHANGE, CRON_JOB, INTERVAL_JOB, JobCreate, JobUpdate
from api.responses import AllDeletedView, DeletedView, JobView
from api.service import DryRun, JobId, TheService, require_confirmation
from engine.errors import JobChanged, JobNotFound, StoreUnavailable

router = APIRouter(prefix="/jobs", tags=["jobs"], route_class=StrictRoute)

KNOWN = (InvalidJobId, JobNotFound)
"""What may be wrong with the id of a job."""

UNCONFIRMED = (NotConfirmed, RequestValidationError)
"""What may be wrong with the confirmation of a deletion."""

DRY_RUN: dict[int | str, dict[str, Any]] = {
    200: {"description": "The job; with `?dry_run=true` a preview, and nothing is changed"}
}
"""The two good answers of a route that creates or changes a job, for the documentation."""

LISTED: dict[int | str, dict[str, Any]] = {
    200: {
        "headers": {
            "Link": {
                "description": 'The next page, rel="next" (RFC 8288); absent on the last one, and where all are told',
                "schema": {"type": "string"},
            },
            "X-Total-Count": {
                "description": "How many jobs there are of the kind; absent where all jobs are told",
                "schema": {"type": "integer"},
            },
        }
    }
}
"""The headers of a list, for the documentation."""

WholeJob = Annotated[
    JobCreate,
    Body(
        openapi_examples={
            "interval": Example(summary="By interval", value=INTERVAL_JOB),
            "cron": Example(summary="By cron expression", value=CRON_JOB),
        }
    ),
]
ChangedFields = Annotated[
    JobUpdate, Body(openapi_examples={"change": Example(summary="Another interval, and paused", value=CHANGE)})
]


@router.post(
    "",
    summary="Create a job",
    response_model=JobView | PreviewView,
    responses=DRY_RUN | documented(*CREATING, StoreUnavailable),
)
async def create_job(body: WholeJob, service: TheService, dry_run: DryRun = False) -> Response:
    """An active job is scheduled at once; a paused one is stored."""
    draft = body.draft()
    if dry_run:
        return await run_in_threadpool(lambda: preview_answer(service.scheduler.forecast.of_creation(draft)))
    if service.may_run_validators(draft.function_name):
        return await run_in_threadpool(lambda: answer(service, service.scheduler.create_job(draft)))
    return answer(service, await service.creations.ask(draft))


@router.get(
    "",
    response_model=list[JobView],
    summary="List jobs",
    responses=LISTED | documented(RequestValidationError, StoreUnavailable),
)
def list_jobs(page: WantedJobPage, service: TheService, request: Request) -> Response:
    """Every job, oldest first, in one array; or those that are asked for, page by page."""
    view = partial(view_of, service)
    if page.is_whole_list:
        return all_jobs(service.store, view=view)
    limit = page.limit or MAX_PAGE_SIZE
    # One more than is shown tells whether there is another page.
    jobs, count = service.store.listed_jobs(page.wanted, page.order, after=page.after, limit=limit + 1)
    headers = {"X-Total-Count": str(count)}
    if len(jobs) > limit:
        headers["Link"] = next_link(request, jobs[:limit], page.order)
    return Response(
        VIEWS.dump_json([view(job) for job in jobs[:limit]]), media_type="application/json", headers=headers
    )


@router.get("/{job_id}", response_model=JobView, summary="Get a job", responses=documented(*KNOWN, StoreUnavailable))
def get_job(job_id: JobId, service: TheService) -> Response:
    """With when it ran last and when it runs next."""
    job = service.store.job(job_id)
    if job is None:
        raise JobNotFound
    return answer(service, job)


@router.put(
    "/{job_id}",
    summary="Replace a job",
    response_model=JobView | PreviewView,
    responses=DRY_RUN | documented(*KNOWN, JobChanged, *CREATING, StoreUnavailable),
)
def replace_job(
    job_id: JobId, body: WholeJob, service: TheService, known: IfMatch, dry_run: DryRun = False
) -> Response:
    """What is not named gets its default. An interval that stays the same keeps its grid."""
    if dry_run:
        return preview_answer(service.scheduler.forecast.of_replacement(job_id, body.draft()))
    return answer(service, service.scheduler.replace_job(job_id, body.draft(), known=known))


@router.patch(
    "/{job_id}",
    summary="Change a job",
    response_model=JobView | PreviewView,
    responses=DRY_RUN | documented(*KNOWN, JobChanged, *CREATING, StoreUnavailable),
)
def change_job(
    job_id: JobId, body: ChangedFields, service: TheService, known: IfMatch, dry_run: DryRun = False
) -> Response:
    """Only what is named changes. One kind of schedule clears the others."""
    if dry_run:
        return preview_answer(service.scheduler.forecast.of_change(job_id, body.change()))
    return answer(service, service.scheduler.change_job(job_id, body.change(), known=known))


@router.delete(
    "/{job_id}",
    summary="Delete a job",
    dependencies=[Depends(require_confirmation)],
    responses=documented(*UNCONFIRMED, *KNOWN, JobChanged, StoreUnavailable),
)
def delete_job(job_id: JobId, service: TheService, known: IfMatch) -> DeletedView:
    """Its runs are kept."""
    service.scheduler.delete_job(job_id, known=known)
    return DeletedView(message=f"Job {job_id} deleted successfully")


@router.delete(
    "",
    summary="Delete all jobs",
    dependencies=[Depends(require_confirmation)],
    responses=documented(*UNCONFIRMED, StoreUnavailable),
)
def delete_all_jobs(service: TheService) -> AllDeletedView:
    """Their runs are kept."""
    deleted = service.scheduler.delete_all_jobs()
    return AllDeletedView(message="All jobs deleted successfully", deleted_count=deleted)
