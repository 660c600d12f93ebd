"""Jobs as clients see them, with what only the scheduler knows of them."""

from fastapi.responses import Response

from api.preconditions import etag_of
from api.responses import JobView
from api.service import Service
from engine.nouns import Job


def answer(service: Service, job: Job) -> Response:
    """The answer that is the job: FastAPI would check what is of our own making, and take another thread for it."""
    body = view_of(service, job).model_dump_json()
    return Response(body, media_type="application/json", headers={"ETag": etag_of(job)})


def view_of(service: Service, job: Job) -> JobView:
    """The job, and whether its function is there and its metadata fits it."""
    scheduler = service.scheduler
    return JobView.of(job, orphaned=scheduler.is_orphaned(job), metadata_error=scheduler.metadata_error(job))
