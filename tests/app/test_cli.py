"""The command line: what it passes on, what it refuses and with which exit code."""

from pathlib import Path
from typing import Any

import pytest
import uvicorn
from typer.testing import CliRunner

import store
from app import VERSION, cli
from app.settings import Settings, load_settings
from engine.errors import StoreRefused


@pytest.fixture(autouse=True)
def _empty_surroundings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in Settings.model_fields:
        # Set first, so that what a command sets is undone as well.
        monkeypatch.setenv(name.upper(), "")
        monkeypatch.delenv(name.upper())


@pytest.fixture
def served(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """What would have been served."""
    calls: list[dict[str, Any]] = []
    monkeypatch.setattr(uvicorn, "run", lambda target, **options: calls.append({"target": target, **options}))
    return calls


def _invoke(*arguments: str) -> tuple[int, str, str]:
    result = CliRunner().invoke(cli.commands, arguments)
    return result.exit_code, result.stdout, result.stderr


def test_version_is_printed() -> None:
    assert _invoke("version") == (0, f"{VERSION}\n", "")


def test_serve_listens_on_this_machine_only_by_default(served: list[dict[str, Any]]) -> None:
    assert _invoke("serve") == (0, "", "")
    (options,) = served
    assert (options["target"], options["host"], options["port"]) == ("app.main:app", "127.0.0.1", 8000)
    assert options["log_config"] is None
    assert options["timeout_graceful_shutdown"] == 5


@pytest.mark.parametrize("auth", ["required", "off"])
def test_serve_takes_an_address(served: list[dict[str, Any]], auth: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AUTH", auth)
    assert _invoke("serve", "--host", "0.0.0.0", "--port", "9000")[0] == 0
    assert (served[0]["host"], served[0]["port"]) == ("0.0.0.0", 9000)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "scheduler.example"])
def test_serve_refuses_an_address_of_the_network_without_keys(served: list[dict[str, Any]], host: str) -> None:
    code, output, errors = _invoke("serve", "--host", host)
    assert (code, output) == (2, "")
    assert "AUTH=required" in errors
    assert "AUTH=off" in errors
    assert served == []


@pytest.mark.parametrize("host", ["127.0.0.1", "127.0.0.2", "::1", "localhost"])
def test_serve_needs_no_keys_for_this_machine(served: list[dict[str, Any]], host: str) -> None:
    assert _invoke("serve", "--host", host)[0] == 0
    assert served[0]["host"] == host


def test_serves_log_level_goes_before_the_environments(
    served: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LOG_LEVEL", "ERROR")
    assert _invoke("serve", "--log-level", "debug")[0] == 0
    assert load_settings().log_level == "DEBUG"
    assert len(served) == 1


@pytest.mark.parametrize("command", ["serve", "migrate"])
def test_wrong_settings_are_refused_in_one_line(
    command: str, served: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("POOL_SIZE", "none")
    code, output, errors = _invoke(command)
    assert (code, output) == (2, "")
    assert errors.startswith("POOL_SIZE is 'none'")
    assert errors.count("\n") == 1
    assert served == []


def test_wrong_settings_in_the_file_are_refused(served: list[dict[str, Any]], tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("ENV=production\n")
    code, _output, errors = _invoke("serve")
    assert code == 2
    assert "DATABASE_URL" in errors
    assert served == []


def test_migrate_takes_the_database_of_the_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    urls: list[str] = []
    monkeypatch.setattr(store, "migrate_database", urls.append)
    assert _invoke("migrate") == (0, "", "")
    assert urls == ["sqlite:///./scheduler.db"]


def test_a_database_that_is_refused_ends_migrate_with_its_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_url: str) -> None:
        raise StoreRefused("the database is newer than this version")

    monkeypatch.setattr(store, "migrate_database", refuse)
    assert _invoke("migrate") == (2, "", "the database is newer than this version\n")


@pytest.mark.parametrize("command", ["serve", "migrate", "version"])
def test_the_help_of_each_command_states_its_exit_codes(command: str) -> None:
    code, output, _errors = _invoke(command, "--help")
    assert code == 0
    assert "Exit code" in output
