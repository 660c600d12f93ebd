"""The Dockerfile agrees with the repository: no engine is asked to build it."""

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from fnmatch import fnmatch
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from typer.testing import CliRunner

from app import VERSION, cli
from tests.deployment.files import DOCKER, ROOT, dockerfile, last, seconds, served_paths


def copied() -> list[str]:
    """What the Dockerfile takes from the repository."""
    sources = []
    for name, arguments in dockerfile():
        words = arguments.split()
        if name == "COPY" and not words[0].startswith("--from"):
            sources += words[:-1]
    return sources


def is_sent(path: str) -> bool:
    """Whether .dockerignore lets a path through, by its patterns as they are used there: the last that fits decides."""
    lines = (ROOT / ".dockerignore").read_text("utf-8").splitlines()
    sent = True
    for line in filter(lambda line: line and not line.startswith("#"), lines):
        pattern = line.removeprefix("!")
        parts = [path, *(path[:at] for at, letter in enumerate(path) if letter == "/")]
        names = [part.rpartition("/")[2] for part in parts]
        if any(fnmatch(part, pattern) for part in parts) or (
            pattern.startswith("**/") and any(fnmatch(name, pattern.removeprefix("**/")) for name in names)
        ):
            sent = line.startswith("!")
    return sent


def test_what_is_copied_exists_and_is_sent() -> None:
    assert len(copied()) >= 8
    for source in copied():
        assert (ROOT / source).exists(), source
        assert is_sent(source), source


def test_every_package_is_copied() -> None:
    assert {"registry", "engine", "store", "api", "app"} <= set(copied())


@pytest.mark.parametrize(
    "path", [".env", "docker/.env", "app/.env", "scheduler.db", "app/scheduler.db-wal", ".git/config", "tests/x.py"]
)
def test_no_secret_and_no_database_is_sent(path: str) -> None:
    assert not is_sent(path)


def test_packages_are_installed_as_pinned_and_none_is_compiled() -> None:
    [installation] = [arguments for name, arguments in dockerfile() if name == "RUN" and " install " in arguments]
    assert "-c /build/constraints.txt -r /build/requirements.txt" in installation
    assert "--only-binary=:all:" in installation
    assert not any("apt-get" in arguments for _, arguments in dockerfile())


def test_the_service_is_not_root_and_has_a_numeric_id() -> None:
    user, _, group = last("USER").partition(":")
    assert int(user) > 0
    assert int(group) > 0
    instructions = [name for name, _ in dockerfile()]
    assert instructions.index("USER") > max(at for at, name in enumerate(instructions) if name in ("RUN", "COPY"))


def test_the_command_is_one_of_the_service_and_gets_signals_itself() -> None:
    entry_point, command = json.loads(last("ENTRYPOINT")), json.loads(last("CMD"))
    assert entry_point == ["python", "-m", cli.__name__]
    options = CliRunner().invoke(cli.commands, [command[0], "--help"])
    assert options.exit_code == 0
    assert {option for option in command if option.startswith("--")} <= set(options.output.split())
    assert command[command.index("--port") + 1] == last("EXPOSE") == "8000"
    assert last("STOPSIGNAL") == "SIGTERM"


def test_the_entry_point_is_the_command_line() -> None:
    command = [*json.loads(last("ENTRYPOINT"))[1:], "version"]
    done = subprocess.run([sys.executable, *command], cwd=ROOT, capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout == f"{VERSION}\n"


def test_the_health_check_asks_for_a_path_that_is_served() -> None:
    options, _, command = last("HEALTHCHECK").partition(" CMD ")
    program, script, path = json.loads(command)
    assert (program, path) == ("python", "/healthz")
    assert (ROOT / script).exists()
    assert path in served_paths()
    given = dict(option.removeprefix("--").split("=") for option in options.split())
    # The script's own limit comes first, which says what was wrong.
    assert seconds(given["timeout"]) > 5


class Answers(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(503 if self.path == "/readyz" else 200)
        self.end_headers()

    def log_message(self, *_arguments: object) -> None:
        pass


@pytest.fixture
def port() -> Iterator[int]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Answers) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_port
        server.shutdown()


def check_health(path: str, port: int) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, str(DOCKER / "healthcheck.py"), path, str(port)]
    # A proxy of the environment is for others: this asks the container itself.
    environment = os.environ | {"http_proxy": "http://127.0.0.1:9"}
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=60)


def test_the_health_check_tells_what_was_answered(port: int) -> None:
    assert check_health("/healthz", port).returncode == 0
    refused = check_health("/readyz", port)
    assert (refused.returncode, refused.stderr) == (1, "/readyz was answered with 503\n")


def test_the_health_check_tells_that_nobody_answers() -> None:
    unanswered = check_health("/healthz", 1)
    assert unanswered.returncode == 1
    assert unanswered.stderr.startswith("/healthz was not answered: ")
