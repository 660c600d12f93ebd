"""The service as a process to measure."""

import json
import os
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
COMMAND = (sys.executable, "-m", "uvicorn", "app.main:app")

QUIET = ("--no-access-log",)
"""Options of uvicorn, where requests are not what is measured."""


class ServiceProcess:
    """A running service; `seconds_to_ready` is from spawning it to its first good `/readyz`."""

    def __init__(self, folder: Path, processes: int = 1, options: Sequence[str] = QUIET, /, **environment: str) -> None:
        self.port = _free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        began = time.perf_counter()
        self.process = subprocess.Popen(
            [*COMMAND, *options, "--port", str(self.port), *(["--workers", str(processes)] if processes > 1 else [])],
            cwd=folder,
            env=os.environ | {"PYTHONPATH": f"{folder}{os.pathsep}{ROOT}", "LOG_LEVEL": "WARNING"} | environment,
            stdout=(folder / "service.log").open("a"),
            stderr=subprocess.STDOUT,
        )
        while not self._is_ready():
            assert self.process.poll() is None, (folder / "service.log").read_text()
            time.sleep(0.005)
        self.seconds_to_ready = time.perf_counter() - began

    def get(self, path: str) -> Any:
        with urllib.request.urlopen(self.url + path) as answer:
            return json.load(answer)

    def post(self, path: str, body: dict[str, Any]) -> Any:
        return self.send("POST", path, body)

    def send(self, method: str, path: str, body: dict[str, Any]) -> Any:
        data, headers = json.dumps(body).encode(), {"Content-Type": "application/json"}
        request = urllib.request.Request(self.url + path, data=data, headers=headers, method=method)
        with urllib.request.urlopen(request) as answer:
            return json.load(answer)

    def memory_mib(self) -> float:
        """The resident set, in MiB."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(status.split("VmRSS:")[1].split()[0]) / 1024

    def peak_mib(self) -> float:
        """The largest resident set that it ever had, all its processes together, in MiB."""
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()
        return sum(_peak_mib(process_id) for process_id in (self.process.pid, *map(int, children)))

    def processor_seconds(self) -> float:
        """What it has used so far, without its children."""
        return processor_seconds(self.process.pid)

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait(60)

    def _is_ready(self) -> bool:
        try:
            return bool(self.get("/readyz")["status"] == "ready")
        except (urllib.error.URLError, ConnectionError):
            return False


def processor_seconds(process_id: int) -> float:
    """What all threads of a process have used so far, in user and in kernel mode (Linux)."""
    # After the name, which may hold anything, up to its bracket: the 12th and 13th are user and system time.
    fields = Path(f"/proc/{process_id}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@contextmanager
def service(
    folder: Path, processes: int = 1, options: Sequence[str] = QUIET, /, **environment: str
) -> Iterator[ServiceProcess]:
    """A service in `folder`, stopped at the end."""
    process = ServiceProcess(folder, processes, options, **environment)
    try:
        yield process
    finally:
        process.stop()


@contextmanager
def new_folder() -> Iterator[Path]:
    """A temporary folder."""
    with tempfile.TemporaryDirectory() as name:
        yield Path(name)


def _peak_mib(process_id: int) -> float:
    status = Path(f"/proc/{process_id}/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) / 1024


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
