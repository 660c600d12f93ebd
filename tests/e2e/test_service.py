"""Real processes in real time, with generous bounds: what only a whole service can show."""

import fcntl
import os
import signal
import threading
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.service import Service, running_service, serve_command

pytestmark = pytest.mark.real_time

JOBS = """
import threading
import time

from registry import register_job


def log_to_file(text):
    with open("calls.txt", "a") as calls:
        calls.write(text + "\\n")


@register_job("append")
def append(job_id, run=None):
    log_to_file(f"{job_id} {run.scheduled_for.isoformat()}")


@register_job("append_slowly")
def append_slowly(job_id, run=None):
    append(job_id, run)
    time.sleep(0.3)


@register_job("never_returns")
def never_returns(job_id):
    print("here for ever")
    threading.Event().wait()


@register_job("prints")
def prints(job_id):
    print("one line")
    print("half a ", end="")
    print("line")
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "e2e_jobs.py").write_text(JOBS)
    return tmp_path


def instant(text: str) -> datetime:
    return datetime.fromisoformat(text)


def test_a_job_of_one_second_keeps_to_its_grid_and_every_log_line_is_json(folder: Path) -> None:
    with running_service(folder, JOB_MODULES="e2e_jobs") as service:
        job = service.create(function_name="prints")
        service.await_event("run finished", count=5, job_id=job["id"])
        seen = service.get(f"/jobs/{job['id']}")
        runs = service.all_runs(job["id"])
        service.terminate()

    first = instant(job["next_run_at"])
    assert [instant(run["scheduled_for"]) for run in runs][:5] == [first + timedelta(seconds=slot) for slot in range(5)]
    assert instant(seen["next_run_at"]) - instant(seen["last_run_at"]) <= timedelta(seconds=1)
    assert service.garbage == []
    printed = [line["line"] for line in service.lines if line["event"] == "job output" and line["job_id"] == job["id"]]
    assert printed[:2] == ["one line", "half a line"]
    for line in service.lines:
        assert {"timestamp", "level", "logger", "event"} <= line.keys()


def test_after_kill_9_nothing_is_doubled_the_interrupted_are_lost_and_the_missed_on_record(folder: Path) -> None:
    with running_service(folder, JOB_MODULES="e2e_jobs") as service:
        jobs = [service.create(function_name="append_slowly")["id"] for _ in range(10)]
        service.await_event("run finished", count=20)
        service.await_event("run started", count=len(started(service)) + 1)
        service.kill()
    interrupted = started(service) - ended(service)

    # A second that nobody is there for: what comes due in it can only be missed.
    wait_for_wall_clock(2.2)
    with running_service(folder, JOB_MODULES="e2e_jobs") as service:
        for job_id in jobs:
            service.await_event("run finished", count=2, job_id=job_id)
        histories = {job_id: service.all_runs(job_id) for job_id in jobs}
        statuses = {job["status"] for job in service.get("/jobs")}
        service.terminate()

    lost = {run["id"] for history in histories.values() for run in history if run["state"] == "lost"}
    assert interrupted <= lost | ended(service)
    assert all(any(run["state"] == "missed" for run in history) for history in histories.values())
    assert statuses == {"active"}
    for job_id, history in histories.items():
        assert_every_slot_has_one_row(history)
        assert_started_at_most_once(folder, job_id)


def test_two_processes_on_the_same_file_are_both_in_service(folder: Path) -> None:
    with running_service(folder) as first, running_service(folder) as second:
        healths = [service.get("/healthz")["status"] for service in (first, second)]

    assert healths == ["ok", "ok"]


def test_a_process_that_finds_an_earlier_release_running_refuses_clearly(folder: Path) -> None:
    with running_service(folder):
        pass
    # What an earlier release has: the whole of the lock file.
    with (folder / "scheduler.db.lock").open("r+b") as file:
        fcntl.lockf(file, fcntl.LOCK_EX)
        second = Service(folder)
        code = second.await_end()

    assert code != 0
    (line,) = [line for line in second.lines if "another scheduler" in line["event"]]
    assert f"pid {os.getpid()}" in line["event"]
    assert "Traceback" not in line["event"]


def test_sigterm_ends_the_process_though_a_function_never_returns(folder: Path) -> None:
    with running_service(folder, JOB_MODULES="e2e_jobs", STOP_GRACE_SECONDS="0.5") as service:
        job = service.create(function_name="never_returns")
        service.await_event("job output", job_id=job["id"])
        service.terminate()

    with running_service(folder, JOB_MODULES="e2e_jobs") as service:
        first = service.all_runs(job["id"])[0]

    assert first["state"] == "lost"
    assert "grace" in first["reason"]


def test_ctrl_c_ends_the_process_though_a_function_never_returns(folder: Path) -> None:
    with running_service(folder, JOB_MODULES="e2e_jobs", STOP_GRACE_SECONDS="0.5") as service:
        job = service.create(function_name="never_returns")
        service.await_event("job output", job_id=job["id"])
        service.process.send_signal(signal.SIGINT)
        service.await_end()
        service.await_event("scheduler stopped")


def test_a_module_that_does_not_import_stops_the_start_with_its_name(folder: Path) -> None:
    (folder / "broken_jobs.py").write_text("import nowhere_to_be_found\n")

    service = Service(folder, JOB_MODULES="broken_jobs")

    assert service.await_end() == 1
    (refusal,) = [line for line in service.lines if line["event"] == "start refused"]
    assert "module broken_jobs" in refusal["error"]
    assert "ModuleNotFoundError: No module named 'nowhere_to_be_found'" in refusal["error"]
    assert service.garbage == []


def test_at_a_terminal_the_refusal_is_plain_text(folder: Path) -> None:
    (folder / "twice_jobs.py").write_text(JOBS.replace('"append_slowly"', '"append"'))

    service = Service(folder, JOB_MODULES="twice_jobs", LOG_FORMAT="console")

    assert service.await_end() == 1
    told = "".join(service.garbage)
    assert told.startswith('The service can\'t start.\nmodule twice_jobs: job function "append" is registered twice')


def test_the_predecessors_command_line_works(folder: Path) -> None:
    command = serve_command()
    with running_service(folder, *command, JOB_MODULES="") as service:
        assert service.client.get("/docs").status_code == 200
        assert service.client.get("/redoc").status_code == 200
        assert service.get("/jobs") == []


def started(service: Service) -> set[str]:
    return {line["run_id"] for line in service.lines if line["event"] == "run started"}


def ended(service: Service) -> set[str]:
    return {line["run_id"] for line in service.lines if line["event"] == "run finished"}


def wait_for_wall_clock(seconds: float) -> None:
    threading.Event().wait(seconds)


def assert_every_slot_has_one_row(history: list[dict[str, Any]]) -> None:
    slots: list[datetime] = []
    for run in history:
        first = instant(run["scheduled_for"])
        slots += [first + timedelta(seconds=index) for index in range(run["slot_count"])]
    slots.sort()
    assert slots == [slots[0] + timedelta(seconds=index) for index in range(len(slots))]


def assert_started_at_most_once(folder: Path, job_id: str) -> None:
    calls = [line for line in (folder / "calls.txt").read_text().splitlines() if line.startswith(job_id)]
    assert len(calls) == len(set(calls))
    assert calls
