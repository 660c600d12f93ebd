"""The routes about the service itself: what it can run, and how it is."""

from typing import Any

from fastapi import APIRouter, Response

from api.responses import FunctionView, HealthView, ReadyView
from api.service import TheService

router = APIRouter()
health_router = APIRouter()
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


@health_router.get(HEALTH_PATH, summary="Is the process alive?", tags=["service"])
async def get_health(service: TheService) -> HealthView:
    """Answers as long as the process does; asks nothing of the database."""
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
