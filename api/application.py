"""The FastAPI application, put together. Nothing is built at import."""

from collections.abc import Collection, Sequence

from fastapi import Depends, FastAPI
from fastapi.routing import APIRoute
from fastapi.telemetry import TelemetryConfig
from fastapi_offline import FastAPIOffline
from starlette.middleware.cors import CORSMiddleware
from starlette.types import Lifespan

from api import (
    backfill_routes,
    calendar_routes,
    job_routes,
    key_routes,
    log_routes,
    node_routes,
    pause_routes,
    run_routes,
    schedule_routes,
    service_routes,
    why_routes,
)
from api.access import Access, authorize
from api.attempts import FailedAttempts
from api.authentication import Authentication
from api.body_limit import BodyLimit
from api.browser import BrowserGuard
from api.documentation import DESCRIPTION, TAGS, document_what_happens
from api.envelope import REQUEST_ID, Envelope
from api.errors import add_error_handlers
from api.express import ExpressJob
from api.gathering import Gathering
from api.outage import OutageWatch
from api.service import Reads, Service
from api.startup import StartupRefusal
from api.traffic import Crowd, KeyRate, TrafficLimits
from api.unexpected import UnexpectedErrors
from engine.clock import SystemClock
from engine.nodes import Role
from engine.ports import Clock
from engine.scheduler import Scheduler

NO_TELEMETRY: TelemetryConfig = {"tracing": False, "metrics": False, "logs": False}

ROUTERS = (
    job_routes.router,
    pause_routes.router,
    schedule_routes.router,
    calendar_routes.router,
    run_routes.router,
    log_routes.router,
    why_routes.router,
    backfill_routes.router,
    node_routes.router,
    key_routes.router,
    service_routes.router,
    service_routes.health_router,
)
"""Of the whole API, in the order of its documentation."""


def create_app(
    *,
    version: str,
    lifespan: Lifespan[FastAPI] | None = None,
    role: Role = Role.ALL,
    allowed_hosts: Collection[str] = (),
    cors_origins: Sequence[str] = (),
    traffic: TrafficLimits | None = None,
) -> FastAPI:
    """The application. What it works with is attached by `lifespan` or by a test: see `attach_service`.

    `allowed_hosts` are the names it goes by, see BrowserGuard; pages of `cors_origins` may use it in a browser.
    """
    traffic = traffic or TrafficLimits()
    app = _whole_api(version, lifespan) if role.serves_api else _health_only(version, lifespan)
    add_error_handlers(app)
    app.state.access = None
    if role.serves_api:
        app.add_middleware(ExpressJob)
    app.add_middleware(BodyLimit)
    if traffic.requests_per_second is not None:
        app.add_middleware(KeyRate, per_second=traffic.requests_per_second)
    app.add_middleware(Authentication, open_path=service_routes.HEALTH_PATH)
    app.add_middleware(Crowd, at_most=traffic.concurrent_requests, unconcerned=service_routes.HEALTH_PATH)
    app.add_middleware(StartupRefusal)
    app.add_middleware(OutageWatch, unconcerned=service_routes.HEALTH_PATH)
    app.add_middleware(BrowserGuard, allowed_origins=cors_origins, allowed_hosts=allowed_hosts)
    if cors_origins:
        # Before the keys are asked for: a browser asks first whether it may ask, and sends no key with that.
        app.add_middleware(
            CORSMiddleware,
            allow_origins=cors_origins,
            allow_methods=["*"],
            allow_headers=["*"],
            expose_headers=[REQUEST_ID, "ETag", "Link", "Retry-After", "X-Total-Count"],
        )
    app.add_middleware(UnexpectedErrors)
    app.add_middleware(Envelope, clock=SystemClock())
    return app


def _whole_api(version: str, lifespan: Lifespan[FastAPI] | None) -> FastAPI:
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
        telemetry=NO_TELEMETRY,
    )
    for router in ROUTERS:
        app.include_router(router, dependencies=[Depends(authorize)])
    document_what_happens(app)
    return app


def _health_only(version: str, lifespan: Lifespan[FastAPI] | None) -> FastAPI:
    """For a node that others ask how it is, and nothing else: no jobs and no pages."""
    app = FastAPI(version=version, lifespan=lifespan, openapi_url=None, telemetry=NO_TELEMETRY)
    app.include_router(service_routes.health_router, dependencies=[Depends(authorize)])
    return app


def attach_service(
    app: FastAPI, *, scheduler: Scheduler, store: Reads, clock: Clock | None = None, access: Access | None = None
) -> None:
    """Have the routes work with this scheduler and store from now on. Without `access` everybody may do everything."""
    clock = clock or SystemClock()
    app.state.access, app.state.failed_attempts = access, FailedAttempts(clock)
    app.state.service = Service(
        scheduler,
        store,
        clock,
        app.version,
        created_at_monotonic=clock.monotonic(),
        live_logs=scheduler.live_logs,
        creations=Gathering(scheduler.create_jobs),
    )


def _operation_id(route: APIRoute) -> str:
    return route.name
