"""How late slots start, beside the bare floor and what is used today: all in one run, by the same probe."""

import argparse
import json
import os
import sqlite3
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

from benchmarks.filled_database import fill
from benchmarks.plan import Plan, Starts, starts_of
from benchmarks.probe import calls_in
from benchmarks.service_process import ROOT, new_folder, service

RATES = (10, 100, 1_000)
REPEATS = 5
SECONDS = 8.0
WARM_UP_SECONDS = 3.0
LEAD_SECONDS = 8.0
"""From making a plan to its first slot: what it takes to start and to read the jobs."""

FUNCTION = '''
import os
from pathlib import Path

from benchmarks.probe import Probe
from registry import register_job

probe = Probe(Path(f"{os.getpid()}.probe"), most=MOST)


@register_job("note")
def note(job_id, job_metadata):
    """Say that it was called."""
    probe.note(job_metadata["number"])
'''

Contender = Callable[[Plan, Path], None]


def main() -> None:
    """Measure, print a table, and write it down if asked to."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rates", type=int, nargs="+", default=RATES, help="slots a second")
    parser.add_argument("--repeats", type=int, default=REPEATS)
    parser.add_argument("--others", type=Path, help="the Python of an environment with benchmarks/requirements.txt")
    parser.add_argument("--json", type=Path, help="where to write the figures")
    options = parser.parse_args()
    figures = measure(options.rates, repeats=options.repeats, others=options.others)
    if options.json is not None:
        options.json.write_text(json.dumps(figures, indent=1))


def measure(
    rates: tuple[int, ...] = RATES, *, repeats: int = REPEATS, others: Path | None = None
) -> list[dict[str, Any]]:
    """The figures of each contender at each rate, in milliseconds; `others` is a Python that has APScheduler."""
    print(f"{'slots/s':>8} {'':<28} {'p50 ms':>8} {'p99 ms':>8} {'max ms':>8}   medians of {repeats}")
    figures = []
    for rate in rates:
        measured: dict[str, list[Starts]] = {}
        for _ in range(repeats):
            # One after the other, and all again: what the machine does meanwhile then hits all of them.
            for name, contender in contenders(others).items():
                measured.setdefault(name, []).append(measured_once(contender, rate))
        figures += [printed(rate, name, starts) for name, starts in measured.items()]
    return figures


def contenders(others: Path | None) -> dict[str, Contender]:
    """The floor first: what it does is the measure of the others."""
    known: dict[str, Contender] = {"floor, nothing stored": program(Path(sys.executable), "floor")}
    known["this service, SQLite"] = run_service
    if others is not None:
        known["APScheduler 3, in memory"] = program(others, "apscheduler_3")
        known["APScheduler 3, SQLite"] = program(others, "apscheduler_3", "sqlite")
    return known


def measured_once(contender: Contender, rate: int) -> Starts:
    with new_folder() as folder:
        plan = Plan(rate, round(time.time() + LEAD_SECONDS), SECONDS, WARM_UP_SECONDS)
        contender(plan, folder)
        return starts_of(plan, calls_in(folder))


def program(python: Path, name: str, *options: str) -> Contender:
    """A contender that is a program of its own."""

    def run(plan: Plan, folder: Path) -> None:
        plan.write(folder / "plan.json")
        command = [str(python), "-m", f"benchmarks.contenders.{name}", str(folder / "plan.json"), str(folder), *options]
        subprocess.run(command, check=True, cwd=folder, env=os.environ | {"PYTHONPATH": str(ROOT)})

    return run


def run_service(plan: Plan, folder: Path) -> None:
    """The service as it is deployed by default, over a database that holds the jobs of the plan."""
    (folder / "bench_jobs.py").write_text(FUNCTION.replace("MOST", str(int(plan.jobs * (plan.seconds + 4)))))
    with service(folder, JOB_MODULES="bench_jobs", LOG_LEVEL="INFO") as running:
        running.post("/jobs", {"name": "slot", "function_name": "note", "interval_seconds": 1})
    fill(f"sqlite:///{folder / 'scheduler.db'}", map(plan.first_slot, range(plan.jobs)))
    with service(folder, JOB_MODULES="bench_jobs", LOG_LEVEL="INFO"):
        time.sleep(max(plan.start_at + plan.seconds + 0.5 - time.time(), 0))
    check_rows(folder / "scheduler.db")


def check_rows(path: Path) -> None:
    """Every slot of every job has one row, and all succeeded."""
    with closing(sqlite3.connect(path)) as database:
        states = database.execute("SELECT DISTINCT state FROM runs").fetchall()
        assert states == [("succeeded",)], states
        per_job = database.execute(
            "SELECT count(*), count(DISTINCT scheduled_for), "
            "round((julianday(max(scheduled_for)) - julianday(min(scheduled_for))) * 86400) FROM runs GROUP BY job_id"
        ).fetchall()
        assert all(rows == slots == span + 1 for rows, slots, span in per_job), per_job


def printed(rate: int, name: str, measured: list[Starts]) -> dict[str, Any]:
    complete = [starts for starts in measured if starts.is_complete]
    figures: dict[str, Any] = {"slots_per_second": rate, "contender": name, "repeats": len(measured)}
    if len(complete) <= len(measured) // 2:
        worst = max(measured, key=lambda starts: starts.lost)
        print(f"{rate:>8} {name:<28} falls behind: {worst.lost} of {worst.slots} slots not started in their second")
        return figures | {"is_saturated": True, "lost": worst.lost, "slots": worst.slots}
    p50, p99, most = (statistics.median(starts.at(share) for starts in complete) for share in (0.5, 0.99, 1.0))
    print(f"{rate:>8} {name:<28} {p50:>8.2f} {p99:>8.2f} {most:>8.1f}")
    return figures | {"is_saturated": False, "p50_ms": p50, "p99_ms": p99, "max_ms": most, "slots": complete[0].slots}


if __name__ == "__main__":
    main()
