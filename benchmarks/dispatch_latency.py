"""How late slots start: lateness of every run, as the service records it."""

import sqlite3
import statistics
import time
from pathlib import Path

from benchmarks.service_process import new_folder, service

RATES = (100, 500, 1000)
SECONDS = 10
FUNCTION = '''
from registry import register_job


@register_job("nothing")
def nothing(job_id):
    """Do nothing."""
'''


def main() -> None:
    """Measure and print."""
    for rate in RATES:
        print_lateness(rate)


def print_lateness(rate: int) -> None:
    """One job a slot: each runs once a second, at a phase of its own."""
    with new_folder() as folder:
        (folder / "bench_jobs.py").write_text(FUNCTION)
        with service(folder, JOB_MODULES="bench_jobs") as running:
            for number in range(rate):
                running.post("/jobs", {"name": f"{number}", "function_name": "nothing", "interval_seconds": 1})
                time.sleep(1 / rate / 4)
            time.sleep(SECONDS)
        lateness = recorded_lateness(folder / "scheduler.db", last_seconds=SECONDS - 2)
    quantiles = statistics.quantiles(lateness, n=100)
    print(
        f"lateness at {rate} slots/s: p50 {quantiles[49]:.2f} ms, p99 {quantiles[98]:.2f} ms, "
        f"max {max(lateness):.1f} ms over {len(lateness)} runs"
    )


def recorded_lateness(path: Path, *, last_seconds: int) -> list[float]:
    """The lateness of the last runs, once every slot is seen to have exactly one row."""
    with sqlite3.connect(path) as database:
        assert database.execute("SELECT count(*) FROM runs WHERE state != 'succeeded'").fetchone() == (0,)
        per_job = database.execute(
            "SELECT count(*), count(DISTINCT scheduled_for), "
            "round((julianday(max(scheduled_for)) - julianday(min(scheduled_for))) * 86400) FROM runs GROUP BY job_id"
        ).fetchall()
        assert all(rows == slots == span + 1 for rows, slots, span in per_job), per_job
        rows = database.execute(
            "SELECT lateness_ms FROM runs WHERE scheduled_for > "
            "(SELECT datetime(max(scheduled_for), ?) FROM runs) ORDER BY scheduled_for",
            (f"-{last_seconds} seconds",),
        ).fetchall()
    return [lateness for (lateness,) in rows]


if __name__ == "__main__":
    main()
