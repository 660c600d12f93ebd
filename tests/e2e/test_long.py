"""A minute of real slots, and many crashes in a row: too long for every run of the tests (`make slow`)."""

import random
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.e2e.service import running_service
from tests.e2e.test_service import (
    JOBS,
    assert_every_slot_has_one_row,
    assert_started_at_most_once,
    ended,
    instant,
    started,
    wait_for_wall_clock,
)

pytestmark = [pytest.mark.slow, pytest.mark.real_time, pytest.mark.timeout(600)]

RUN_KEYS = {"run_id", "job_id", "function_name", "trigger", "scheduled_for", "attempt", "node", "lateness_ms"}
CRASHES = 12


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "e2e_jobs.py").write_text(JOBS)
    return tmp_path


def test_a_minute_of_a_one_second_job_is_sixty_runs_on_the_grid_and_true_at_each_look(folder: Path) -> None:
    with running_service(folder, JOB_MODULES="e2e_jobs") as service:
        job = service.create(function_name="prints")
        first = instant(job["next_run_at"])
        looks = []
        while datetime.now(UTC) < first + timedelta(seconds=59.5):
            looks.append((datetime.now(UTC), service.get(f"/jobs/{job['id']}"), datetime.now(UTC)))
            wait_for_wall_clock(0.2)
        service.client.post(f"/jobs/{job['id']}/pause")
        runs = service.all_runs(job["id"])
        service.terminate()

    assert [instant(run["scheduled_for"]) for run in runs] == [first + timedelta(seconds=slot) for slot in range(60)]
    assert {run["state"] for run in runs} == {"succeeded"}
    for asked_at, look, answered_at in looks:
        next_run_at, last_run_at = instant(look["next_run_at"]), look["last_run_at"] and instant(look["last_run_at"])
        # A slot is claimed a moment after its instant, on a busy machine some tens of milliseconds.
        assert asked_at - timedelta(seconds=0.5) < next_run_at <= answered_at + timedelta(seconds=1)
        assert last_run_at is None or last_run_at < answered_at
        assert last_run_at is None or timedelta(seconds=0.5) < next_run_at - last_run_at <= timedelta(seconds=1)
    assert service.garbage == []
    for line in service.lines:
        assert {"timestamp", "level", "logger", "event"} <= line.keys()
        if line["event"] in ("run started", "run finished"):
            assert line.keys() >= RUN_KEYS


def test_crash_after_crash_doubles_nothing_and_leaves_every_slot_on_record(folder: Path) -> None:
    jobs: list[str] = []
    begun: set[str] = set()
    over: set[str] = set()
    moments = random.Random(7)
    for crash in range(CRASHES):
        with running_service(folder, JOB_MODULES="e2e_jobs") as service:
            if crash == 0:
                jobs = [service.create(function_name="append_slowly")["id"] for _ in range(10)]
            service.await_event("run finished", count=10)
            threading.Event().wait(moments.uniform(0.0, 1.2))
            service.kill()
        begun |= started(service)
        over |= ended(service)
        wait_for_wall_clock(moments.choice([0.0, 0.5, 2.5]))
    with running_service(folder, JOB_MODULES="e2e_jobs") as service:
        for job_id in jobs:
            service.await_event("run finished", count=2, job_id=job_id)
            service.client.post(f"/jobs/{job_id}/pause")
        service.await_event("job paused", count=len(jobs))
        histories = {job_id: service.all_runs(job_id) for job_id in jobs}
        service.terminate()

    states = {run["id"]: run["state"] for history in histories.values() for run in history}
    assert all(states[run_id] == "lost" for run_id in begun - over)
    # Its end was logged, and the process died before the outcome was written: lost is what can be said of it.
    assert {states[run_id] for run_id in over} <= {"succeeded", "lost"}
    for job_id, history in histories.items():
        assert_every_slot_has_one_row(history)
        assert_started_at_most_once(folder, job_id)
