"""This service as it is started by everybody: `uvicorn app.main:app` with defaults, every slot a row.

This process is not the one that is measured: it fills the database, starts the service, and counts its rows afterwards.
"""

import time
from datetime import UTC, datetime
from pathlib import Path

from sqlalchemy import Engine, create_engine

from benchmarks.contenders.child import first_slot_after, say, wait_until_told
from benchmarks.database import count_runs, is_all_recorded, multiply_jobs
from benchmarks.plan import RUN_NEVER_AGAIN, Plan
from benchmarks.service_process import ServiceProcess, service

FUNCTION = {"name": "recorded", "function_name": "record", "interval_seconds": RUN_NEVER_AGAIN}
SETTINGS = {"JOB_MODULES": "benchmarks.contenders.service_jobs", "LOG_LEVEL": "INFO"}
LOOK_SECONDS = 0.02
"""Between two looks at whether a burst is over: the error of its time."""


def main(plan: Plan) -> None:
    """Run the plan."""
    folder = Path(plan.folder)
    url = plan.database_url or f"sqlite:///{folder / 'scheduler.db'}"
    settings = SETTINGS | {"DATABASE_URL": url}
    with service(folder, **settings) as running:
        running.post("/jobs", FUNCTION)
    database = create_engine(url)
    first_at = first_slot_after(plan.lead_seconds)
    multiply_jobs(database, [(plan.interval_of(n), instant_text(first_at + plan.phase_of(n))) for n in plan.numbers])
    with service(folder, plan.processes, **settings) as running:
        assert time.time() < first_at - 1, "the service was ready too late: give it more lead_seconds"
        if plan.companion:
            start_companion(running, plan.companion, first_at + plan.span_seconds)
        say(first_at=first_at)
        recorded_at = wait_until_recorded(database, first_at, plan.span_seconds) if plan.bystanders else None
        wait_until_told()
        memory = running.peak_mib()
    # Of a burst, without its bystanders, which go on until the service is stopped.
    counted_until = first_at + (0.001 if plan.bystanders else plan.span_seconds)
    runs = count_runs(database, instant_text(counted_until))
    say(peak_mib=memory, recorded_at=recorded_at, runs=runs)


def start_companion(running: ServiceProcess, function_name: str, until: float) -> None:
    job = running.post("/jobs", FUNCTION | {"function_name": function_name, "job_metadata": {"until": until}})
    running.post(f"/jobs/{job['id']}/run", {})


def instant_text(seconds: float) -> str:
    """As SQLite keeps an instant, which PostgreSQL reads too."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(" ", "microseconds")


def wait_until_recorded(database: Engine, first_at: float, span_seconds: float) -> float | None:
    """When the burst was over, its last outcome committed; None if that took longer than `span_seconds`."""
    due_at = instant_text(first_at)
    time.sleep(max(0.0, first_at - time.time()))
    while (now := time.time()) < first_at + span_seconds:
        if is_all_recorded(database, due_at):
            return now
        time.sleep(LOOK_SECONDS)
    return None


if __name__ == "__main__":
    main(Plan.from_environment())
