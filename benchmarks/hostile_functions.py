"""What a hostile job function costs the others: lateness of their slots, memory, the exit.

One service for each scenario: 20 innocent jobs of 1 s, and 3 s later one run of the hostile function of
`tests/e2e/hostile_functions.py`. Inside the measured region: every slot of an innocent job that comes due from the
call of that function to 3 s after its run is over, and 10 s at least; `lateness_ms` as its run row has it. The control
is a minute of the same service with nothing but the innocent jobs. Memory is the peak of the service's own process
(VmHWM, Linux), without its workers. The exit is from SIGTERM to the end of the process, with the grace of 8 s.

Checked: each slot, by the grid that the answer to `POST /jobs` began, has exactly one row or is counted by exactly one
stretch of missed or skipped ones ("not run"); the run of the hostile function ended as expected.
"""

import json
import os
import signal
import sqlite3
import statistics
import sys
import time
from contextlib import closing, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from benchmarks.service_process import ServiceProcess, new_folder

INNOCENTS = 20
CONTROL_SECONDS = 60.0
LEAST_SECONDS = 10.0
QUIET_SECONDS = 3.0
SECOND = timedelta(seconds=1)
METADATA = {"seconds": 20, "megabytes": 100}
LINGERING_METADATA = {"seconds": 30}
SETTINGS = {"JOB_MODULES": "tests.e2e.hostile_functions", "PROCESS_MEMORY_MIB": "512", "LOG_LEVEL": "INFO"}
HEADER = ("function", "lane", "outcome", "p50", "p99", "max ms", "ran", "not run", "lost", "doubled", "MiB", "exit s")


@dataclass(frozen=True)
class Scenario:
    """A hostile function, its lane, and how its run is to end: the state, and the type or the words of the error."""

    function: str
    state: str
    told: str = ""
    is_in_process: bool = False

    @property
    def registered_name(self) -> str:
        return f"{self.function}_in_process" if self.is_in_process else self.function


def _both(function: str, state: str, told: str = "") -> list[Scenario]:
    return [Scenario(function, state, told, is_in_process) for is_in_process in (False, True)]


SCENARIOS = [
    *_both("ignores_its_time_out", "timed_out", "timed out after 2 s"),
    *_both("holds_the_interpreter", "succeeded"),
    Scenario("segfaults", "failed", "SIGSEGV", is_in_process=True),
    Scenario("exits_at_once", "failed", "code 7", is_in_process=True),
    Scenario("eats_memory", "failed", "MemoryError", is_in_process=True),
    *_both("calls_sys_exit", "failed", "SystemExit"),
    *_both("forks", "succeeded"),
    *_both("starts_threads", "succeeded"),
    *_both("prints_much", "succeeded"),
    *_both("logs_much", "succeeded"),
]


@dataclass(frozen=True)
class Slots:
    """What became of the innocent jobs' slots in a stretch of time."""

    lateness: list[float]
    not_run: int
    lost: int
    doubled: int

    def cells(self) -> list[str]:
        late = self.lateness or [float("nan")] * 2
        quantiles = statistics.quantiles(late, n=100, method="inclusive")
        figures = [f"{figure:.1f}" for figure in (quantiles[49], quantiles[98], max(late))]
        return [*figures, *(str(count) for count in (len(self.lateness), self.not_run, self.lost, self.doubled))]


def main() -> None:
    """Measure and print; the names of functions as arguments choose among them."""
    wanted = sys.argv[1:] if __name__ == "__main__" else []
    print_row(HEADER)
    print_control()
    for scenario in SCENARIOS:
        if not wanted or scenario.function in wanted:
            print_scenario(scenario)


def print_row(cells: Any) -> None:
    widths = (22, 8, 20, *(8,) * (len(HEADER) - 3))
    print("".join(f"{cell:<{width}}" for cell, width in zip(cells, widths, strict=True)), flush=True)


def print_control() -> None:
    with new_folder() as folder:
        running = ServiceProcess(folder, **SETTINGS)
        jobs = create_innocents(running)
        time.sleep(QUIET_SECONDS)
        began = datetime.now(UTC)
        time.sleep(CONTROL_SECONDS)
        memory, exit_seconds, until = stopped(running)
        slots = slots_between(folder, jobs, began, until)
    print_row(("none: control", "", "", *slots.cells(), f"{memory:.0f}", f"{exit_seconds:.1f}"))


