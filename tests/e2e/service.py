"""A real service in a process of its own, watched through its log: the tests wait for its events, not for seconds."""

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import httpx2

from tests.chaos.server import workers_of

ROOT = Path(__file__).resolve().parents[2]
REAL_SECONDS = 60.0
"""How long a test waits for something that should happen within seconds on a quiet machine."""


class Service:
    """One running process; `base_url` is known once it is ready."""

    def __init__(self, folder: Path, *command: str, **environment: str) -> None:
        self.lines: list[dict[str, Any]] = []
        self.garbage: list[str] = []
        # A service says that it has started a moment before it takes connections.
        self.client = httpx2.Client(timeout=REAL_SECONDS, transport=httpx2.HTTPTransport(retries=6))
        self._changed = threading.Condition()
        self._is_over = False
        self.process = subprocess.Popen(
            command or serve_command(),
            cwd=folder,
            env=os.environ | {"PYTHONPATH": f"{folder}{os.pathsep}{ROOT}", "LOG_FORMAT": "json"} | environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def await_ready(self) -> "Service":
        started = self.await_event("Uvicorn running on ", is_prefix=True)
        self.client.base_url = str(started["event"]).split()[3]
        return self

    def await_event(self, event: str, *, is_prefix: bool = False, count: int = 1, **keys: Any) -> dict[str, Any]:
        """The `count`-th line with this event and these keys."""

        def found() -> list[dict[str, Any]]:
            return [line for line in self.lines if _matches(line, event, is_prefix=is_prefix, keys=keys)]

        with self._changed:
            self._changed.wait_for(lambda: len(found()) >= count or self._is_over, REAL_SECONDS)
            assert len(found()) >= count, f"no {count} x {event!r} {keys}: {self.lines[-5:]} {self.garbage[-20:]}"
            return found()[count - 1]

    def kill(self) -> None:
        """End it as an out-of-memory killer does."""
        self.process.kill()
        self.await_end()

    def terminate(self) -> int:
        """Ask it to stop; returns its exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.await_end()

    def await_end(self) -> int:
        code = self.process.wait(REAL_SECONDS)
        self._reader.join(REAL_SECONDS)
        self.client.close()
        if self.process.stdout is not None:
            self.process.stdout.close()
        return code

    def create(self, **fields: Any) -> dict[str, Any]:
        answer = self.client.post("/jobs", json={"name": "a job", "interval_seconds": 1} | fields)
        assert answer.status_code == 200, answer.text
        job: dict[str, Any] = answer.json()
        return job

    def get(self, path: str) -> Any:
        answer = self.client.get(path)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def all_runs(self, job_id: str) -> list[dict[str, Any]]:
        """The whole history of a job, oldest first, page by page."""
        runs: list[dict[str, Any]] = []
        path: str | None = f"/jobs/{job_id}/runs?limit=500"
        while path is not None:
            answer = self.client.get(path)
            runs += answer.json()
            path = answer.links.get("next", {}).get("url")
        return runs[::-1]

    def _read(self) -> None:
        assert self.process.stdout is not None
        for text in self.process.stdout:
            with self._changed:
                self._take(text)
                self._changed.notify_all()
        with self._changed:
            self._is_over = True
            self._changed.notify_all()

    def _take(self, text: str) -> None:
        try:
            self.lines.append(json.loads(text))
        except ValueError:
            self.garbage.append(text)


def serve_command(*options: str) -> tuple[str, ...]:
    """As the README says, on a free port."""
    return (sys.executable, "-m", "uvicorn", "app.main:app", "--port", "0", "--log-level", "info", *options)


@contextmanager
def starting_service(folder: Path, *command: str, **environment: str) -> Iterator[Service]:
    """A service that is gone at the end whatever the test does."""
    service = Service(folder, *command, **environment)
    try:
        yield service
    finally:
        # Those of `--workers` outlive their parent, and would keep its output open.
        workers = workers_of(service.process.pid) if sys.platform == "linux" else []
        service.process.kill()
        for worker in workers:
            with suppress(ProcessLookupError):
                os.kill(worker, signal.SIGKILL)
        service.await_end()


@contextmanager
def running_service(folder: Path, *command: str, **environment: str) -> Iterator[Service]:
    """One that is ready."""
    with starting_service(folder, *command, **environment) as service:
        yield service.await_ready()


def _matches(line: dict[str, Any], event: str, *, is_prefix: bool, keys: dict[str, Any]) -> bool:
    has_event = str(line.get("event")).startswith(event) if is_prefix else line.get("event") == event
    return has_event and all(line.get(key) == value for key, value in keys.items())
