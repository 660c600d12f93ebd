"""The steps that make the tables, and that they make what the code believes to be there."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import Engine, create_engine, inspect, text

from engine.errors import StoreRefused
from store import migrate_database, open_store
from store.revisions import VERSION_TABLE, upgrade
from store.sqlite import SqliteBackend
from store.tables import metadata
from tests.factories import make_job


@pytest.fixture
def database(url: str) -> Iterator[Engine]:
    """A plain connection of ours to a migrated database."""
    migrate_database(url)
    database = create_engine(url)
    yield database
    database.dispose()


def test_the_migrations_make_the_tables_of_the_code(database: Engine) -> None:
    with database.connect() as connection:
        context = MigrationContext.configure(
            connection, opts={"version_table": VERSION_TABLE, "compare_server_default": True}
        )
        assert compare_metadata(context, metadata) == []


def test_both_databases_have_the_same_indexes(database: Engine) -> None:
    found = inspect(database)
    indexes = {index["name"]: index["unique"] for table in metadata.tables for index in found.get_indexes(table)}
    assert {name for name, is_unique in indexes.items() if is_unique} == {"runs_one_per_slot", "api_keys_by_prefix"}
    assert set(indexes) == {index.name for table in metadata.tables.values() for index in table.indexes}


def test_history_refers_to_no_job(database: Engine) -> None:
    assert inspect(database).get_foreign_keys("runs") == []


def test_migrating_again_changes_nothing(url: str) -> None:
    migrate_database(url)
    job = make_job()
    store = open_store(url)
    store.add_job(job)
    store.close()
    migrate_database(url)
    store = open_store(url)
    assert store.job(job.id) == job
    store.close()


def test_a_migration_that_is_cut_short_leaves_nothing(sqlite_path: Path) -> None:
    database = SqliteBackend(sqlite_path).writing_database()
    with database.connect() as connection:
        connection.begin()
        upgrade(connection)
        connection.rollback()
    assert inspect(database).get_table_names() == []
    database.dispose()


def test_a_migration_that_fails_leaves_nothing_and_lets_go_of_the_lock(postgres_url: str) -> None:
    database = create_engine(postgres_url)
    with database.begin() as connection:
        connection.execute(text("CREATE SEQUENCE runs_in_state"))  # takes the name of the last index
    with pytest.raises(StoreRefused, match="runs_in_state"):
        open_store(postgres_url)
    assert inspect(database).get_table_names() == []
    with database.begin() as connection:
        connection.execute(text("DROP SEQUENCE runs_in_state"))
    open_store(postgres_url, lock_wait_seconds=0).close()
    database.dispose()
