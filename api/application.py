"""The FastAPI application, put together. Nothing is built at import."""

from fastapi import FastAPI
from fastapi.routing import APIRoute
from fastapi_offline import FastAPIOffline
from starlette.types import Lifespan

from api import (
    backfill_routes,
    calendar_routes,
    job_routes,
    log_routes,
    node_routes,
    pause_routes,
    run_routes,
    schedule_routes,
    service_routes,
    why_routes,
)
from api.body_limit import BodyLimit
from api.documentation import DESCRIPTION, TAGS, document_only_what_happens
from api.errors import add_error_handlers
from api.service import Reads, Service
from api.startup import StartupRefusal
from api.unexpected import UnexpectedErrors
from engine.clock import SystemClock
from engine.ports import Clock
from engine.scheduler import Scheduler


def create_app(*, version: str, lifespan: Lifespan[FastAPI] | None = None) -> FastAPI:
    """The application. What it works with is attached by `lifespan` or by a test: see `attach_service`."""
    # FastAPI itself would have the browser load Swagger and ReDoc from a server outside.
    app = FastAPIOffline(
        title="Scheduler Microservice",
        description=DESCRIPTION,
        version=version,
        openapi_tags=TAGS,
        lifespan=lifespan,
        generate_unique_id_function=_operation_id,
        # Clients of the service before this one send JSON without saying so.
        strict_content_type=False,
        telemetry={"tracing": False, "metrics": False, "logs": False},
    )
    for module in (
        job_routes,
        pause_routes,
        schedule_routes,
        calendar_routes,
        run_routes,
        log_routes,
        why_routes,
        backfill_routes,
        node_routes,
        service_routes,
    ):
        app.include_router(module.router)
    add_error_handlers(app)
    for middleware in (BodyLimit, StartupRefusal, UnexpectedErrors):
        app.add_middleware(middleware)
    document_only_what_happens(app)
    return app


def attach_service(app: FastAPI, *, scheduler: Scheduler, store: Reads, clock: Clock | None = None) -> None:
    """Have the routes work with this scheduler and store from now on."""
    clock = clock or SystemClock()
    app.state.service = Service(
        scheduler,
        store,
        clock,
        app.version,
        created_at_monotonic=clock.monotonic(),
        live_logs=scheduler.live_logs,
    )


def _operation_id(route: APIRoute) -> str:
    return route.name
