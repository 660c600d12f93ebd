"""Functions that do what none should, in a whole service: their runs say so, other jobs keep their slots, it stops."""

import os
import signal
import socket
import threading
import time
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.service import REAL_SECONDS, Service, running_service, serve_command
from tests.engine.lanes.processes import has_ended

pytestmark = pytest.mark.real_time

FUNCTIONS = "tests.e2e.hostile_functions"
SECOND = timedelta(seconds=1)
MARGIN_SECONDS = 15.0
"""What an exit may take beyond the grace on a busy machine."""

TIMEOUT_SECONDS = 2.0

PROCESS_DIED = "engine.ProcessDied"


@dataclass(frozen=True)
class Fate:
    """How a run is to end; `told` is a part of the error's message, or of the reason where there is no error."""

    state: str
    error_type: str | None = None
    told: str = ""


FATES = {
    "holds_the_interpreter": Fate("succeeded"),
    "calls_sys_exit": Fate("failed", "SystemExit", "3"),
    "is_interrupted": Fate("failed", "KeyboardInterrupt"),
    "forks": Fate("succeeded"),
    "returns_twice": Fate("succeeded"),
    "exits_twice": Fate("failed", "SystemExit", "4"),
    "starts_threads": Fate("succeeded"),
    "prints_much": Fate("succeeded"),
    "logs_much": Fate("succeeded"),
    "changes_the_directory": Fate("succeeded"),
    "closes_standard_descriptors": Fate("succeeded"),
    # After the others: in a thread it takes what they print as well.
    "replaces_standard_output": Fate("succeeded"),
}

FATES_IN_THREADS = {
    "ignores_its_time_out": Fate("timed_out", told="its function has not returned"),
    **FATES,
}

FATES_IN_PROCESSES = {
    "ignores_its_time_out_in_process": Fate("timed_out", told="timed out after 2 s"),
    "segfaults_in_process": Fate("failed", PROCESS_DIED, "its worker process was ended by SIGSEGV"),
    "exits_at_once_in_process": Fate("failed", PROCESS_DIED, "its worker process exited with code 7"),
    "is_killed_in_process": Fate("failed", PROCESS_DIED, "its worker process was ended by SIGKILL"),
    "eats_memory_in_process": Fate("failed", "MemoryError"),
    **{f"{name}_in_process": fate for name, fate in FATES.items()},
}


@dataclass(frozen=True)
class Size:
    """How much of it."""

    seconds: float
    megabytes: int
    innocents: int


SMALL = Size(seconds=1.5, megabytes=5, innocents=3)
LARGE = Size(seconds=20.0, megabytes=100, innocents=20)
LINGERING = Size(seconds=60.0, megabytes=0, innocents=0)


def test_whatever_functions_do_in_threads_their_runs_say_so_and_no_other_slot_is_missed(tmp_path: Path) -> None:
    with hostile_service(tmp_path) as service:
        innocents = create_innocents(service, SMALL, misfire_grace_seconds=60)
        runs = run_all(service, FATES_IN_THREADS, SMALL)
        await_slots(service, innocents)
        readiness = service.get("/readyz")
        histories = [service.all_runs(job["id"]) for job in innocents]

        assert_fates(runs, FATES_IN_THREADS)
        assert_logs_are_bounded(service, runs, SMALL)
        assert readiness["stuck_runs"] == 1
        assert readiness["status"] == "ready"
        assert_each_slot_has_one_row(innocents, histories)
        assert_none_is_missed(histories)
        end_lingering(runs)


def test_whatever_functions_do_in_processes_their_runs_say_so_and_no_other_slot_is_missed(tmp_path: Path) -> None:
    with hostile_service(tmp_path, PROCESS_MEMORY_MIB="512") as service:
        innocents = create_innocents(service, SMALL, misfire_grace_seconds=60)
        runs = run_all(service, FATES_IN_PROCESSES, SMALL)
        await_slots(service, innocents)
        readiness = service.get("/readyz")
        histories = [service.all_runs(job["id"]) for job in innocents]

        assert_fates(runs, FATES_IN_PROCESSES)
        assert_logs_are_bounded(service, runs, SMALL)
        assert readiness["stuck_runs"] == 0
        assert_each_slot_has_one_row(innocents, histories)
        assert_none_is_missed(histories)


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("fates", [FATES_IN_THREADS, FATES_IN_PROCESSES], ids=["threads", "processes"])
def test_twenty_seconds_and_hundreds_of_megabytes_lose_and_double_no_slot(
    tmp_path: Path, fates: dict[str, Fate]
) -> None:
    with hostile_service(tmp_path, PROCESS_MEMORY_MIB="512") as service:
        innocents = create_innocents(service, LARGE)
        runs = run_all(service, fates, LARGE)
        await_slots(service, innocents)
        histories = [service.all_runs(job["id"]) for job in innocents]

        assert_fates(runs, fates)
        assert_logs_are_bounded(service, runs, LARGE)
        # In a thread nobody runs while the interpreter is held: what was missed then is on record as missed.
        assert_each_slot_has_one_row(innocents, histories)
        end_lingering(runs)


