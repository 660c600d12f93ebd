"""One command with several worker processes, while the database does not answer."""

import os
import signal
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from store import open_store
from tests.chaos.server import free_port, workers_of
from tests.e2e.service import serve_command, starting_service

# `once`: each waits for SQLite's own patience of five seconds with a lock.
pytestmark = [pytest.mark.real_time, pytest.mark.once]


@contextmanager
def locked_database(folder: Path) -> Iterator[None]:
    """Another program writes, and does not come to an end."""
    connection = sqlite3.connect(folder / "scheduler.db", isolation_level=None)
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
    finally:
        connection.close()


def test_a_worker_that_can_not_start_waits_and_the_others_serve_on(tmp_path: Path) -> None:
    port = free_port()
    command = serve_command("--workers", "2", "--port", str(port))
    with starting_service(tmp_path, *command) as service:
        service.client.base_url = f"http://127.0.0.1:{port}"
        service.await_event("scheduler started", count=2)
        killed, other = workers_of(service.process.pid)
        job = service.create(function_name="log_time")

        with locked_database(tmp_path):
            os.kill(killed, signal.SIGKILL)
            service.await_event("start waits for the database")
            assert service.get(f"/jobs/{job['id']}")["name"] == "a job"
        service.await_event("scheduler started", count=3)
        service.await_event("run finished", job_id=job["id"], count=2)

        assert other in workers_of(service.process.pid)
        assert len([node for node in service.get("/nodes") if node["state"] == "live"]) == 2
        assert service.terminate() in {0, -signal.SIGTERM}


def test_a_stop_ends_the_wait_of_a_start(tmp_path: Path) -> None:
    open_store(f"sqlite:///{tmp_path}/scheduler.db").close()
    with locked_database(tmp_path), starting_service(tmp_path) as service:
        service.await_event("start waits for the database")

        service.terminate()

        assert not [line for line in service.lines if line["event"] == "scheduler started"]
