"""What a kill -9 must not take with it: retries, runs that wait, pauses, and the pause of everything."""

from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.service import Service, running_service

pytestmark = [pytest.mark.real_time, pytest.mark.once]

JOBS = """
import threading

from registry import register_job


def log_to_file(text):
    with open("calls.txt", "a") as calls:
        calls.write(text + "\\n")


@register_job("fails_at_first")
def fails_at_first(job_id, run):
    log_to_file(f"fails_at_first {run.id} {run.attempt}")
    if run.attempt < 3:
        raise ValueError("not yet")


@register_job("until_told")
def until_told(job_id, run):
    log_to_file(f"until_told {run.id} {run.attempt}")
    if run.attempt == 1 and not run_is_allowed():
        run.cancelled.wait()


def run_is_allowed():
    try:
        open("allowed.txt").close()
    except FileNotFoundError:
        return False
    return True


@register_job("note")
def note(job_id, run):
    log_to_file(f"note {run.id} {run.attempt}")
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "e2e_jobs.py").write_text(JOBS)
    return tmp_path


def soon(seconds: float) -> str:
    return (datetime.now(UTC) + timedelta(seconds=seconds)).isoformat()


def calls(folder: Path) -> Counter[str]:
    """How often each attempt of each run was called, as the functions themselves wrote it down."""
    return Counter((folder / "calls.txt").read_text().splitlines())


def only_run(service: Service, job: dict[str, Any]) -> dict[str, Any]:
    (run,) = service.all_runs(job["id"])
    return run


def test_a_retry_is_still_to_come_after_kill_9(folder: Path) -> None:
    policies = {"max_retries": 2, "retry_delay_seconds": 2, "retry_backoff": 1, "retry_jitter": 0}
    with running_service(folder, JOB_MODULES="e2e_jobs") as service:
        job = service.create(interval_seconds=None, run_at=soon(0.5), function_name="fails_at_first", **policies)
        service.await_event("run finished", job_id=job["id"], state="retrying")
        # Told, and about to be on record.
        while only_run(service, job)["state"] != "retrying":
            pass
        service.kill()
    with running_service(folder, JOB_MODULES="e2e_jobs") as service:
        service.await_event("run finished", job_id=job["id"], state="succeeded")
        run = only_run(service, job)
        service.terminate()

    assert (run["state"], run["attempt"]) == ("succeeded", 3)
    assert [attempt["state"] for attempt in run["earlier_attempts"]] == ["failed", "failed"]
    assert set(calls(folder).values()) == {1}
    assert len(calls(folder)) == 3


def test_an_attempt_that_was_going_counts_and_the_next_one_comes_after_kill_9(folder: Path) -> None:
    with running_service(folder, JOB_MODULES="e2e_jobs") as service:
        job = service.create(
            interval_seconds=None, run_at=soon(0.5), function_name="until_told", max_retries=1, retry_delay_seconds=0
        )
        service.await_event("run started", job_id=job["id"])
        service.kill()
    with running_service(folder, JOB_MODULES="e2e_jobs") as service:
        service.await_event("run finished", job_id=job["id"], state="succeeded")
        run = only_run(service, job)
        service.terminate()

    assert (run["state"], run["attempt"]) == ("succeeded", 2)
    assert [attempt["state"] for attempt in run["earlier_attempts"]] == ["lost"]
    assert set(calls(folder).values()) == {1}


def test_runs_that_waited_start_after_kill_9_one_after_another(folder: Path) -> None:
    with running_service(folder, JOB_MODULES="e2e_jobs") as service:
        job = service.create(function_name="until_told", overlap_policy="queue_all")
        service.await_event("run queued", job_id=job["id"], count=3)
        waiting = {run["id"] for run in service.all_runs(job["id"]) if run["state"] == "queued"}
        (folder / "allowed.txt").touch()
        service.kill()
    with running_service(folder, JOB_MODULES="e2e_jobs") as service:
        for run_id in waiting:
            service.await_event("run finished", run_id=run_id, state="succeeded")
        states = {run["id"]: run["state"] for run in service.all_runs(job["id"])}
        service.terminate()

    assert len(waiting) >= 3
    assert {states[run_id] for run_id in waiting} == {"succeeded"}
    assert list(states.values()).count("lost") == 1
    assert set(calls(folder).values()) == {1}


def test_pauses_are_still_there_after_kill_9_and_end_when_they_were_to_end(folder: Path) -> None:
    with running_service(folder, JOB_MODULES="e2e_jobs") as service:
        job = service.create(function_name="note")
        ending = service.create(function_name="note")
        ends_at = soon(4)
        service.client.post(f"/jobs/{job['id']}/pause", json={"by": "Ada", "note": "stocktaking"})
        paused = service.get(f"/jobs/{job['id']}")
        service.client.post(f"/jobs/{ending['id']}/pause", json={"until": ends_at})
        service.kill()
    with running_service(folder, JOB_MODULES="e2e_jobs") as service:
        service.await_event("run finished", job_id=ending["id"], state="succeeded")
        first = service.all_runs(ending["id"])[0]
        still = service.get(f"/jobs/{job['id']}")
        service.terminate()

    assert still["pause"] == paused["pause"]
    assert still["pause"]["by"] == "Ada"
    assert datetime.fromisoformat(first["started_at"]) >= datetime.fromisoformat(ends_at)


def test_the_pause_of_everything_is_still_there_after_kill_9(folder: Path) -> None:
    with running_service(folder, JOB_MODULES="e2e_jobs") as service:
        job = service.create(function_name="note")
        service.client.post("/pause", json={"by": "Ada"})
        service.kill()
    with running_service(folder, JOB_MODULES="e2e_jobs") as service:
        started = service.await_event("scheduler started")
        paused = service.get("/pause")
        service.client.post("/resume")
        service.await_event("run finished", job_id=job["id"], state="succeeded")
        runs = service.all_runs(job["id"])
        service.terminate()

    assert paused["pause"]["by"] == "Ada"
    began = [datetime.fromisoformat(run["started_at"]) for run in runs if run["started_at"]]
    before = datetime.fromisoformat(paused["pause"]["at"])
    after = datetime.fromisoformat(started["timestamp"])
    assert not [at for at in began if before < at < after]
    assert "everything was paused by Ada" in " ".join(run["reason"] or "" for run in runs)
