"""Registered functions: the probe, for which the last ten digits of a job's id are its number; and two that compute."""

import time
from typing import Any

from benchmarks.contenders.recording import record
from registry import register_job


@register_job("record")
def record_slot(job_id: str) -> None:
    """Note the call."""
    record(int(job_id[-10:], 16))


@register_job("compute")
def compute(job_id: str, job_metadata: dict[str, Any]) -> None:  # noqa: ARG001 - what a function is called with
    """Nothing but Python code, until an instant in seconds since 1970."""
    while time.time() < job_metadata["until"]:
        sum(number * number for number in range(1_000))


@register_job("compute_in_process", isolation="process")
def compute_in_process(job_id: str, job_metadata: dict[str, Any]) -> None:
    """The same in a worker process."""
    compute(job_id, job_metadata)
