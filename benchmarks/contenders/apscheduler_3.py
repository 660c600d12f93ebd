"""APScheduler 3 with its thread pool: jobs in memory, or with `sqlite` in its SQLAlchemy store.

What is stored there is when each job is due next; of a run nothing is.
"""

import sys
import time
from datetime import UTC, datetime
from pathlib import Path

from apscheduler.executors.pool import ThreadPoolExecutor  # type: ignore[import-not-found]  # of another environment
from apscheduler.jobstores.memory import MemoryJobStore  # type: ignore[import-not-found]
from apscheduler.jobstores.sqlalchemy import SQLAlchemyJobStore  # type: ignore[import-not-found]
from apscheduler.schedulers.background import BackgroundScheduler  # type: ignore[import-not-found]
from sqlalchemy import event

from benchmarks.plan import Plan
from benchmarks.probe import Probe

THREADS = 16
_probe: list[Probe] = []


def note(number: int) -> None:
    """The job. By its name, as the store keeps it."""
    _probe[0].note(number)


def main(plan: Plan, folder: Path, *, is_stored: bool) -> None:
    """Start every slot of the plan; no slot is left out for being late."""
    _probe.append(Probe(folder / "apscheduler_3.probe", most=int(plan.jobs * (plan.seconds + 2))))
    scheduler = BackgroundScheduler(
        jobstores={"default": _sqlite(folder) if is_stored else MemoryJobStore()},
        executors={"default": ThreadPoolExecutor(THREADS)},
        job_defaults={"misfire_grace_time": None, "coalesce": False, "max_instances": 10},
        timezone="UTC",
    )
    scheduler.start(paused=True)
    for number in range(plan.jobs):
        first = datetime.fromtimestamp(plan.first_slot(number), UTC)
        scheduler.add_job(note, "interval", seconds=1, start_date=first, args=[number])
    scheduler.resume()
    time.sleep(max(plan.start_at + plan.seconds - time.time(), 0))
    scheduler.shutdown(wait=False)


def _sqlite(folder: Path) -> SQLAlchemyJobStore:
    store = SQLAlchemyJobStore(url=f"sqlite:///{folder / 'apscheduler.db'}")

    @event.listens_for(store.engine, "connect")
    def as_durable_as_the_service(connection, _record):  # type: ignore[no-untyped-def]
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=FULL")

    return store


if __name__ == "__main__":
    main(Plan.read(Path(sys.argv[1])), Path(sys.argv[2]), is_stored=sys.argv[3:] == ["sqlite"])
