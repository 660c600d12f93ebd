"""Databases of earlier releases: a start brings them to this one with all that they hold, or leaves them alone."""

import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from alembic import command
from sqlalchemy import Engine, create_engine, inspect, make_url
from sqlalchemy.exc import IntegrityError

from engine.errors import SchedulerError
from engine.nouns import Job, Run
from engine.recovery import lose_abandoned_runs
from engine.timing import Timing
from store import SqlStore, migrate_database, open_store
from store.postgresql import PostgresqlBackend
from store.revisions import configuration, upgrade
from store.sqlite import SqliteBackend
from tests.factories import NOON, make_advance, make_job
from tests.store.release_0001 import (
    CRON_JOB,
    INSERT_JOB,
    INSERT_RUN,
    INTERVAL_JOB,
    METADATA,
    RUN,
    RUNNING,
    job_row,
    run_row,
)
from tests.store.test_locks import ROOT


def writing_database(url: str) -> Engine:
    """The connections that a start migrates with."""
    parsed = make_url(url)
    if parsed.get_backend_name() == "sqlite":
        return SqliteBackend(Path(parsed.database or "")).writing_database()
    return PostgresqlBackend(parsed).writing_database()


@pytest.fixture
def old(url: str) -> Iterator[Engine]:
    """A plain connection to a database of release 0001, with each column of its tables filled in some row."""
    writing = writing_database(url)
    with writing.begin() as connection:
        command.upgrade(configuration(connection), "0001")
        connection.execute(INSERT_JOB, [job_row(INTERVAL_JOB, METADATA), job_row(CRON_JOB, "{}")])
        connection.execute(INSERT_RUN, [run_row(RUN, '[{"a": null}]'), run_row(RUNNING, None)])
    writing.dispose()
    database = create_engine(url)
    yield database
    database.dispose()


def downgrade(url: str) -> None:
    writing = writing_database(url)
    try:
        with writing.begin() as connection:
            command.downgrade(configuration(connection), "0001")
    finally:
        writing.dispose()


def rows(database: Engine, table: str, columns: str = "*") -> list[tuple[Any, ...]]:
    """As the driver gives them, each with its type: 1 and 1.0 are not the same."""
    with database.connect() as connection:
        found = connection.exec_driver_sql(f"SELECT {columns} FROM {table} ORDER BY 1").all()
    return [tuple((type(value), value) for value in row) for row in found]


def indexes(database: Engine) -> set[tuple[Any, ...]]:
    """Of the tables that there were in 0001, in the words of the database."""
    question = (
        "SELECT name, sql FROM sqlite_master WHERE type = 'index' AND sql IS NOT NULL"
        if database.dialect.name == "sqlite"
        else "SELECT indexname, indexdef FROM pg_indexes WHERE schemaname = current_schema() "
        "AND tablename NOT IN ('calendars', 'run_logs')"
    )
    with database.connect() as connection:
        return {tuple(row) for row in connection.exec_driver_sql(question)}


def everything(database: Engine) -> object:
    found = inspect(database)
    tables = sorted(found.get_table_names())
    constraints = [(each["name"], each["sqltext"]) for each in found.get_check_constraints("jobs")]
    columns = {table: [str(column) for column in found.get_columns(table)] for table in tables}
    return columns, {table: rows(database, table) for table in tables}, indexes(database), constraints


def old_columns(database: Engine, table: str = "jobs") -> str:
    return ", ".join(column["name"] for column in inspect(database).get_columns(table))


def kept_by(store: SqlStore) -> tuple[list[Job], list[Run]]:
    jobs = sorted(store.views.jobs_page(after=None, limit=10), key=lambda job: job.id)
    return jobs, store.views.runs_page(job_id=None, state=None, before=None, limit=10)


def test_jobs_and_runs_are_what_they_were(old: Engine, url: str) -> None:
    store = open_store(url)
    assert kept_by(store) == (
        [INTERVAL_JOB, CRON_JOB],
        [RUNNING, RUN],
    )
    store.close()


def test_every_value_that_was_there_is_there_to_the_letter(old: Engine, url: str) -> None:
    columns = {table: old_columns(old, table) for table in ("jobs", "runs")}
    before = {table: rows(old, table, names) for table, names in columns.items()}
    migrate_database(url)
    assert {table: rows(old, table, names) for table, names in columns.items()} == before


def test_the_indexes_are_what_they_were(old: Engine, url: str) -> None:
    before = indexes(old)
    migrate_database(url)
    assert indexes(old) > before
    assert {"jobs_due", "jobs_listed", "runs_one_per_slot"} < {name for name, _ in before}


