"""The composition root: the only file that knows every part. `uvicorn app.main:app`."""

from api.application import create_app
from app import VERSION
from app.deployment import Deployment, StartWithFirstRequest
from app.logs import start_logging
from app.settings import SettingsError, load_settings
from registry import JOB_REGISTRY, RegistryError, load_modules, load_package

try:
    settings = load_settings()
    log_pipe = start_logging(level=settings.log_level, json=settings.log_format == "json")
    load_package("app.jobs")
    load_modules(settings.job_modules)
except (SettingsError, RegistryError) as error:
    # The message is for a person at a terminal: what to change, without our frames around it.
    raise SystemExit(f"The service can't start.\n{error}") from None

deployment = Deployment(settings=settings, functions=JOB_REGISTRY, flush_logs=log_pipe.flush)
app = create_app(version=VERSION, lifespan=deployment.lifespan)
app.add_middleware(StartWithFirstRequest, deployment=deployment)
