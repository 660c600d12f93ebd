"""Job functions that write one line when they start and one when they end, to a file outside the store.

They import nothing of the tests: JOB_MODULES names this module. A line is one `write` to a file opened for appending,
so that lines of many processes do not mix and a killed process leaves a whole line or none.
"""

import json
import os
import threading
import time
from typing import Any

from registry import register_job

LINES_FILE = "CHAOS_LINES"
"""The environment variable that names the file."""


def note(kind: str, job_id: str, run: Any) -> None:
    """Write down that the call of `run` started or ended, on the wall clock and on the one that nobody sets."""
    facts = {
        "kind": kind,
        "job": job_id,
        "run": run.id,
        "slot": run.scheduled_for.isoformat(),
        "attempt": run.attempt,
        "pid": os.getpid(),
        "wall": time.time(),
        "steady": time.monotonic(),
    }
    descriptor = os.open(os.environ[LINES_FILE], os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        os.write(descriptor, json.dumps(facts).encode() + b"\n")
    finally:
        os.close(descriptor)


@register_job("chaos_quick")
def quick(job_id: str, run: Any) -> None:
    note("start", job_id, run)
    note("end", job_id, run)


@register_job("chaos_lingers")
def lingers(job_id: str, job_metadata: dict[str, Any], run: Any) -> None:
    """Takes as many `seconds` as the job's metadata says."""
    note("start", job_id, run)
    threading.Event().wait(job_metadata["seconds"])
    note("end", job_id, run)


@register_job("chaos_fails_at_first")
def fails_at_first(job_id: str, run: Any) -> None:
    """Its first attempt fails after its end line, any later one succeeds."""
    note("start", job_id, run)
    note("end", job_id, run)
    if run.attempt == 1:
        raise RuntimeError("the first attempt fails")
