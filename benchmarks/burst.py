"""Many jobs due at one instant: how many runs a second are on record, and how late another job starts meanwhile."""

import argparse
import json
import sqlite3
import statistics
import time
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from benchmarks.filled_database import fill
from benchmarks.service_process import ServiceProcess, new_folder, service

SIZES = (1_000, 10_000)
REPEATS = 3
POLL_SECONDS = 0.02
LEAD_SECONDS = 6.0
FUNCTION = '''
from registry import register_job


@register_job("nothing")
def nothing(job_id):
    """Do nothing."""
'''
IS_LEFT = """
    SELECT EXISTS (SELECT 1 FROM jobs WHERE next_run_at = :at) OR EXISTS (SELECT 1 FROM runs WHERE state = 'running')
"""
"""Whether a job is still due, or a run not over: by two indexes, whatever the size."""


def main() -> None:
    """Measure, print a table, and write it down if asked to."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sizes", type=int, nargs="+", default=SIZES, help="jobs due at once")
    parser.add_argument("--repeats", type=int, default=REPEATS)
    parser.add_argument("--json", type=Path, help="where to write the figures")
    options = parser.parse_args()
    figures = measure(options.sizes, repeats=options.repeats)
    if options.json is not None:
        options.json.write_text(json.dumps(figures, indent=1))


def measure(sizes: tuple[int, ...] = SIZES, *, repeats: int = REPEATS) -> list[dict[str, Any]]:
    """Of each size: recorded runs a second, seconds, and peak memory in MiB; medians."""
    print(f"{'due at once':>12} {'recorded/s':>11} {'seconds':>8} {'peak MiB':>9}   medians of {repeats}")
    return [_measured(size, repeats) for size in sizes]


def _measured(size: int, repeats: int) -> dict[str, Any]:
    bursts = [_burst(size) for _ in range(repeats)]
    seconds, memory = (statistics.median(values) for values in zip(*bursts, strict=True))
    print(f"{size:>12} {size / seconds:>11.0f} {seconds:>8.2f} {memory:>9.0f}")
    return {"jobs": size, "recorded_per_second": size / seconds, "seconds": seconds, "peak_mib": memory}


def _burst(size: int) -> tuple[float, float]:
    """Seconds from the instant to the last outcome on record, and the peak of the service's memory."""
    with new_folder() as folder:
        (folder / "bench_jobs.py").write_text(FUNCTION)
        with service(folder, JOB_MODULES="bench_jobs", LOG_LEVEL="INFO") as running:
            running.post("/jobs", {"name": "due", "function_name": "nothing", "interval_seconds": 3_600})
        instant = float(round(time.time() + LEAD_SECONDS + size / 20_000))
        fill(f"sqlite:///{folder / 'scheduler.db'}", [instant] * size)
        with service(folder, JOB_MODULES="bench_jobs", LOG_LEVEL="INFO") as running:
            assert time.time() < instant, "the service was not ready before the instant"
            seconds = _seconds_until_recorded(folder / "scheduler.db", instant)
            memory = _peak_mib(running)
        _check_rows(folder / "scheduler.db", size)
        return seconds, memory


def _seconds_until_recorded(path: Path, instant: float) -> float:
    at = datetime.fromtimestamp(instant, UTC).isoformat(" ", "microseconds")
    time.sleep(instant - time.time())
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as database:
        while database.execute(IS_LEFT, {"at": at}).fetchone() != (0,):
            time.sleep(POLL_SECONDS)
    return time.time() - instant


def _check_rows(path: Path, size: int) -> None:
    """One row for each job, all of which succeeded."""
    with closing(sqlite3.connect(path)) as database:
        (rows,) = database.execute(
            "SELECT count(*), count(DISTINCT job_id), sum(state = 'succeeded') FROM runs"
        ).fetchall()
    assert rows == (size, size, size), rows


def _peak_mib(running: ServiceProcess) -> float:
    status = Path(f"/proc/{running.process.pid}/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) / 1_024


if __name__ == "__main__":
    main()
