"""Reads that do not wait: they answer, or say that they would have to."""

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Connection, text

from engine.errors import StoreUnavailable
from store import SqlStore, WouldWait, migrate_database, open_store
from store.prompt_reads import PromptReads
from store.sqlite import SqliteBackend
from tests.factories import make_job

ONE = text("SELECT 1")
EXCLUSIVELY = ("PRAGMA locking_mode=EXCLUSIVE", "BEGIN IMMEDIATE", "COMMIT")


@pytest.fixture
def reads(sqlite_path: Path, sqlite_url: str) -> Iterator[PromptReads]:
    migrate_database(sqlite_url)
    reads = PromptReads(SqliteBackend(sqlite_path).prompt_database())
    yield reads
    reads.close()


def is_there(connection: Connection) -> bool:
    return connection.execute(text("SELECT count(*) FROM jobs")).scalar() == 0


def test_what_is_committed_is_read_with_the_next_read(sqlite_url: str) -> None:
    store = open_store(sqlite_url)
    at_once = store.views.at_once
    assert at_once is not None
    job = make_job()
    assert at_once.job(job.id) is None

    store.add_job(job)

    assert at_once.job(job.id) == job
    store.close()


def test_nothing_can_be_written(reads: PromptReads) -> None:
    with pytest.raises(WouldWait), reads.reading() as connection:
        connection.execute(text("DELETE FROM runs"))


def test_a_second_thread_does_not_wait_for_the_first(reads: PromptReads) -> None:
    refused: list[WouldWait] = []

    def read() -> None:
        try:
            with reads.reading():
                pass
        except WouldWait as error:
            refused.append(error)

    with reads.reading():
        thread = threading.Thread(target=read)
        thread.start()
        thread.join()

    assert len(refused) == 1
    with reads.reading() as connection:
        assert is_there(connection)


def test_a_file_that_another_program_keeps_for_itself_is_not_waited_for(sqlite_path: Path, sqlite_url: str) -> None:
    migrate_database(sqlite_url)
    backend = SqliteBackend(sqlite_path)
    reads = PromptReads(backend.prompt_database())
    keeping = backend.writing_database()
    with keeping.connect() as other:
        driver = other.connection.driver_connection
        assert driver is not None
        for statement in EXCLUSIVELY:
            driver.execute(statement)
        with pytest.raises(WouldWait), reads.reading() as connection:
            is_there(connection)
        other.invalidate()

    with reads.reading() as connection:
        assert is_there(connection)
    reads.close()
    keeping.dispose()


def test_after_an_error_the_next_read_has_a_new_connection(reads: PromptReads) -> None:
    with reads.reading() as connection:
        first = connection
    with pytest.raises(WouldWait), reads.reading() as connection:
        connection.execute(text("SELECT * FROM no_such_table"))

    with reads.reading() as connection:
        assert connection is not first
        assert connection.execute(ONE).scalar() == 1


def test_a_closed_store_reads_nothing_any_more(sqlite_url: str) -> None:
    store = open_store(sqlite_url)
    at_once = store.views.at_once
    assert at_once is not None
    at_once.job(make_job().id)
    store.close()

    with pytest.raises(WouldWait):
        at_once.job(make_job().id)
    with pytest.raises(StoreUnavailable):
        store.views.job(make_job().id)


def test_a_server_is_always_waited_for(postgres_store: SqlStore) -> None:
    assert postgres_store.views.at_once is None
