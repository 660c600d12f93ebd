"""Jobs as clients see them, with what only the scheduler knows of them."""

from api.responses import JobView
from api.service import Service
from engine.nouns import Job


def view_of(service: Service, job: Job) -> JobView:
    """The job, and whether its function is there and its metadata fits it."""
    scheduler = service.scheduler
    return JobView.of(job, orphaned=scheduler.is_orphaned(job), metadata_error=scheduler.metadata_error(job))