def test_a_stop_keeps_its_grace_and_leaves_the_port_free_though_a_thread_is_stuck_and_a_child_lingers(
    tmp_path: Path,
) -> None:
    with hostile_service(tmp_path, STOP_GRACE_SECONDS="1") as service:
        runs = run_all(service, ["ignores_its_time_out", "starts_threads"], LINGERING)
        child = run_to_its_end(service, "forks", LINGERING)["result"]
        port = service.client.base_url.port
        began = time.monotonic()
        service.process.send_signal(signal.SIGTERM)
        service.process.wait(REAL_SECONDS)
        took = time.monotonic() - began

        assert not has_ended_by_now(child), "the child was to be there still: nothing was shown"
        with running_service(tmp_path, *serve_command("--port", str(port)), JOB_MODULES=FUNCTIONS) as again:
            rows = again.get(f"/runs/{runs['ignores_its_time_out']['id']}")
        assert again.client.base_url.port == port
        os.kill(child, signal.SIGKILL)

    assert took < 1 + MARGIN_SECONDS
    assert rows["state"] == "timed_out"


def test_a_client_sees_the_end_of_its_answer_though_a_child_was_forked_meanwhile(tmp_path: Path) -> None:
    with hostile_service(tmp_path) as service:
        waiting = start(service, "ignores_its_time_out", SMALL, timeout_seconds=3.0)
        # Of this version, in which the answer ends with its connection; proxies speak it.
        request = f"GET /runs/{waiting}/logs?follow=true HTTP/1.0\r\n\r\n"
        with socket.create_connection(("127.0.0.1", service.client.base_url.port or 0)) as connection:
            connection.sendall(request.encode())
            connection.settimeout(MARGIN_SECONDS)
            answer = connection.recv(65_536)
            child = run_to_its_end(service, "forks", LINGERING)["result"]
            while piece := connection.recv(65_536):
                answer += piece
        assert not has_ended_by_now(child), "the child was to be there still: nothing was shown"
        os.kill(child, signal.SIGKILL)

    assert b'data: {"state":"timed_out"}' in answer


def test_a_child_that_comes_back_from_its_function_does_not_go_on_as_a_second_service(tmp_path: Path) -> None:
    with hostile_service(tmp_path) as service:
        child = run_to_its_end(service, "returns_twice", SMALL)["result"]
        run_to_its_end(service, "exits_twice", SMALL)

        assert has_ended(child)
        assert all(has_ended(pid) for pid in children_of(service.process.pid) if "app.main" in command_of(pid))
        printed = [line["line"] for line in service.lines if line["event"] == "job output"]
        assert printed == ["in the child"]


def test_a_forked_child_can_be_terminated_by_its_function(tmp_path: Path) -> None:
    with hostile_service(tmp_path) as service:
        in_thread = run_to_its_end(service, "terminates_a_child", SMALL)
        in_process = run_to_its_end(service, "terminates_a_child_in_process", SMALL)

        assert in_thread["result"] < 5
        assert in_process["result"] < 5
        assert service.terminate() == -signal.SIGTERM


def test_after_kill_9_no_worker_and_nothing_that_a_function_started_there_lives_on(tmp_path: Path) -> None:
    with hostile_service(tmp_path) as service:
        child = run_to_its_end(service, "forks_in_process", LINGERING)["result"]
        start(service, "ignores_its_time_out_in_process", SMALL)
        start(service, "holds_the_interpreter_in_process", LINGERING)
        service.await_event("run started", function_name="ignores_its_time_out_in_process")
        service.await_event("run started", function_name="holds_the_interpreter_in_process")
        workers = children_of(service.process.pid)
        service.kill()

    assert len(workers) == 2
    assert all(has_ended(pid) for pid in [child, *workers])


def test_after_kill_9_no_worker_lives_on_though_a_child_that_a_thread_forked_does(tmp_path: Path) -> None:
    with hostile_service(tmp_path) as service:
        start(service, "holds_the_interpreter_in_process", LINGERING)
        service.await_event("run started", function_name="holds_the_interpreter_in_process")
        workers = set(children_of(service.process.pid))
        child = run_to_its_end(service, "forks", LINGERING)["result"]
        service.process.kill()
        try:
            assert len(workers) == 2
            assert all(has_ended(pid) for pid in workers)
            assert not has_ended_by_now(child), "the child was to be there still: nothing was shown"
        finally:
            os.kill(child, signal.SIGKILL)


def test_a_function_that_interrupts_its_own_process_stops_the_service_as_an_operator_would(tmp_path: Path) -> None:
    with hostile_service(tmp_path) as service:
        run_id = start(service, "interrupts_the_service", SMALL)
        service.await_end()
        service.await_event("scheduler stopped", outcomes_recorded=True)
    with hostile_service(tmp_path) as service:
        assert service.get(f"/runs/{run_id}")["state"] == "succeeded"


