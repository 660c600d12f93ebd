"""APScheduler 3, with its memory store or its SQLAlchemy store on SQLite: told to lose, merge or refuse nothing."""

import logging
import pickle
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from apscheduler.executors.pool import ThreadPoolExecutor
from apscheduler.job import Job
from apscheduler.jobstores.memory import MemoryJobStore
from apscheduler.jobstores.sqlalchemy import SQLAlchemyJobStore
from apscheduler.schedulers.background import BackgroundScheduler
from apscheduler.triggers.interval import IntervalTrigger
from sqlalchemy import Engine, event

from benchmarks.contenders.child import (
    POOL_SIZE,
    first_slot_after,
    peak_mib,
    say,
    use_pragmas_of_the_service,
    wait_until_told,
)
from benchmarks.contenders.recording import PLAN, record

PATIENT = {"misfire_grace_time": None, "coalesce": False, "max_instances": 1_000}


def main() -> None:
    """Run the plan."""
    logging.getLogger("apscheduler").setLevel(logging.ERROR)
    store = MemoryJobStore() if PLAN.store == "memory" else sql_store()
    scheduler = BackgroundScheduler(
        jobstores={"default": store},
        executors={"default": ThreadPoolExecutor(POOL_SIZE)},
        job_defaults=PATIENT,
        timezone=UTC,
    )
    first_at = first_slot_after(PLAN.lead_seconds)
    scheduler.start(paused=True)
    fill(scheduler, store, first_at)
    scheduler.resume()
    say(first_at=first_at)
    wait_until_told()
    say(peak_mib=peak_mib())
    # What it has not come to is not waited for.
    scheduler.shutdown(wait=False)


def sql_store() -> Any:
    store = SQLAlchemyJobStore(url=f"sqlite:///{Path(PLAN.folder) / 'jobs.db'}")
    event.listen(store.engine, "connect", use_pragmas_of_the_service)
    return store


def fill(scheduler: Any, store: Any, first_at: float) -> None:
    """One transaction into the SQL store: a commit for each of 10,000 jobs is not what is measured."""
    if PLAN.store == "memory":
        for number in PLAN.numbers:
            scheduler.add_job(record, trigger_of(number, first_at), args=(number,), id=str(number))
        return
    rows = [row_of(scheduler, number, first_at) for number in PLAN.numbers]
    engine: Engine = store.engine
    with engine.begin() as connection:
        connection.execute(store.jobs_t.insert(), rows)


def trigger_of(number: int, first_at: float) -> Any:
    start = datetime.fromtimestamp(first_at + PLAN.phase_of(number), UTC)
    return IntervalTrigger(seconds=PLAN.interval_of(number), start_date=start, timezone=UTC)


def row_of(scheduler: Any, number: int, first_at: float) -> dict[str, Any]:
    job = Job(
        scheduler,
        id=str(number),
        name="record",
        func=record,
        args=(number,),
        kwargs={},
        executor="default",
        trigger=trigger_of(number, first_at),
        next_run_time=datetime.fromtimestamp(first_at + PLAN.phase_of(number), UTC),
        **PATIENT,
    )
    state = pickle.dumps(job.__getstate__(), pickle.HIGHEST_PROTOCOL)
    return {"id": job.id, "next_run_time": job.next_run_time.timestamp(), "job_state": state}


if __name__ == "__main__":
    main()
