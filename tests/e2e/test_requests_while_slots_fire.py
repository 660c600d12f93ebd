"""Law 4 and the start gate in a whole service: what was answered holds from that instant on."""

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.e2e.service import Service, running_service

pytestmark = [pytest.mark.real_time, pytest.mark.once]

JOBS = """
import time

from registry import register_job


@register_job("stamp")
def stamp(job_id):
    began = time.time_ns()
    with open("calls.txt", "a") as calls:
        calls.write(f"{job_id} {began}\\n")
"""

CLIENTS = 4
ROUNDS = 6


def test_no_run_starts_after_a_pause_or_delete_was_answered(tmp_path: Path) -> None:
    (tmp_path / "stamp_jobs.py").write_text(JOBS)
    with running_service(tmp_path, JOB_MODULES="stamp_jobs", POOL_SIZE="4") as service:
        with ThreadPoolExecutor(CLIENTS) as clients:
            answers = [
                each for found in clients.map(lambda _: ask_for_silence(service), range(CLIENTS)) for each in found
            ]
        # Whatever was claimed wrongly would have started by the next slots.
        watched = service.create(function_name="stamp")
        await_calls(tmp_path, watched["id"], count=3)
        service.terminate()

    calls = calls_by_job(tmp_path)
    assert len(answers) == CLIENTS * ROUNDS
    started_before = sum(bool(calls.get(job_id)) for job_id, _ in answers)
    assert started_before > len(answers) / 2, "the requests came before the first slots: nothing was shown"
    for job_id, answered_at in answers:
        assert max(calls.get(job_id, [0])) <= answered_at, f"{job_id} started after the answer"


def ask_for_silence(service: Service) -> list[tuple[str, int]]:
    """Jobs paused or deleted just when their slot fires, each with the instant of the answer."""
    answers = []
    for number in range(ROUNDS):
        job = service.create(function_name="stamp")
        # The first slot is a second away; the request is sent around that instant, a little later each time.
        time_of_request = time.time() + 0.99 + number * 0.002
        while time.time() < time_of_request:
            pass
        silence = SILENCES[number % len(SILENCES)]
        silence(service, job["id"])
        answers.append((job["id"], time.time_ns()))
    return answers


def pause(service: Service, job_id: str) -> None:
    assert service.client.post(f"/jobs/{job_id}/pause").status_code == 200


def patch_to_paused(service: Service, job_id: str) -> None:
    assert service.client.patch(f"/jobs/{job_id}", json={"status": "paused"}).status_code == 200


def delete(service: Service, job_id: str) -> None:
    assert service.client.delete(f"/jobs/{job_id}?confirm=true").status_code == 200


SILENCES: list[Callable[[Service, str], None]] = [pause, delete, patch_to_paused]


def calls_by_job(folder: Path) -> dict[str, list[int]]:
    calls: dict[str, list[int]] = {}
    for line in (folder / "calls.txt").read_text().splitlines():
        job_id, began = line.split()
        calls.setdefault(job_id, []).append(int(began))
    return calls


def await_calls(folder: Path, job_id: str, *, count: int) -> None:
    deadline = time.monotonic() + 30
    while len(calls_by_job(folder).get(job_id, [])) < count:
        assert time.monotonic() < deadline
