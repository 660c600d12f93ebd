"""Jobs as clients see them, with what only the scheduler knows of them."""

from fastapi.responses import Response

from api.responses import JobView
from api.service import Service
from engine.nouns import Job


def answer(service: Service, job: Job) -> Response:
    """The answer that is the job: FastAPI would check what is of our own making, and take another thread for it."""
    return Response(view_of(service, job).model_dump_json(), media_type="application/json")


def view_of(service: Service, job: Job) -> JobView:
    """The job, and whether its function is there and its metadata fits it."""
    scheduler = service.scheduler
    return JobView.of(job, orphaned=scheduler.is_orphaned(job), metadata_error=scheduler.metadata_error(job))
