"""How connections are set up: durable, isolated, and unable to wait for ever."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import Engine, make_url, text
from sqlalchemy.exc import OperationalError

from store import migrate_database
from store.postgresql import PostgresqlBackend
from store.sqlite import SqliteBackend


@pytest.fixture
def sqlite(sqlite_path: Path, sqlite_url: str) -> Iterator[tuple[Engine, Engine]]:
    migrate_database(sqlite_url)
    backend = SqliteBackend(sqlite_path)
    databases = backend.writing_database(), backend.reading_database()
    yield databases
    for database in databases:
        database.dispose()


@pytest.fixture(params=["psycopg", "psycopg2"])
def postgresql(request: pytest.FixtureRequest, postgres_url: str) -> Iterator[Engine]:
    url = postgres_url.replace("+psycopg:", f"+{request.param}:")
    database = PostgresqlBackend(make_url(url)).writing_database()
    yield database
    database.dispose()


@pytest.mark.parametrize(("pragma", "expected"), [("journal_mode", "wal"), ("synchronous", 2), ("busy_timeout", 5000)])
def test_sqlite_writes_are_durable_and_wait(sqlite: tuple[Engine, Engine], pragma: str, expected: object) -> None:
    with sqlite[0].connect() as connection:
        assert connection.execute(text(f"PRAGMA {pragma}")).scalar() == expected


def test_a_sqlite_transaction_has_the_write_lock_from_its_first_moment(
    sqlite: tuple[Engine, Engine], sqlite_path: Path
) -> None:
    with closing(sqlite3.connect(sqlite_path, timeout=0)) as other:
        writing = sqlite[0].begin()
        with writing, pytest.raises(sqlite3.OperationalError, match="locked"):  # it has done nothing yet
            other.execute("DELETE FROM runs")


def test_sqlite_readers_cannot_write(sqlite: tuple[Engine, Engine]) -> None:
    with sqlite[1].connect() as connection, pytest.raises(OperationalError, match="readonly"):
        connection.execute(text("DELETE FROM runs"))


def test_sqlite_readers_see_one_state_throughout_a_transaction(sqlite: tuple[Engine, Engine]) -> None:
    writing, reading = sqlite
    count = text("SELECT count(*) FROM scheduler_version")
    with reading.begin() as reader:
        before = reader.execute(count).scalar()
        with writing.begin() as writer:
            writer.execute(text("INSERT INTO scheduler_version VALUES ('other')"))
        assert reader.execute(count).scalar() == before


@pytest.mark.parametrize(
    ("setting", "expected"),
    [
        ("statement_timeout", "8s"),
        ("lock_timeout", "5s"),
        ("tcp_keepalives_idle", "0"),  # a socket of this host has none
        ("idle_in_transaction_session_timeout", "8s"),
        ("TimeZone", "UTC"),
        ("transaction_isolation", "read committed"),
    ],
)
def test_postgresql_connections_have_their_settings(postgresql: Engine, setting: str, expected: str) -> None:
    with postgresql.connect() as connection:
        assert connection.execute(text(f"SHOW {setting}")).scalar() == expected


def test_postgresql_means_psycopg_3(postgres_url: str) -> None:
    backend = PostgresqlBackend(make_url(postgres_url.replace("+psycopg:", ":")))
    assert backend.writing_database().driver == "psycopg"


def test_what_the_url_says_itself_wins(postgres_url: str) -> None:
    url = make_url(f"{postgres_url}%20-cstatement_timeout%3D7s&application_name=mine")
    database = PostgresqlBackend(url).writing_database()
    with database.connect() as connection:
        assert connection.execute(text("SHOW statement_timeout")).scalar() == "7s"
        assert connection.execute(text("SHOW application_name")).scalar() == "mine"
    database.dispose()
