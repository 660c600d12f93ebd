"""One scheduler process on one database, whatever becomes of the others."""

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest
from sqlalchemy import create_engine, text

from engine.errors import StoreRefused, StoreUnavailable
from store import SqlStore, migrate_database, open_store
from tests.factories import make_job

OPEN_AND_WAIT = """
import sys
from store import open_store
store = open_store(sys.argv[1])
print("open", flush=True)
sys.stdin.read()
store.close()
"""
ROOT = Path(__file__).parents[2]


@contextmanager
def another_process(url: str) -> Iterator["subprocess.Popen[bytes]"]:
    """A process that has the database open until its input ends."""
    command = [sys.executable, "-c", OPEN_AND_WAIT, url]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"open\n"
        try:
            yield process
        finally:
            process.kill()


@pytest.fixture
def first(url: str) -> Iterator[SqlStore]:
    """The store of a scheduler that is running."""
    store = open_store(url)
    yield store
    store.close()


def test_a_second_store_in_the_same_process_is_refused_and_leaves_the_first_alone(url: str, first: SqlStore) -> None:
    for start in (open_store, migrate_database, open_store):
        with pytest.raises(StoreRefused, match=rf"another scheduler process \(.*pid {os.getpid()}\) is running on"):
            start(url, lock_wait_seconds=0)
    first.check()
    first.add_job(make_job())


def test_a_second_process_is_refused_and_told_which_is_the_first(url: str) -> None:
    with another_process(url) as process, pytest.raises(StoreRefused, match=rf"\(.*pid {process.pid}\) is running on"):
        open_store(url, lock_wait_seconds=0.1)


def test_a_refused_process_does_not_take_the_lock_from_the_first(url: str, first: SqlStore) -> None:
    command = [
        sys.executable,
        "-c",
        "import sys; from store import open_store; open_store(sys.argv[1], lock_wait_seconds=0)",
    ]
    for _ in range(2):
        refused = subprocess.run([*command, url], cwd=ROOT, capture_output=True, text=True, check=False)
        assert f"pid {os.getpid()}) is running on" in refused.stderr
    first.check()


def test_the_lock_is_free_once_its_process_was_killed(url: str) -> None:
    with another_process(url) as process:
        process.send_signal(signal.SIGKILL)
        process.wait()
        open_store(url).close()


def test_the_lock_is_free_once_the_store_was_closed(url: str) -> None:
    for _ in range(2):
        store = open_store(url, lock_wait_seconds=0)
        store.close()
        store.close()


def test_a_start_waits_for_the_process_before_it_to_stop(url: str) -> None:
    first = open_store(url)
    with ThreadPoolExecutor(1) as pool:
        second = pool.submit(open_store, url, lock_wait_seconds=30)
        first.close()
        second.result().close()


def test_two_names_of_one_file_are_one_database(sqlite_path: Path, tmp_path: Path) -> None:
    store = open_store(f"sqlite:///{sqlite_path}")
    (tmp_path / "link.db").symlink_to(sqlite_path)
    with pytest.raises(StoreRefused, match="another scheduler process"):
        open_store(f"sqlite:///{tmp_path}/link.db", lock_wait_seconds=0)
    store.close()


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
    store.close()


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
    with pytest.raises(StoreRefused):
        open_store(url, lock_wait_seconds=0)
    store.close()


def test_a_check_that_comes_after_a_close_does_not_take_the_lock_again(postgres_url: str) -> None:
    first = open_store(postgres_url)
    first.close()
    with pytest.raises(StoreUnavailable, match="closed"):
        first._lock.check()
    open_store(postgres_url, lock_wait_seconds=0).close()


def test_a_store_whose_lock_another_took_meanwhile_says_so(postgres_url: str) -> None:
    first = open_store(postgres_url)
    end_connections(postgres_url)
    second = open_store(postgres_url)
    for _ in range(2):
        with pytest.raises(StoreUnavailable, match="another scheduler process took over"):
            first.check()
    first.close()
    second.check()
    second.close()
