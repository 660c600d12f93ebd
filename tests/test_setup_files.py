"""The files that say what is installed agree with each other."""

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parent.parent
PIN = re.compile(r"(?P<name>[A-Za-z0-9._-]+)(\[[a-z0-9,-]+\])?==(?P<version>[^\s;]+)")


def _project() -> dict[str, Any]:
    return tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]  # type: ignore[no-any-return]  # tables of a file


def _requirements(file: str) -> list[str]:
    lines = [line.partition("#")[0].strip() for line in (ROOT / file).read_text().splitlines()]
    return [line for line in lines if line and not line.startswith("-")]


def _pins(requirements: list[str]) -> dict[str, str]:
    pins = {}
    for requirement in requirements:
        match = PIN.match(requirement)
        assert match, f"{requirement} is not pinned"
        pins[match["name"].lower().replace("_", "-")] = match["version"]
    return pins


def _runtime() -> dict[str, str]:
    return _pins(_project()["dependencies"])


def _extra(name: str) -> dict[str, str]:
    return _pins(_project()["optional-dependencies"][name])


def test_every_direct_dependency_has_the_same_pin_in_the_constraints() -> None:
    direct = _runtime() | _extra("psycopg2") | _extra("dev")
    constraints = _pins(_requirements("constraints.txt"))
    assert direct == {name: constraints.get(name) for name in direct}


def test_the_requirements_are_the_runtime_and_the_driver_that_existing_urls_name() -> None:
    assert _pins(_requirements("requirements.txt")) == _runtime() | _extra("psycopg2")
    assert "-c constraints.txt" in (ROOT / "requirements.txt").read_text().splitlines()


@pytest.mark.parametrize("file", ["constraints.txt", "requirements.txt"])
def test_nothing_is_taken_from_an_address_or_a_file(file: str) -> None:
    for requirement in _requirements(file):
        assert PIN.match(requirement), requirement
        assert "@" not in requirement
        assert "/" not in requirement


def test_every_package_folder_is_installed() -> None:
    listed = set(tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["packages"])
    folders = {
        ".".join(path.relative_to(ROOT).parts[:-1])
        for top in ("registry", "engine", "store", "api", "app")
        for path in (ROOT / top).rglob("*.py")
    }
    assert folders == listed