def print_scenario(scenario: Scenario) -> None:
    with new_folder() as folder:
        running = ServiceProcess(folder, **SETTINGS)
        jobs = create_innocents(running)
        time.sleep(QUIET_SECONDS)
        began = datetime.now(UTC)
        run = run_to_its_end(running, scenario)
        time.sleep(max(LEAST_SECONDS - (datetime.now(UTC) - began).total_seconds(), QUIET_SECONDS))
        memory, exit_seconds, until = stopped(running)
        slots = slots_between(folder, jobs, began, until)
        if scenario.function == "forks":
            end_lingering(run["result"])
    told = f"{run['error']} {run['reason']}"
    assert run["state"] == scenario.state, run
    assert scenario.told in told, run
    outcome = f"{run['state']} {scenario.told if run['error'] else ''}"
    lane = "process" if scenario.is_in_process else "thread"
    print_row((scenario.function, lane, outcome, *slots.cells(), f"{memory:.0f}", f"{exit_seconds:.1f}"))
    assert slots.lost == slots.doubled == 0, slots


def create_innocents(running: ServiceProcess) -> list[dict[str, Any]]:
    body = {"name": "innocent", "function_name": "innocent", "interval_seconds": 1}
    jobs = []
    for _ in range(INNOCENTS):
        jobs.append(running.post("/jobs", body))
        # Their slots spread over the second.
        time.sleep(1 / INNOCENTS)
    return jobs


def run_to_its_end(running: ServiceProcess, scenario: Scenario) -> dict[str, Any]:
    body = {"name": "hostile", "function_name": scenario.registered_name, "interval_seconds": 86_400}
    body["job_metadata"] = LINGERING_METADATA if scenario.function in ("forks", "starts_threads") else METADATA
    if scenario.function == "ignores_its_time_out":
        body["timeout_seconds"] = 2
    job = running.post("/jobs", body)
    run: dict[str, Any] = running.post(f"/jobs/{job['id']}/run", {})
    while run["state"] == "running":
        time.sleep(0.5)
        run = running.get(f"/runs/{run['id']}")
    return run


def stopped(running: ServiceProcess) -> tuple[float, float, datetime]:
    """Peak memory in MiB, the seconds to the exit, and until when slots certainly were the service's to start."""
    status = Path(f"/proc/{running.process.pid}/status").read_text()
    until = datetime.now(UTC) - SECOND
    began = time.perf_counter()
    running.stop()
    return int(status.split("VmHWM:")[1].split()[0]) / 1024, time.perf_counter() - began, until


def slots_between(folder: Path, jobs: list[dict[str, Any]], began: datetime, until: datetime) -> Slots:
    """By the grid of each job against its rows."""
    lateness: list[float] = []
    not_run = lost = doubled = 0
    with closing(sqlite3.connect(folder / "scheduler.db")) as database:
        for job in jobs:
            rows_of_slot = rows_by_slot(database, job["id"])
            for slot in grid(datetime.fromisoformat(job["next_run_at"]), began, until):
                rows = rows_of_slot.get(slot, [])
                lost += not rows
                doubled += len(rows) > 1
                not_run += any(state in ("missed", "skipped") for state, _ in rows)
                lateness += [late for state, late in rows if state == "succeeded"]
    return Slots(lateness, not_run, lost, doubled)


def grid(first: datetime, began: datetime, until: datetime) -> list[datetime]:
    slots = [first + SECOND * number for number in range(int((until - first) / SECOND) + 1)]
    return [slot for slot in slots if slot >= began]


def rows_by_slot(database: sqlite3.Connection, job_id: str) -> dict[datetime, list[tuple[str, float]]]:
    """State and lateness of each row of a slot; a stretch has a row for each slot that it counts."""
    found: dict[datetime, list[tuple[str, float]]] = {}
    query = "SELECT scheduled_for, state, slot_count, lateness_ms FROM runs WHERE job_id = ?"
    for scheduled_for, state, slot_count, late in database.execute(query, (job_id.replace("-", ""),)):
        first = datetime.fromisoformat(scheduled_for).replace(tzinfo=UTC)
        for number in range(slot_count):
            found.setdefault(first + SECOND * number, []).append((state, late))
    return found


def end_lingering(pid: Any) -> None:
    """The child of a thread outlives the service; that of a worker process has ended with it."""
    with suppress(ProcessLookupError):
        os.kill(int(json.loads(str(pid))), signal.SIGKILL)


if __name__ == "__main__":
    main()
