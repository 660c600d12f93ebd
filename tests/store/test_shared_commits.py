"""Transactions that share a commit: each is done or refused by itself, and none is told so before the commit."""

import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing, contextmanager
from functools import partial
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import Connection, create_engine, event, text
from sqlalchemy.exc import IntegrityError, OperationalError

from engine.errors import StoreUnavailable
from store import SqlStore, open_store
from store.shared_commits import PARTS_AT_MOST, SharedCommits
from tests.factories import make_job
from tests.store.test_locks import ROOT

THREADS = 8


class Ledger:
    """A table of numbers, and what is committed of it. A commit may be held back, or made to fail."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.commits = 0
        self.begins = 0
        self.fails: Exception | None = None
        self.may_begin, self.may_commit = threading.Event(), threading.Event()
        self.may_begin.set()
        self.may_commit.set()
        self._database = create_engine(
            f"sqlite:///{path}", connect_args={"check_same_thread": False}, pool_size=1, max_overflow=0
        )
        event.listen(self._database, "connect", lambda connection, _: setattr(connection, "isolation_level", None))
        event.listen(self._database, "begin", lambda connection: connection.exec_driver_sql("BEGIN IMMEDIATE"))
        with self._database.begin() as connection:
            connection.execute(text("CREATE TABLE numbers (number INTEGER PRIMARY KEY)"))
        self.shared = SharedCommits(self._transaction)

    @contextmanager
    def _transaction(self) -> Iterator[Connection]:
        self.begins += 1
        assert self.may_begin.wait(10)
        if self.fails is not None and not self.may_commit.is_set():
            raise self.fails
        with self._database.begin() as connection:
            yield connection
            assert self.may_commit.wait(10)
            if self.fails is not None:
                raise self.fails
        self.commits += 1

    def write(self, number: int) -> None:
        with self.shared.joined() as connection:
            connection.execute(text("INSERT INTO numbers VALUES (:number)"), {"number": number})

    def kept(self) -> list[int]:
        with closing(sqlite3.connect(self._path)) as connection:
            return [number for (number,) in connection.execute("SELECT number FROM numbers ORDER BY number")]

    def close(self) -> None:
        self._database.dispose()


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    ledger = Ledger(tmp_path / "ledger.db")
    yield ledger
    ledger.close()


@contextmanager
def together(ledger: Ledger, *works: Callable[[], object]) -> Iterator[list[Future[object]]]:
    """All of the works, each in a thread, in one transaction, which is committed in here."""
    with ThreadPoolExecutor(len(works)) as pool:
        ledger.may_begin.clear()
        started: list[Future[object]] = []
        for number, work in enumerate(works):
            started.append(pool.submit(work))
            await_(partial(_is_in_line, ledger, number))
        ledger.may_begin.set()
        yield started


def _is_in_line(ledger: Ledger, behind: int) -> bool:
    return ledger.begins == 1 and len(ledger.shared._waiting) == behind


def await_(is_so: Callable[[], bool]) -> None:
    """Wait for what other threads are just doing."""
    waiting = threading.Event()
    for _ in range(5_000):
        if is_so():
            return
        waiting.wait(0.002)
    raise AssertionError("it did not come to that")


def test_what_comes_while_another_works_is_committed_with_it(ledger: Ledger) -> None:
    with together(ledger, *[partial(ledger.write, number) for number in range(THREADS)]) as writes:
        for write in writes:
            write.result(10)

    assert ledger.kept() == list(range(THREADS))
    assert ledger.commits == 1


def test_one_alone_is_committed_at_once(ledger: Ledger) -> None:
    for number in range(3):
        ledger.write(number)

    assert ledger.kept() == [0, 1, 2]
    assert ledger.commits == 3


def test_nobody_is_told_before_the_commit(ledger: Ledger) -> None:
    ledger.may_commit.clear()
    with together(ledger, lambda: ledger.write(1), lambda: ledger.write(1), lambda: ledger.write(2)) as writes:
        await_(lambda: ledger.shared._group is None)
        # Not even the one that is refused: it is so by something that is not in force yet.
        assert [write.done() for write in writes] == [False, False, False]
        ledger.may_commit.set()

    assert writes[0].exception() is None
    assert isinstance(writes[1].exception(), IntegrityError)
    assert writes[2].exception() is None


@pytest.mark.parametrize("place", [0, 1, THREADS - 1])
def test_a_refused_one_leaves_no_trace_and_undoes_no_other(ledger: Ledger, place: int) -> None:
    def refuse() -> None:
        with ledger.shared.joined() as connection:
            connection.execute(text("INSERT INTO numbers VALUES (100)"))
            raise LookupError("refused")

    works: list[Callable[[], object]] = [partial(ledger.write, number) for number in range(THREADS - 1)]
    works.insert(place, refuse)
    with together(ledger, *works) as writes:
        pass

    assert ledger.kept() == list(range(THREADS - 1))
    assert [isinstance(write.exception(), LookupError) for write in writes] == [n == place for n in range(THREADS)]


def test_a_commit_that_fails_fails_all(ledger: Ledger) -> None:
    ledger.fails = StoreUnavailable("the disk is full")
    with together(ledger, *[partial(ledger.write, number) for number in range(THREADS)]) as writes:
        pass

    assert ledger.kept() == []
    assert {repr(write.exception()) for write in writes} == {"StoreUnavailable('the disk is full')"}
    # Each has its own: one exception that several threads raise would collect the frames of all.
    assert len({id(write.exception()) for write in writes}) == THREADS
    ledger.fails = None
    ledger.write(1)
    assert ledger.kept() == [1]


def test_a_refusal_by_what_is_then_not_committed_is_none(ledger: Ledger) -> None:
    ledger.fails = StoreUnavailable("the disk is full")
    with together(ledger, lambda: ledger.write(1), lambda: ledger.write(1)) as writes:
        pass

    assert isinstance(writes[1].exception(), StoreUnavailable)


def test_what_cannot_begin_fails_all_that_wait(ledger: Ledger) -> None:
    ledger.fails = StoreUnavailable("database is locked")
    ledger.may_commit.clear()
    with together(ledger, *[partial(ledger.write, number) for number in range(THREADS)]) as writes:
        pass

    assert {str(write.exception()) for write in writes} == {"database is locked"}
    assert ledger.begins == 1
    ledger.fails = None
    ledger.may_commit.set()
    ledger.write(1)
    assert ledger.kept() == [1]


def test_a_transaction_that_the_database_has_rolled_back_is_lost_for_all_and_for_nobody_else(ledger: Ledger) -> None:
    def lose() -> None:
        with ledger.shared.joined() as connection:
            connection.exec_driver_sql("ROLLBACK")
            raise OperationalError("INSERT", {}, sqlite3.OperationalError("database or disk is full"))

    with together(ledger, lambda: ledger.write(1), lose, lambda: ledger.write(2)) as writes:
        pass

    assert isinstance(writes[0].exception(), StoreUnavailable)
    assert isinstance(writes[1].exception(), StoreUnavailable)
    # It had not begun, so it got a transaction of its own.
    assert writes[2].exception() is None
    assert ledger.kept() == [2]


def test_no_more_share_a_commit_than_others_can_wait_for(ledger: Ledger) -> None:
    works = [partial(ledger.write, number) for number in range(PARTS_AT_MOST + 1)]
    with together(ledger, *works):
        pass

    assert len(ledger.kept()) == PARTS_AT_MOST + 1
    assert ledger.commits == 2


def test_of_two_changes_to_one_version_in_one_commit_one_is_made(sqlite_url: str) -> None:
    store = open_store(sqlite_url)
    job = make_job()
    store.add_job(job)
    edits = [make_job(id=job.id, name=name, version=job.version + 1) for name in ("one", "other")]

    def change(edit: Any) -> bool:
        return store.replace_job(edit, expected_version=job.version, dropped=None)

    with ThreadPoolExecutor(2) as pool:
        is_made = list(pool.map(change, edits))

    assert sorted(is_made) == [False, True]
    kept = store.job(job.id)
    assert kept is not None
    assert kept.name == edits[is_made.index(True)].name
    assert kept.version == job.version + 1
    store.close()


def test_a_writer_of_another_kind_is_not_kept_out(sqlite_url: str) -> None:
    store = open_store(sqlite_url)
    with ThreadPoolExecutor(THREADS) as pool:
        adding = [pool.submit(_add, store, 20) for _ in range(THREADS - 1)]
        other = pool.submit(lambda: [store.forget_runs([]) for _ in range(20)])
        other.result(30)
        ids = {job_id for each in adding for job_id in each.result(30)}

    assert {job.id for job in store.views.jobs_page(after=None, limit=1_000)} == ids
    store.close()


def _add(store: SqlStore, count: int) -> list[UUID]:
    jobs = [make_job() for _ in range(count)]
    for job in jobs:
        store.add_job(job)
    return [job.id for job in jobs]


WORK = """
import sys, threading
from store import open_store
from tests.factories import make_job

store = open_store(sys.argv[1])
def add():
    while True:
        job = make_job()
        store.add_job(job)
        sys.stdout.write(f"{job.id}\\n")
        sys.stdout.flush()
for _ in range(8):
    threading.Thread(target=add).start()
"""
TOLD_BEFORE_THE_END = 400


@pytest.mark.real_time
def test_a_killed_process_loses_no_job_that_it_has_told_of(sqlite_path: Path, sqlite_url: str) -> None:
    command = [sys.executable, "-c", WORK, sqlite_url]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        told = [process.stdout.readline() for _ in range(TOLD_BEFORE_THE_END)]
        process.kill()
        told += process.stdout.read().splitlines(keepends=True)

    store = open_store(sqlite_url)
    kept = {job.id for job in store.views.jobs_page(after=None, limit=100_000)}
    # Only the last line may be cut off.
    assert {UUID(line.strip()) for line in told if line.endswith("\n")} <= kept
    assert len(kept) <= len(told) + 8
    store.close()
    with closing(sqlite3.connect(sqlite_path)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
