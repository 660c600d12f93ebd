"""Jobs that many clients create and change at once: what was answered outlives a kill -9."""

import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx2
import pytest

from tests.e2e.service import Service, running_service

pytestmark = pytest.mark.real_time

CLIENTS = 8
ANSWERS_BEFORE_THE_END = 400
JOB = {"name": "a job", "function_name": "print_hello", "interval_seconds": 86_400}


class Clients:
    """Each creates a job and renames it, over and over, until the service is gone; `told` is what was answered."""

    def __init__(self, service: Service) -> None:
        self.service = service
        self.told: dict[str, str] = {}
        self.has_enough = threading.Event()

    def work(self) -> None:
        with httpx2.Client(base_url=self.service.client.base_url, timeout=60) as client:
            try:
                while True:
                    self._create_and_rename(client)
            except httpx2.TransportError:
                return

    def _create_and_rename(self, client: httpx2.Client) -> None:
        job: dict[str, Any] = client.post("/jobs", json=JOB).raise_for_status().json()
        self.told[job["id"]] = job["name"]
        client.patch(f"/jobs/{job['id']}", json={"name": "renamed"}).raise_for_status()
        self.told[job["id"]] = "renamed"
        if len(self.told) >= ANSWERS_BEFORE_THE_END:
            self.has_enough.set()


def test_what_was_answered_before_a_kill_9_is_there_after_it(tmp_path: Path) -> None:
    with running_service(tmp_path) as service, ThreadPoolExecutor(CLIENTS) as pool:
        clients = Clients(service)
        working = [pool.submit(clients.work) for _ in range(CLIENTS)]
        assert clients.has_enough.wait(60)
        service.process.kill()
        for each in working:
            each.result(60)

    with running_service(tmp_path) as service:
        kept = {job["id"]: job["name"] for job in service.get("/jobs")}

    # Of each client one request may have been carried out and not answered.
    assert len(clients.told) <= len(kept) <= len(clients.told) + CLIENTS
    assert clients.told.keys() <= kept.keys()
    assert {kept[job_id] for job_id, name in clients.told.items() if name == "renamed"} == {"renamed"}
