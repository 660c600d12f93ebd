"""Databases for tests: migrated once, then copied, as migrating takes longer than most of the tests."""

import shutil
import tempfile
from functools import cache
from pathlib import Path

from store import SqlStore, open_store


def open_new_store(folder: Path) -> SqlStore:
    """A store over an empty database of its own."""
    shutil.copy(_migrated(), folder / "scheduler.db")
    return open_store(f"sqlite:///{folder}/scheduler.db")


@cache
def _migrated() -> Path:
    path = Path(tempfile.mkdtemp()) / "template.db"
    open_store(f"sqlite:///{path}").close()
    return path
