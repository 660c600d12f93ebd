"""What the store says when the database does not do as asked."""

import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from contextlib import closing
from pathlib import Path

import pytest

from engine.errors import StoreUnavailable
from store import SqlStore, open_store
from tests.factories import NOON, make_advance, make_job, make_node, make_outcome, make_run
from tests.store.test_calendars import holidays
from tests.store.test_locks import ROOT, end_connections

VERBS: list[Callable[[SqlStore], object]] = [
    lambda store: store.add_job(make_job()),
    lambda store: store.job(make_job().id),
    lambda store: store.advance([make_advance(make_job())]),
    lambda store: store.finish([make_outcome(make_run())]),
    lambda store: list(store.due_hints()),
    lambda store: store.add_calendar(holidays()),
    lambda store: store.check(),
]


@pytest.fixture
def lock_of_another_program(sqlite_path: Path, sqlite_url: str) -> Iterator[sqlite3.Connection]:
    """A shell in which someone left a transaction open."""
    open_store(sqlite_url).close()
    with closing(sqlite3.connect(sqlite_path, isolation_level=None)) as connection:
        yield connection


@pytest.mark.parametrize("verb", VERBS)
def test_a_closed_store_does_nothing(url: str, verb: Callable[[SqlStore], object]) -> None:
    store = open_store(url)
    store.close()
    with pytest.raises(StoreUnavailable, match="the store is closed"):
        verb(store)


def test_a_locked_file_is_unavailable_and_then_available_again(
    sqlite_url: str, lock_of_another_program: sqlite3.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("store.sqlite.BUSY_SECONDS", 0.01)
    store = open_store(sqlite_url)
    job = make_job()
    lock_of_another_program.execute("BEGIN IMMEDIATE")
    with pytest.raises(StoreUnavailable, match="database is locked"):
        store.add_job(job)
    assert store.job(job.id) is None  # reading goes on
    lock_of_another_program.execute("ROLLBACK")
    store.add_job(job)
    assert store.job(job.id) == job
    store.close()


@pytest.mark.parametrize(
    ("limit", "verb"),
    [
        ("store.shared_commits.WAIT_SECONDS", lambda store: store.add_job(make_job())),
        ("store.sqlite.POOL_WAIT_SECONDS", lambda store: store.node_started(make_node())),
    ],
)
def test_a_writer_waits_for_the_one_before_it_only_so_long(
    sqlite_url: str,
    lock_of_another_program: sqlite3.Connection,
    monkeypatch: pytest.MonkeyPatch,
    limit: str,
    verb: Callable[[SqlStore], object],
) -> None:
    monkeypatch.setattr("store.sqlite.BUSY_SECONDS", 60)
    monkeypatch.setattr(limit, 0.01)
    store = open_store(sqlite_url)
    lock_of_another_program.execute("BEGIN IMMEDIATE")
    with ThreadPoolExecutor(2) as pool:
        writes = [pool.submit(verb, store) for _ in range(2)]
        (refused,), (waiting,) = wait(writes, return_when=FIRST_COMPLETED)
        assert isinstance(refused.exception(), StoreUnavailable)
        assert "no database connection came free in time" in str(refused.exception())
        lock_of_another_program.execute("ROLLBACK")
        waiting.result()
    kept = len(store.views.jobs_page(after=None, limit=10)) + len(store.views.latest_nodes(limit=10))
    assert kept == 1
    store.close()


def test_what_the_database_said_is_kept_and_what_was_stored_is_not(
    sqlite_url: str, lock_of_another_program: sqlite3.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("store.sqlite.BUSY_SECONDS", 0.01)
    store = open_store(sqlite_url)
    lock_of_another_program.execute("BEGIN IMMEDIATE")
    with pytest.raises(StoreUnavailable) as raised:
        store.add_job(make_job(metadata={"password": "hunter2"}))
    assert "database is locked" in str(raised.value.__cause__)
    assert "hunter2" not in f"{raised.value} {raised.value.__cause__}"
    store.close()


@pytest.mark.parametrize("verb", VERBS)
@pytest.mark.parametrize("driver", ["psycopg", "psycopg2"])
def test_cut_connections_are_replaced(postgres_url: str, driver: str, verb: Callable[[SqlStore], object]) -> None:
    store = open_store(postgres_url.replace("+psycopg:", f"+{driver}:"))
    store.add_job(make_job())
    end_connections(postgres_url)
    verb(store)
    store.close()


@pytest.mark.parametrize("driver", ["psycopg", "psycopg2"])
def test_both_drivers_do_the_whole_round(postgres_url: str, driver: str) -> None:
    store = open_store(postgres_url.replace("+psycopg:", f"+{driver}:"))
    jobs = [make_job() for _ in range(150)]
    for job in jobs:
        store.add_job(job)
    advances = [make_advance(job) for job in jobs]
    runs = [run for run in store.advance(advances).values() if run is not None]
    assert len(runs) == 150
    assert store.finish([make_outcome(run, result_json="[1]") for run in runs]).late == set()
    assert {run.result[0] for run in store.views.runs_page(job_id=None, state=None, before=None, limit=200)} == {1}
    assert {hint.version for hint in store.due_hints()} == {2}
    assert len(store.overdue_job_ids(due_before=NOON, after=None, limit=200)) == 0
    assert len(store.delete_all_jobs(at=NOON) or ()) == 150
    store.close()


FILL_THE_DISK = """
import resource, sys
from pathlib import Path
from engine.errors import StoreUnavailable
from store import open_store
from tests.factories import make_job

store = open_store(sys.argv[1])
kept = [make_job() for _ in range(5)]
for job in kept:
    store.add_job(job)
_, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
resource.setrlimit(resource.RLIMIT_FSIZE, (Path(sys.argv[2]).stat().st_size, hard))
refused = make_job(metadata={"text": "x" * 60_000})
try:
    store.add_job(refused)
except StoreUnavailable as error:
    print(error)
resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
store.add_job(make_job())
print(len(store.views.jobs_page(after=None, limit=10)), store.job(refused.id))
store.close()
"""


def test_a_full_disk_is_unavailable_and_costs_nothing_that_was_kept(sqlite_path: Path, sqlite_url: str) -> None:
    command = [sys.executable, "-c", FILL_THE_DISK, sqlite_url, f"{sqlite_path}-wal"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    said, kept = done.stdout.splitlines()
    assert said.startswith("the database did not do as asked:")
    assert kept == "6 None"
