"""A node over a real SQLite file, under a manual clock."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from store import SqlStore
from tests.databases import open_new_store
from tests.fakes import Node


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SqlStore]:
    opened = open_new_store(tmp_path)
    yield opened
    opened.close()


@pytest.fixture
def node(store: SqlStore) -> Iterator[Node]:
    started = Node(store).start()
    yield started
    started.stop()
