"""Nodes share a database, and a migration is alone with it, whatever becomes of the processes."""

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest
from sqlalchemy import Connection, create_engine, text

from engine.errors import StoreRefused, StoreUnavailable
from store import SqlStore, migrate_database, open_store
from store.locks import DatabaseLock, FileLock, succeeds_within
from store.opening import _backend
from store.revisions import upgrade
from tests.factories import NOON, make_job

OPEN_AND_WAIT = """
import sys
from store import open_store
store = open_store(sys.argv[1])
print("there", flush=True)
sys.stdin.read()
store.close()
"""
SHARE_AND_WAIT = """
import sys
from tests.store.test_locks import lock_of
lock = lock_of(sys.argv[1])
assert lock.share()
print("there", flush=True)
sys.stdin.read()
"""
TAKE_FILE_AND_WAIT = """
import fcntl, os, sys
from sqlalchemy import make_url
file = open(make_url(sys.argv[1]).database + ".lock", "r+")
fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
file.write(str(os.getpid()))
print("there", flush=True)
sys.stdin.read()
"""
TAKE_SCHEMA_AND_WAIT = """
import os, sys
from sqlalchemy import create_engine, text
arguments = {"application_name": f"scheduler pid {os.getpid()}"}
connection = create_engine(sys.argv[1], isolation_level="AUTOCOMMIT", connect_args=arguments).connect()
assert connection.scalar(text("SELECT pg_try_advisory_lock(1396918340, hashtext(current_schema()))"))
print("there", flush=True)
sys.stdin.read()
"""
OPEN_AT_ONCE = """
import sys
import store.opening
migrations = []
upgrade = store.opening.upgrade
store.opening.upgrade = lambda connection: (migrations.append(1), upgrade(connection))
print("ready", flush=True)
sys.stdin.readline()
opened = store.opening.open_store(sys.argv[1])
print("opened", len(migrations), flush=True)
sys.stdin.read()
opened.close()
"""
ROOT = Path(__file__).parents[2]


@contextmanager
def waiting_process(script: str, url: str) -> Iterator["subprocess.Popen[bytes]"]:
    """A process that has got where it wanted, and stays there until its input ends."""
    command = [sys.executable, "-c", script, url]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        try:
            assert process.stdout.readline() == b"there\n"
            yield process
        finally:
            process.kill()


def another_process(url: str) -> AbstractContextManager["subprocess.Popen[bytes]"]:
    """A process that has the database open."""
    return waiting_process(OPEN_AND_WAIT, url)


def lock_of(url: str) -> DatabaseLock:
    """A lock on the database, as a store has one."""
    return _backend(url).lock


@pytest.fixture
def first(url: str) -> Iterator[SqlStore]:
    """The store of a scheduler that is running."""
    store = open_store(url)
    yield store
    store.close()


def take_and_wait(url: str) -> str:
    """What an earlier release is to others: a process that has the lock alone."""
    return TAKE_FILE_AND_WAIT if url.startswith("sqlite") else TAKE_SCHEMA_AND_WAIT


def set_back(url: str) -> None:
    """Have the database look as if it had to be migrated."""
    store = open_store(url)
    with store._writing() as connection:
        connection.execute(text("UPDATE scheduler_version SET version_num = '0001'"))
    store.close()


def test_stores_of_one_process_and_of_others_share_a_database(url: str, first: SqlStore) -> None:
    job = make_job()
    first.add_job(job)
    with another_process(url):
        second = open_store(url, lock_wait_seconds=0)
        assert second.job(job.id) == job
        second.close()
        migrate_database(url, lock_wait_seconds=0)
        first.check()
        assert first.delete_all_jobs(at=NOON) == [job.id]


def test_a_migration_is_refused_while_another_process_runs(url: str) -> None:
    set_back(url)
    with waiting_process(SHARE_AND_WAIT, url) as process:
        for start in (open_store, migrate_database):
            with pytest.raises(StoreRefused, match=rf"\(.*pid {process.pid}\) is running on .*Stop all schedulers"):
                start(url, lock_wait_seconds=0.1)


def test_a_migration_is_refused_while_this_process_has_a_store(url: str, first: SqlStore) -> None:
    with first._writing() as connection:
        connection.execute(text("UPDATE scheduler_version SET version_num = '0001'"))
    for start in (open_store, migrate_database):
        with pytest.raises(StoreRefused, match=rf"\(.*pid {os.getpid()}\) is running on .*Stop all schedulers"):
            start(url, lock_wait_seconds=0)
    first.check()
    first.add_job(make_job())


def test_an_earlier_release_that_runs_is_not_joined(url: str) -> None:
    open_store(url).close()
    with waiting_process(take_and_wait(url), url) as process:
        for start in (open_store, migrate_database):
            with pytest.raises(StoreRefused, match=rf"\(.*pid {process.pid}\) .* does not share it"):
                start(url, lock_wait_seconds=0.1)


def test_an_earlier_release_cannot_start_beside_this_one(url: str, first: SqlStore) -> None:
    command = [sys.executable, "-c", take_and_wait(url), url]
    refused = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert ("BlockingIOError" if url.startswith("sqlite") else "AssertionError") in refused.stderr
    first.check()


def test_an_earlier_release_reads_in_the_lock_file_whom_it_met(sqlite_path: Path, sqlite_url: str) -> None:
    store = open_store(sqlite_url)
    assert sqlite_path.with_name(sqlite_path.name + ".lock").read_text().strip() == str(os.getpid())
    store.close()


