"""An empty registry for each test, and packages of job modules that are written as the test goes."""

import importlib
import sys
from collections.abc import Iterator
from pathlib import Path
from textwrap import dedent
from uuid import uuid4

import pytest

from registry import JOB_REGISTRY, FunctionRegistry


class Sources:
    """A package below a folder of the import path. Its name is used once, so nothing of it is imported yet."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.name = f"jobs_{uuid4().hex}"
        self.write("__init__.py")

    def write(self, path: str, text: str = "") -> Path:
        """Write a module at `path` within the package."""
        file = self.folder / self.name / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(dedent(text))
        importlib.invalidate_caches()
        return file


@pytest.fixture
def known(monkeypatch: pytest.MonkeyPatch) -> FunctionRegistry:
    """JOB_REGISTRY, empty for this test and as it was after it."""
    monkeypatch.setattr(JOB_REGISTRY, "_functions", {})
    return JOB_REGISTRY


@pytest.fixture
def sources(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, known: FunctionRegistry) -> Iterator[Sources]:
    """An empty package on the import path."""
    monkeypatch.syspath_prepend(str(tmp_path))
    sources = Sources(tmp_path)
    yield sources
    for module in [name for name in sys.modules if name.startswith(sources.name)]:
        del sys.modules[module]
