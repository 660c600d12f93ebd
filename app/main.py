"""The composition root: the only file that knows every part. `uvicorn app.main:app`."""

import structlog

from api.application import create_app
from api.traffic import TrafficLimits
from app import VERSION
from app.deployment import Deployment, StartWithFirstRequest
from app.logs import start_logging
from app.patience import patience_of_this_process
from app.settings import SettingsError, load_settings
from registry import JOB_REGISTRY, RegistryError, load_modules, load_package

REFUSAL = "The service can't start.\n{}"
"""For a person at a terminal: what to change, without our frames around it."""

try:
    settings = load_settings()
except SettingsError as error:
    raise SystemExit(REFUSAL.format(error)) from None

log_pipe = start_logging(level=settings.log_level, json=settings.log_format == "json")

try:
    load_package("app.jobs")
    load_modules(settings.job_modules)
except RegistryError as error:
    if settings.log_format == "json":
        structlog.get_logger("scheduler.start").error("start refused", error=str(error))
    log_pipe.stop()
    raise SystemExit(1 if settings.log_format == "json" else REFUSAL.format(error)) from None

deployment = Deployment(
    settings=settings,
    functions=JOB_REGISTRY,
    flush_logs=log_pipe.flush,
    patience_seconds=patience_of_this_process(),
)
app = create_app(
    version=VERSION,
    lifespan=deployment.lifespan,
    role=settings.role,
    allowed_hosts=settings.allowed_hosts,
    cors_origins=settings.cors_origins,
    traffic=TrafficLimits(settings.concurrent_requests, settings.requests_per_second),
)
app.add_middleware(StartWithFirstRequest, deployment=deployment)