def hostile_service(folder: Path, **environment: str) -> Any:
    return running_service(folder, JOB_MODULES=FUNCTIONS, **environment)


def create_innocents(service: Service, size: Size, **policies: Any) -> list[dict[str, Any]]:
    return [service.create(function_name="innocent", **policies) for _ in range(size.innocents)]


def run_all(service: Service, names: Iterable[str], size: Size) -> dict[str, dict[str, Any]]:
    """One run of each, as it is on record once it is over. The last one starts when the others are over."""
    *first, last = names
    started = {name: start(service, name, size, timeout_seconds=timeout_of(name)) for name in first}
    runs = {name: await_run(service, run_id) for name, run_id in started.items()}
    return runs | {last: run_to_its_end(service, last, size)}


def timeout_of(name: str) -> float | None:
    return TIMEOUT_SECONDS if name.startswith("ignores_its_time_out") else None


def run_to_its_end(service: Service, name: str, size: Size) -> dict[str, Any]:
    return await_run(service, start(service, name, size))


def start(service: Service, name: str, size: Size, **policies: Any) -> str:
    metadata = {"seconds": size.seconds, "megabytes": size.megabytes}
    job = service.create(function_name=name, interval_seconds=86_400, job_metadata=metadata, **policies)
    answer = service.client.post(f"/jobs/{job['id']}/run")
    assert answer.status_code == 200, answer.text
    run_id: str = answer.json()["id"]
    return run_id


def await_run(service: Service, run_id: str) -> dict[str, Any]:
    deadline = time.monotonic() + 2 * REAL_SECONDS
    while True:
        run: dict[str, Any] = service.get(f"/runs/{run_id}")
        if run["state"] not in ("running", "queued"):
            return run
        assert time.monotonic() < deadline, run
        threading.Event().wait(0.05)


def await_slots(service: Service, jobs: list[dict[str, Any]]) -> None:
    """Two more runs of each."""
    for job in jobs:
        known = len([line for line in service.lines if line["event"] == "run finished" and line["job_id"] == job["id"]])
        service.await_event("run finished", job_id=job["id"], count=known + 2)


def assert_fates(runs: dict[str, dict[str, Any]], fates: dict[str, Fate]) -> None:
    for name, fate in fates.items():
        run, error = runs[name], runs[name]["error"] or {"type": None, "message": runs[name]["reason"] or ""}
        assert (run["state"], error["type"]) == (fate.state, fate.error_type), (name, run)
        assert fate.told in error["message"], (name, run)


def assert_logs_are_bounded(service: Service, runs: dict[str, dict[str, Any]], size: Size) -> None:
    talkers = [run for name, run in runs.items() if name.startswith(("prints_much", "logs_much"))]
    assert len(talkers) == 2
    for run in talkers:
        log = service.get(f"/runs/{run['id']}/logs")
        assert len(log["lines"]) < 300
        # More, where threads that a function left behind in the same worker process go on printing.
        assert len(log["lines"]) + log["dropped"] >= size.megabytes * 1_000


def assert_each_slot_has_one_row(jobs: list[dict[str, Any]], histories: list[list[dict[str, Any]]]) -> None:
    """From the first slot on, by the grid that the job was created with; missed stretches count what they stand for."""
    for job, history in zip(jobs, histories, strict=True):
        first = datetime.fromisoformat(job["next_run_at"])
        slots = sorted(
            datetime.fromisoformat(run["scheduled_for"]) + SECOND * index
            for run in history
            for index in range(run["slot_count"])
        )
        assert slots == [first + SECOND * number for number in range(len(slots))]
        assert slots[-1] > datetime.now(UTC) - 10 * SECOND


def assert_none_is_missed(histories: list[list[dict[str, Any]]]) -> None:
    """Skipped is what comes of a slot that finds the run before held up together with the interpreter."""
    assert {run["state"] for history in histories for run in history} <= {"succeeded", "running", "skipped"}
    assert all(sum(run["state"] == "succeeded" for run in history) > 2 for history in histories)


def end_lingering(runs: dict[str, dict[str, Any]]) -> None:
    """Children of the thread lane would hold the log of the service open, which the test reads to its end."""
    if "forks" in runs:
        with suppress(ProcessLookupError):
            os.kill(runs["forks"]["result"], signal.SIGKILL)


def children_of(parent: int) -> list[int]:
    found = []
    for folder in Path("/proc").iterdir():
        with suppress(OSError):
            if folder.name.isdigit() and (folder / "stat").read_text().rpartition(")")[2].split()[1] == str(parent):
                found.append(int(folder.name))
    return found


def command_of(pid: int) -> str:
    """Empty for one that has ended."""
    with suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_text()
    return ""


def has_ended_by_now(pid: int) -> bool:
    return command_of(pid) == ""