def test_the_database_can_be_had_alone_once_its_process_was_killed(url: str) -> None:
    with another_process(url) as process:
        process.send_signal(signal.SIGKILL)
        process.wait()
        lock = lock_of(url)
        assert succeeds_within(5, lock.take)
        lock.release()


def test_the_database_can_be_had_alone_once_every_store_was_closed(url: str) -> None:
    stores = [open_store(url) for _ in range(2)]
    lock = lock_of(url)
    for store in stores:
        assert not lock.take()
        store.close()
        store.close()
    assert succeeds_within(5, lock.take)
    assert not lock_of(url).share()
    assert lock.share()
    open_store(url, lock_wait_seconds=0).close()
    lock.release()


def test_a_start_waits_for_a_process_that_does_not_share_to_stop(url: str) -> None:
    open_store(url).close()
    lock = lock_of(url)
    assert lock.take()
    with ThreadPoolExecutor(1) as pool:
        second = pool.submit(open_store, url, lock_wait_seconds=30)
        lock.release()
        second.result().close()


def test_four_processes_that_start_at_once_migrate_once(url: str) -> None:
    command = [sys.executable, "-c", OPEN_AT_ONCE, url]
    processes = [
        subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for _ in range(4)
    ]
    for process in processes:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("\n")
        process.stdin.flush()
    ends = [process.communicate()[0] for process in processes]
    assert sorted(ends) == ["opened 0\n"] * 3 + ["opened 1\n"]


def test_stores_that_are_opened_at_once_in_one_process_migrate_once(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    migrations = []

    def counting(connection: Connection) -> None:
        migrations.append(1)
        upgrade(connection)

    monkeypatch.setattr("store.opening.upgrade", counting)
    with ThreadPoolExecutor(4) as pool:
        stores = [opening.result() for opening in [pool.submit(open_store, url) for _ in range(4)]]
    assert len(migrations) == 1
    for store in stores:
        store.check()
        store.close()


def test_two_names_of_one_file_are_one_database(sqlite_path: Path, tmp_path: Path) -> None:
    lock = FileLock(sqlite_path)
    assert lock.take()
    (tmp_path / "link.db").symlink_to(sqlite_path)
    with pytest.raises(StoreRefused, match="another scheduler process"):
        open_store(f"sqlite:///{tmp_path}/link.db", lock_wait_seconds=0)
    lock.release()


def test_two_files_are_two_databases(tmp_path: Path) -> None:
    stores = [open_store(f"sqlite:///{tmp_path}/{name}.db") for name in "ab"]
    for store in stores:
        store.check()
        store.close()


def test_a_database_that_is_removed_or_replaced_while_in_use_is_noticed(sqlite_path: Path, sqlite_url: str) -> None:
    store = open_store(sqlite_url)
    store.check()
    moved = sqlite_path.rename(sqlite_path.with_name("moved.db"))
    with pytest.raises(StoreUnavailable, match="cannot be found"):
        store.check()
    shutil.copy(moved, sqlite_path)
    with pytest.raises(StoreUnavailable, match="was replaced"):
        store.check()
    moved.rename(sqlite_path)
    store.check()
    store.close()


def test_a_removed_lock_file_is_noticed(sqlite_path: Path, sqlite_url: str) -> None:
    store = open_store(sqlite_url)
    sqlite_path.with_name(sqlite_path.name + ".lock").unlink()
    with pytest.raises(StoreUnavailable, match="was removed"):
        store.check()
    with pytest.raises(StoreRefused, match="was removed while this process used it"):
        open_store(sqlite_url)
    store.close()
    open_store(sqlite_url).close()


def end_connections(url: str) -> None:
    database = create_engine(url, isolation_level="AUTOCOMMIT")
    with database.connect() as connection:
        connection.execute(
            text(
                "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity "
                "WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
        )
    database.dispose()


@pytest.mark.parametrize("driver", ["psycopg", "psycopg2"])
def test_a_store_takes_its_lock_again_after_its_connections_were_cut(postgres_url: str, driver: str) -> None:
    url = postgres_url.replace("+psycopg:", f"+{driver}:")
    store = open_store(url)
    end_connections(url)
    store.check()
    assert not lock_of(postgres_url).take()
    store.close()


def test_a_check_that_comes_after_a_close_does_not_take_the_lock_again(postgres_url: str) -> None:
    first = open_store(postgres_url)
    first.close()
    with pytest.raises(StoreUnavailable, match="closed"):
        first._lock.check()
    lock = lock_of(postgres_url)
    assert succeeds_within(5, lock.take)
    lock.release()


def test_a_store_whose_database_another_took_for_itself_meanwhile_says_so(postgres_url: str) -> None:
    store = open_store(postgres_url)
    end_connections(postgres_url)
    lock = lock_of(postgres_url)
    assert lock.take()
    for _ in range(2):
        with pytest.raises(StoreUnavailable, match="another scheduler process took over"):
            store.check()
    lock.release()
    store.check()
    store.close()


def test_a_store_whose_database_is_of_another_release_after_a_cut_says_so(postgres_url: str) -> None:
    store = open_store(postgres_url)
    with store._writing() as connection:
        connection.execute(text("UPDATE scheduler_version SET version_num = '9001'"))
    store.check()
    end_connections(postgres_url)
    for _ in range(2):
        with pytest.raises(StoreUnavailable, match="brought to another release meanwhile"):
            store.check()
    lock = lock_of(postgres_url)
    assert succeeds_within(5, lock.take)
    lock.release()
    store.close()
