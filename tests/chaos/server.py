"""One uvicorn command as its users start it: a single process, or a parent that keeps a number of workers alive."""

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
STOP_SECONDS = 40.0


class Server:
    """A process group on a port of its own; its output goes to a file."""

    def __init__(self, folder: Path, *, workers: int, environment: Mapping[str, str]) -> None:
        self.port = free_port()
        self.workers = workers
        self.starts = 0
        self.log = folder / f"server-{self.port}.log"
        self._folder = folder
        self._environment = environment
        self._process: subprocess.Popen[bytes] | None = None
        self._is_wanted = False

    @property
    def pid(self) -> int:
        """Of the command itself, which with several workers runs no jobs."""
        assert self._process is not None
        return self._process.pid

    @property
    def has_ended(self) -> bool:
        return self._process is None or self._process.poll() is not None

    @property
    def ended_by_itself(self) -> bool:
        """Whether it has gone without being killed or stopped by us."""
        return self._is_wanted and self.has_ended

    def start(self) -> None:
        options = ["--port", str(self.port), "--log-level", "warning"]
        options += ["--workers", str(self.workers)] if self.workers > 1 else []
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "uvicorn", "app.main:app", *options],
                cwd=self._folder,
                env={**os.environ, "PYTHONPATH": str(ROOT), **self._environment},
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self.starts += 1
        self._is_wanted = True

    def pids(self) -> list[int]:
        """The processes that run jobs, and are alive."""
        if self.has_ended:
            return []
        return [self.pid] if self.workers == 1 else workers_of(self.pid)

    def kill(self) -> None:
        """kill -9 of everything at once."""
        self._is_wanted = False
        if self._process is not None:
            with suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait(STOP_SECONDS)

    def ask_to_stop(self) -> None:
        """As an operator does."""
        self._is_wanted = False
        if self._process is not None:
            self._process.terminate()

    def stop(self) -> None:
        """Returns when it has; what does not stop in time is killed."""
        self.ask_to_stop()
        if self._process is not None:
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(STOP_SECONDS)
        self.kill()


def workers_of(parent: int) -> list[int]:
    """uvicorn's workers among the children; its resource tracker is none."""
    return [pid for pid in _children(parent) if b"spawn_main" in _command(pid)]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _children(parent: int) -> list[int]:
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            # After the command's name in parentheses, which may hold anything: state, parent.
            state, of = (folder / "stat").read_text().rpartition(")")[2].split()[:2]
            if int(of) == parent and state != "Z":
                found.append(int(folder.name))
    return found


def _command(pid: int) -> bytes:
    with suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    return b""
