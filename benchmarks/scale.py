"""What many jobs cost that are due later than the service looks ahead: its start, memory, one request, and idling."""

import statistics
import time
import urllib.request
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

from sqlalchemy import create_engine, text

from benchmarks.database import multiply_jobs
from benchmarks.figures import Row
from benchmarks.options import Options, read_options
from benchmarks.service_process import ServiceProcess, new_folder, service
from benchmarks.tables import number, print_table

DAY_SECONDS = 86_400
FIRST_AFTER = timedelta(hours=2)
SPREAD_SECONDS = 20 * 3_600
IDLE_SECONDS = 20
SETTLE_SECONDS = 5
REQUESTS = 20
PIECE = 1 << 20
FIRST_JOB = "/jobs/00000000-0000-4000-8000-000000000000"
HEADER = ("jobs", "ready s", "MiB", "idle % of a core", "create ms", "edit ms", "list all s", "peak MiB")
SHOWN = ("ready_seconds", "ready_mib", "idle_percent", "create_ms", "edit_ms", "list_seconds", "peak_mib")
BODY = {"name": "late", "function_name": "print_hello", "interval_seconds": DAY_SECONDS}


def measure_all(options: Options) -> list[Row]:
    """A row for each number of jobs."""
    rows = [measure_size(size) for size in options.many]
    print_table("scale: none due", HEADER, [cells_of(row) for row in rows])
    return rows


def cells_of(row: Row) -> list[str]:
    return [f"{row['jobs']:,}", *(number(row[name]) for name in SHOWN)]


def measure_size(size: int) -> Row:
    """On a new SQLite file with so many jobs."""
    with new_folder() as folder:
        fill(folder, size)
        with service(folder) as running:
            row = {"jobs": size, "ready_seconds": running.seconds_to_ready, "ready_mib": running.memory_mib()}
            time.sleep(SETTLE_SECONDS)
            row |= {"idle_percent": idle_percent(running)} | time_requests(running)
            row |= {"list_seconds": seconds_to_list(running, size + REQUESTS), "peak_mib": running.peak_mib()}
        assert count_jobs(folder) == size + REQUESTS
    return {name: round(figure, 3) for name, figure in row.items()}


def fill(folder: Path, size: int) -> None:
    with service(folder) as running:
        running.post("/jobs", BODY)
    multiply_jobs(create_engine(f"sqlite:///{folder / 'scheduler.db'}"), slots(size))


def slots(size: int) -> Iterator[tuple[int, str]]:
    """Daily, their first slots spread over most of a day that begins later than any look-ahead."""
    first = datetime.now(UTC) + FIRST_AFTER
    step = SPREAD_SECONDS / size
    for number_of_job in range(size):
        yield DAY_SECONDS, (first + timedelta(seconds=number_of_job * step)).isoformat(" ", "microseconds")


def idle_percent(running: ServiceProcess) -> float:
    """Processor time of all its threads, of one core, while nobody asks for anything."""
    before, began = running.processor_seconds(), time.monotonic()
    time.sleep(IDLE_SECONDS)
    return (running.processor_seconds() - before) / (time.monotonic() - began) * 100


def time_requests(running: ServiceProcess) -> dict[str, float]:
    """Medians in ms, a connection each: a new job, a change of one job."""
    return {
        "create_ms": median_ms(lambda: running.post("/jobs", BODY)),
        "edit_ms": median_ms(lambda: running.send("PATCH", FIRST_JOB, {"name": "edited"})),
    }


def seconds_to_list(running: ServiceProcess, jobs: int) -> float:
    """All jobs in one answer, read as it comes."""
    began, listed = time.perf_counter(), 0
    with urllib.request.urlopen(running.url + "/jobs") as answer:
        while piece := answer.read(PIECE):
            listed += piece.count(b'"function_name')
    # A word that lies across the ends of two pieces is not seen.
    assert abs(listed - jobs) <= jobs / 100, listed
    return time.perf_counter() - began


def median_ms(request: Callable[[], object]) -> float:
    seconds = []
    for _ in range(REQUESTS):
        began = time.perf_counter()
        request()
        seconds.append(time.perf_counter() - began)
    return statistics.median(seconds) * 1_000


def count_jobs(folder: Path) -> int:
    with create_engine(f"sqlite:///{folder / 'scheduler.db'}").connect() as connection:
        return int(connection.execute(text("SELECT count(*) FROM jobs")).scalar_one())


if __name__ == "__main__":
    measure_all(read_options())
