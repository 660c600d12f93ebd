"""The routes of runs: what happened, and one more run now."""

from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Query, Request, Response
from fastapi.exceptions import RequestValidationError

from api.errors import documented
from api.json_bodies import StrictRoute
from api.refusals import InvalidJobId, InvalidRunId
from api.responses import CancelledView, RunView
from api.run_pages import RunPage, WantedPage, next_link
from api.service import JobId, RunId, Service, TheService, WantedJobId
from engine.errors import (
    EverythingPaused,
    JobNotFound,
    NotScheduling,
    PoolFull,
    RunInTheWay,
    RunIsOver,
    RunNotFound,
    StoreUnavailable,
    UnknownFunction,
)

router = APIRouter(tags=["runs"], route_class=StrictRoute)

Force = Annotated[bool, Query(description="Run it although another run is in its way, or everything is paused")]

LINKED: dict[int | str, dict[str, Any]] = {
    200: {
        "headers": {
            "Link": {
                "description": 'The next page, rel="next" (RFC 8288); absent on the last one',
                "schema": {"type": "string"},
            }
        }
    }
}
"""The header that leads from page to page, for the documentation."""


@router.post(
    "/jobs/{job_id}/run",
    summary="Run a job now",
    responses=documented(
        InvalidJobId,
        UnknownFunction,
        JobNotFound,
        RunInTheWay,
        EverythingPaused,
        RequestValidationError,
        PoolFull,
        NotScheduling,
        StoreUnavailable,
    ),
)
def run_job_now(job_id: JobId, service: TheService, force: Force = False) -> RunView:
    """One manual run, whatever the job's status; its schedule stays as it is.

    Where a slot could not start now, because of the overlap policy, of a concurrency key, or because everything is
    paused, neither does it, unless it is forced.
    """
    return RunView.of(service.scheduler.run_now(job_id, is_forced=force))


@router.post(
    "/runs/{run_id}/cancel",
    summary="Cancel a run",
    responses=documented(InvalidRunId, RunNotFound, RunIsOver, StoreUnavailable),
)
def cancel_run(run_id: RunId, service: TheService) -> CancelledView:
    """Answers what really happened: whether the run has ended, or was only asked to.

    A run that waits ends at once, one in a worker process is killed, a coroutine is cancelled; a function in a thread
    has to look at `run.cancelled`.
    """
    return CancelledView.of(service.scheduler.cancellation.cancel(run_id))


@router.get(
    "/jobs/{job_id}/runs",
    summary="List the runs of a job",
    responses=LINKED | documented(InvalidJobId, JobNotFound, RequestValidationError, StoreUnavailable),
)
def list_runs_of_job(
    job_id: JobId, page: WantedPage, service: TheService, request: Request, response: Response
) -> list[RunView]:
    """Newest first; also those of a job that is deleted."""
    runs = _page_of_runs(service, page, job_id=job_id, request=request, response=response)
    if not runs and not _is_known(service, job_id):
        raise JobNotFound
    return runs


@router.get(
    "/runs",
    summary="List runs",
    responses=LINKED | documented(InvalidJobId, RequestValidationError, StoreUnavailable),
)
def list_runs(
    job_id: WantedJobId, page: WantedPage, service: TheService, request: Request, response: Response
) -> list[RunView]:
    """Of all jobs, newest first."""
    return _page_of_runs(service, page, job_id=job_id, request=request, response=response)


@router.get(
    "/runs/{run_id}",
    summary="Get a run",
    responses=documented(InvalidRunId, RunNotFound, StoreUnavailable),
)
def get_run(run_id: RunId, service: TheService) -> RunView:
    """How it went, or why it did not start."""
    run = service.store.run(run_id)
    if run is None:
        raise RunNotFound
    return RunView.of(run)


def _page_of_runs(
    service: Service, page: RunPage, *, job_id: UUID | None, request: Request, response: Response
) -> list[RunView]:
    # One more than is shown tells whether there is another page.
    runs = service.store.runs_page(job_id=job_id, state=page.state, before=page.before, limit=page.limit + 1)
    shown = runs[: page.limit]
    if len(runs) > page.limit:
        response.headers["Link"] = next_link(request, shown)
    return [RunView.of(run) for run in shown]


def _is_known(service: Service, job_id: UUID) -> bool:
    return service.store.job(job_id) is not None or service.store.has_runs(job_id)
