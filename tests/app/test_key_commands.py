"""`scheduler keys`, on a database of its own."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from app import cli
from app.settings import Settings
from engine.access import prefix_of


@pytest.fixture(autouse=True)
def _empty_surroundings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in Settings.model_fields:
        monkeypatch.delenv(name.upper(), raising=False)


def _keys(*arguments: str) -> tuple[int, str, str]:
    result = CliRunner().invoke(cli.commands, ("keys", *arguments))
    return result.exit_code, result.stdout, result.stderr


def test_a_key_is_made_listed_and_revoked() -> None:
    code, output, errors = _keys("create", "--name", "deploy pipeline", "--scope", "write", "--expires-in-days", "30")
    # What is logged goes elsewhere, and has no text of a key.
    assert code == 0
    text = output.removesuffix("\n")
    prefix = prefix_of(text)
    assert prefix is not None
    assert text not in errors

    code, output, _errors = _keys("list")
    header, line = output.splitlines()
    assert header.split()[:3] == ["PREFIX", "SCOPE", "STATE"]
    assert line.split()[:3] == [prefix, "write", "valid"]
    assert line.endswith("deploy pipeline")
    assert text not in output

    for _ in range(2):
        assert _keys("revoke", prefix)[:2] == (0, "")
    assert _keys("list")[1].splitlines()[1].split()[:3] == [prefix, "write", "revoked"]


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (("create", "--name", " "), "--name"),
        (("create", "--name", "a\nb"), "--name"),
        (("create", "--name", "x" * 201), "--name"),
        (("create", "--name", "a", "--scope", "all"), "--scope"),
        (("create", "--name", "a", "--expires-in-days", "0"), "--expires-in-days"),
        (("create", "--name", "a", "--expires-in-days", "nan"), "--expires-in-days"),
        (("revoke", "nonsense"), "nonsense"),
    ],
)
def test_what_cannot_be_is_refused(arguments: tuple[str, ...], reason: str) -> None:
    code, output, errors = _keys(*arguments)
    assert (code, output) == (2, "")
    assert reason in errors


def test_a_database_that_cannot_be_used_is_refused(tmp_path: Path) -> None:
    (tmp_path / "scheduler.db").write_text("no database")
    code, _output, errors = _keys("list")
    assert code == 2
    assert "scheduler.db" in errors
