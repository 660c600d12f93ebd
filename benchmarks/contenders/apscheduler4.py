"""APScheduler 4, an alpha, with its memory store or its SQLAlchemy store on SQLite: told to lose or merge nothing."""

import logging
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from apscheduler import CoalescePolicy, Scheduler
from apscheduler.datastores.memory import MemoryDataStore
from apscheduler.datastores.sqlalchemy import SQLAlchemyDataStore
from apscheduler.executors.thread import ThreadPoolJobExecutor
from apscheduler.triggers.interval import IntervalTrigger
from sqlalchemy import create_engine, event

from benchmarks.contenders.child import (
    POOL_SIZE,
    first_slot_after,
    peak_mib,
    say,
    use_pragmas_of_the_service,
    wait_until_told,
)
from benchmarks.contenders.recording import PLAN, record

SECONDS_TO_ADD = {"memory": 0.002, "sqlite": 0.012}
"""For each schedule, as there is no way to add many in one transaction."""


def main() -> None:
    """Run the plan."""
    logging.getLogger("apscheduler").setLevel(logging.ERROR)
    store = MemoryDataStore() if PLAN.store == "memory" else sql_store()
    executors = {"threadpool": ThreadPoolJobExecutor(max_workers=POOL_SIZE)}
    with Scheduler(store, job_executors=executors) as scheduler:
        scheduler.configure_task("record", func=record, max_running_jobs=None, misfire_grace_time=None)
        first_at = first_slot_after(PLAN.lead_seconds + SECONDS_TO_ADD[PLAN.store] * len(PLAN.numbers))
        for number in PLAN.numbers:
            add(scheduler, number, first_at)
        scheduler.start_in_background()
        say(first_at=first_at)
        wait_until_told()
        say(peak_mib=peak_mib())
        scheduler.stop()


def sql_store() -> Any:
    engine = create_engine(f"sqlite:///{Path(PLAN.folder) / 'schedules.db'}")
    event.listen(engine, "connect", use_pragmas_of_the_service)
    return SQLAlchemyDataStore(engine)


def add(scheduler: Any, number: int, first_at: float) -> None:
    start = datetime.fromtimestamp(first_at + PLAN.phase_of(number), UTC)
    trigger = IntervalTrigger(seconds=PLAN.interval_of(number), start_time=start)
    scheduler.add_schedule("record", trigger, id=str(number), args=(number,), coalesce=CoalescePolicy.all)


if __name__ == "__main__":
    main()
