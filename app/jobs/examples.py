"""Three functions to try the service with. A function of yours with the same name takes its place."""

from datetime import UTC, datetime
from typing import Any

from app.jobs.registry import RunContext, register_job


@register_job("dummy_number_crunch", replaceable=True)
def dummy_number_crunch(job_id: str, job_metadata: dict[str, Any] | None = None) -> dict[str, Any]:
    """Add up the numbers below 100 and multiply the sum by `multiplier`."""
    multiplier = (job_metadata or {}).get("multiplier", 1)
    result = sum(range(100)) * multiplier
    print(f"Job {job_id}: result {result}")
    return {"result": result}


@register_job("print_hello", replaceable=True)
def print_hello(job_id: str, job_metadata: dict[str, Any] | None = None) -> None:
    """Say hello, with the job's metadata."""
    print(f"Hello from job {job_id}! Metadata: {job_metadata}")


@register_job("log_time", replaceable=True)
def log_time(job_id: str, job_metadata: dict[str, Any] | None = None, run: RunContext | None = None) -> str:
    """Log what time it is, through the logger of the run."""
    now = datetime.now(UTC).isoformat()
    if run is not None:
        run.log.info("the time", time=now, metadata=job_metadata)
    return f"[{now}] Job {job_id}: {job_metadata}"