def test_jobs_that_were_there_are_claimed_and_edited(old: Engine, url: str) -> None:
    store = open_store(url)
    assert lose_abandoned_runs(store, now=NOON)[0] == 1
    advance = make_advance(INTERVAL_JOB)
    assert store.advance([advance]) == {INTERVAL_JOB.id: advance.run}
    claimed = store.job(INTERVAL_JOB.id)
    assert claimed is not None
    assert (claimed.run_count, claimed.next_run_at) == (1, advance.next_run_at)
    edited = replace(CRON_JOB, timing=Timing(run_at=NOON, max_runs=1), version=2)
    assert store.replace_job(edited, expected_version=1, dropped=None)
    assert store.job(CRON_JOB.id) == edited
    store.close()


def test_no_value_is_given_to_a_column_by_the_database(old: Engine, url: str) -> None:
    migrate_database(url)
    assert {column["default"] for column in inspect(old).get_columns("jobs")} == {None}


def test_the_way_back_leaves_what_was_there_before(old: Engine, url: str) -> None:
    columns, before = old_columns(old), everything(old)
    migrate_database(url)
    downgrade(url)
    assert old_columns(old) == columns
    assert everything(old) == before
    store = open_store(url)
    assert kept_by(store)[0] == [INTERVAL_JOB, CRON_JOB]
    store.close()


def test_there_is_no_way_back_for_a_job_with_a_date(old: Engine, url: str) -> None:
    store = open_store(url)
    dated = make_job(run_at=NOON)
    store.add_job(dated)
    store.close()
    before = everything(old)
    with pytest.raises(IntegrityError):
        downgrade(url)
    assert everything(old) == before
    store = open_store(url)
    assert store.job(dated.id) == dated
    store.close()


def test_an_upgrade_that_fails_at_its_end_changes_nothing(old: Engine, url: str) -> None:
    with old.begin() as connection:
        connection.exec_driver_sql("CREATE TABLE calendars (theirs INTEGER)")
    before = everything(old)
    with pytest.raises(SchedulerError, match="calendars"):
        open_store(url)
    assert everything(old) == before
    with old.begin() as connection:
        connection.exec_driver_sql("DROP TABLE calendars")
    migrate_database(url)
    assert rows(old, "calendars") == []


def test_an_upgrade_that_is_not_committed_changes_nothing(old: Engine, url: str) -> None:
    before = everything(old)
    writing = writing_database(url)
    with writing.connect() as connection:
        connection.begin()
        upgrade(connection)
        connection.rollback()
    writing.dispose()
    assert everything(old) == before
    migrate_database(url)
    assert everything(old) != before


UPGRADE_AND_DIE = """
import os, signal, sys
from store.revisions import upgrade
from tests.store.test_upgrades import writing_database

with writing_database(sys.argv[1]).begin() as connection:
    upgrade(connection)
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_an_upgrade_whose_process_is_killed_changes_nothing(old: Engine, url: str) -> None:
    large = [
        job_row(replace(CRON_JOB, id=UUID(int=number)), f'{{"text": "{"x" * 4_000}"}}') for number in range(100, 1_100)
    ]  # more than a connection keeps in memory, so that a part of the new table is in the file already
    with old.begin() as connection:
        connection.execute(INSERT_JOB, large)
    before = everything(old)
    done = subprocess.run([sys.executable, "-c", UPGRADE_AND_DIE, url], cwd=ROOT, check=False)
    assert done.returncode == -signal.SIGKILL
    assert everything(old) == before
    store = open_store(url)
    assert len(store.views.jobs_page(after=None, limit=2_000)) == 1_002
    store.close()


@pytest.mark.parametrize("url", ["sqlite"], indirect=True)
def test_what_a_team_has_built_around_the_table_is_there_afterwards(old: Engine, url: str) -> None:
    theirs = {
        "by_function": "CREATE INDEX by_function ON jobs (function_name) WHERE status = 'active'",
        "report": "CREATE VIEW report AS SELECT jobs.name, runs.state FROM jobs JOIN runs ON runs.job_id = jobs.id",
        "audit": "CREATE TABLE audit (job_id CHAR(32) REFERENCES jobs (id), note TEXT)",
        "watch": "CREATE TRIGGER watch AFTER INSERT ON jobs BEGIN INSERT INTO audit VALUES (new.id, 'new: :x'); END",
    }
    with old.begin() as connection:
        for statement in theirs.values():
            connection.exec_driver_sql(statement)
    migrate_database(url)
    with old.connect() as connection:
        found: dict[str, str] = dict(connection.exec_driver_sql("SELECT name, sql FROM sqlite_master").all())
        assert {name: found[name] for name in theirs} == theirs
        assert "jobs_before" not in found
        assert connection.exec_driver_sql("SELECT count(*) FROM report").scalar() == 2
        assert connection.exec_driver_sql("SELECT count(*) FROM audit").scalar() == 0
        assert connection.exec_driver_sql("PRAGMA integrity_check").all() == [("ok",)]
    store = open_store(url)
    store.add_job(make_job())
    store.close()
    assert len(rows(old, "audit")) == 1
