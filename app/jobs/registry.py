"""What job modules import: `from app.jobs.registry import register_job`."""

from registry import JOB_REGISTRY, RunContext, register_job

__all__ = ["JOB_REGISTRY", "RunContext", "register_job"]
