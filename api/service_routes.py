"""The routes about the service itself: what it can run, and how it is."""

from typing import Annotated, Any

from fastapi import APIRouter, Query, Response
from fastapi.exceptions import RequestValidationError
from starlette.concurrency import run_in_threadpool

from api.errors import documented
from api.json_bodies import StrictRoute
from api.responses import FunctionView, HealthView, ReadyView
from api.service import TheService

router = APIRouter(route_class=StrictRoute)
health_router = APIRouter(route_class=StrictRoute)
"""What every node serves, whatever its role."""

HEALTH_PATH = "/healthz"

NOT_READY: dict[int | str, dict[str, Any]] = {
    503: {"model": ReadyView, "description": "Not ready; `problems` says why"}
}


@router.get("/functions", summary="List functions", tags=["functions"])
def list_functions(service: TheService) -> list[FunctionView]:
    """The functions that jobs may name, by name."""
    # In a thread: the first answer makes the JSON Schemas, and may ask the code of their authors for them.
    functions = service.scheduler.functions
    return [FunctionView.of(functions[name]) for name in sorted(functions)]


@health_router.get(
    HEALTH_PATH,
    summary="Is the process alive?",
    tags=["service"],
    responses=documented(RequestValidationError)
    | {503: {"model": HealthView, "description": "Alive, and not ready for work"}},
)
async def get_health(
    service: TheService,
    response: Response,
    ready: Annotated[
        bool, Query(description="Answer 503 unless it is ready for work: for probes without a key")
    ] = False,
) -> HealthView:
    """Answers as long as the process does; asks nothing of the database, unless it is asked for readiness."""
    if ready and not await run_in_threadpool(service.readiness.look, service.scheduler, service.clock):
        response.status_code = 503
    return HealthView(
        version=service.version,
        node=service.scheduler.node,
        uptime_seconds=service.clock.monotonic() - service.created_at_monotonic,
    )


@health_router.get("/readyz", summary="Is it ready for work?", tags=["service"], responses=NOT_READY)
def get_readiness(service: TheService, response: Response) -> ReadyView:
    """Whether the database answers and slots are started on time, with figures."""
    health = service.scheduler.health()
    response.status_code = 200 if health.is_ready else 503
    return ReadyView.of(health)
