"""What job modules import: `from app.jobs.registry import register_job`."""

from registry import JOB_REGISTRY, Cancel, Retry, RunContext, register_job

__all__ = ["JOB_REGISTRY", "Cancel", "Retry", "RunContext", "register_job"]
