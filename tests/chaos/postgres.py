"""A PostgreSQL server that can be stopped, fast or at once, and started again on the same data."""

import os
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Literal

import psycopg

from tests.chaos.waiting import wait_until
from tests.store.postgres import SUPERUSER, find_binaries, run_program, unprivileged_user

Stop = Literal["fast", "immediate"]

# What pg_ctl sends for its -m fast and -m immediate.
_SIGNALS = {"fast": signal.SIGINT, "immediate": signal.SIGQUIT}
_UNTIL_PIPE_CLOSES = '"$@" & server=$!; echo $server; read -r _; kill -INT $server 2>/dev/null; wait $server'
# Without fsync, as only the server dies and not the machine. With commits that wait for their write: an immediate stop
# may take none back.
_SETTINGS = {
    "listen_addresses": "",
    "fsync": "off",
    "synchronous_commit": "on",
    "shared_buffers": "64MB",
    "max_connections": "300",
}


class PostgresServer:
    """A server in a folder of its own, reached through its socket. It ends when the tests' process does."""

    def __init__(self, folder: Path, binaries: Path, identity: dict[str, Any]) -> None:
        self.socket = folder / ".s.PGSQL.5432"
        self._folder = folder
        self._identity = identity
        settings = [part for name, value in _SETTINGS.items() for part in ("-c", f"{name}={value}")]
        self._command = [str(binaries / "postgres"), "-D", str(folder / "data"), "-k", str(folder), *settings]
        self._shell: subprocess.Popen[str] | None = None
        self._pid = 0

    def conninfo(self, schema: str) -> str:
        return f"host={self._folder} user={SUPERUSER} dbname=postgres options='-csearch_path={schema}'"

    def url(self, schema: str, *, port: int | None = None) -> str:
        """For the service: straight to the socket, or through a proxy on a `port` of this host."""
        options = f"options=-csearch_path%3D{schema}&gssencmode=disable"
        if port is None:
            return f"postgresql+psycopg://{SUPERUSER}@/postgres?host={self._folder}&{options}"
        return f"postgresql+psycopg://{SUPERUSER}@127.0.0.1:{port}/postgres?{options}&sslmode=disable"

    def execute(self, statement: str) -> None:
        with psycopg.connect(self.conninfo("public"), autocommit=True) as connection:
            connection.execute(statement.encode())

    def start(self) -> None:
        """Returns when it takes connections."""
        with (self._folder / "server.log").open("ab") as log:
            command = ["sh", "-c", _UNTIL_PIPE_CLOSES, "sh", *self._command]
            pipe = subprocess.PIPE
            # A session of its own: Ctrl-C is for the tests, which then stop the server in their order.
            self._shell = subprocess.Popen(
                command,
                stdin=pipe,
                stdout=pipe,
                stderr=log,
                cwd="/",
                text=True,
                start_new_session=True,
                **self._identity,
            )
        assert self._shell.stdout is not None
        self._pid = int(self._shell.stdout.readline())
        wait_until(self._answers, "PostgreSQL takes connections")

    def stop(self, how: Stop) -> None:
        assert self._shell is not None
        with suppress(ProcessLookupError):
            os.kill(self._pid, _SIGNALS[how])
        with self._shell:  # closes the pipe and waits
            pass

    def _answers(self) -> bool:
        with suppress(psycopg.OperationalError):
            psycopg.connect(self.conninfo("public")).close()
            return True
        return False


@contextmanager
def running_server() -> Iterator[PostgresServer | None]:
    """A server over empty data; None where there are no binaries."""
    with tempfile.TemporaryDirectory(prefix="scheduler-chaos-pg-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        binaries = find_binaries(folder)
        if binaries is None:
            yield None
            return
        identity = unprivileged_user(folder)
        data = folder / "data"
        run_program(
            binaries / "initdb", "-D", data, "-U", SUPERUSER, "-A", "trust", "-E", "UTF8", "--no-sync", **identity
        )
        server = PostgresServer(folder, binaries, identity)
        server.start()
        try:
            yield server
        finally:
            server.stop("fast")
