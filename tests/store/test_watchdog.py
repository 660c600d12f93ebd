"""Calls that the database does not answer end all the same, and the store works again afterwards."""

import os
import signal
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from time import monotonic

import pytest
from sqlalchemy import QueuePool, create_engine, text

from engine.errors import StoreUnavailable
from store import SqlStore, open_store
from store.watchdog import TICK_SECONDS, Watchdog
from tests.factories import make_job
from tests.store.postgres import PostgresServer
from tests.store.proxy import Proxy

pytestmark = pytest.mark.once

DEADLINE_SECONDS = 2.0


def test_a_call_is_given_up_after_its_time_and_again_until_it_ends() -> None:
    aborted: list[object] = []
    watchdog = Watchdog(abort=aborted.append, seconds=2 * TICK_SECONDS)
    with watchdog.watching("slow"):
        watchdog.tick()
        with watchdog.watching("quick"):
            assert aborted == []
            watchdog.tick()
        assert aborted == ["slow"]
        watchdog.tick()
    watchdog.tick()
    assert aborted == ["slow", "slow"]


def test_a_call_that_nobody_takes_back_is_forgotten_in_the_end() -> None:
    aborted: list[object] = []
    watchdog = Watchdog(abort=aborted.append, seconds=TICK_SECONDS)
    forgotten = watchdog.watching("forgotten")
    forgotten.__enter__()
    for _ in range(20):
        watchdog.tick()
    assert 1 < len(aborted) < 5
    forgotten.__exit__(None, None, None)


def test_a_connection_that_was_closed_meanwhile_does_not_end_the_watch() -> None:
    aborted: list[object] = []

    def abort(connection: object) -> None:
        aborted.append(connection)
        raise ValueError("the connection is closed")

    watchdog = Watchdog(abort=abort, seconds=TICK_SECONDS)
    with watchdog.watching("one"), watchdog.watching("other"):
        watchdog.tick()
    assert aborted == ["one", "other"]


def test_a_store_ends_its_watchdog(url: str) -> None:
    threads = set(threading.enumerate())
    store = open_store(url)
    (watchdog,) = {thread for thread in set(threading.enumerate()) - threads if thread.name == "scheduler-watchdog"}
    store.close()
    watchdog.join(10)
    assert not watchdog.is_alive()


def test_a_search_without_end_is_interrupted(sqlite_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("store.sqlite.CALL_SECONDS", DEADLINE_SECONDS)
    store = open_store(sqlite_url)
    endless = text("WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n) SELECT max(x) FROM n")
    for transaction in (store._reading, store._writing):
        with pytest.raises(StoreUnavailable, match="interrupted"), transaction() as connection:
            connection.execute(endless)
    store.add_job(make_job())
    store.close()


@pytest.fixture(params=["psycopg", "psycopg2"])
def silent(
    request: pytest.FixtureRequest,
    postgres_server: PostgresServer,
    postgres_url: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[tuple[SqlStore, Proxy]]:
    """A store that has used its connections, and what is between it and its server."""
    monkeypatch.setattr("store.postgresql.CALL_SECONDS", DEADLINE_SECONDS)
    monkeypatch.setattr("store.watchdog.PING_SECONDS", 1.0)
    with Proxy.before(postgres_server, tmp_path) as proxy:
        store = open_store(proxy.url_for(postgres_url).replace("+psycopg:", f"+{request.param}:"))
        store.add_job(make_job())
        store.check()
        yield store, proxy
        store.close()


VERBS: list[Callable[[SqlStore], object]] = [
    lambda store: store.add_job(make_job()),
    lambda store: store.views.jobs_page(after=None, limit=1),
    lambda store: store.check(),
]


def seconds_until_given_up(verb: Callable[[SqlStore], object], store: SqlStore) -> float:
    began = monotonic()
    with pytest.raises(StoreUnavailable):
        verb(store)
    return monotonic() - began


@pytest.mark.real_time
@pytest.mark.parametrize("verb", VERBS)
def test_a_call_that_is_not_answered_ends(silent: tuple[SqlStore, Proxy], verb: Callable[[SqlStore], object]) -> None:
    store, proxy = silent
    proxy.freeze()
    # A connection from the pool is asked whether it is there, and a new one, asked for then, does not come.
    assert seconds_until_given_up(verb, store) < 10
    proxy.forget()
    verb(store)


@pytest.mark.real_time
def test_a_call_that_is_in_the_database_ends_when_that_falls_silent(silent: tuple[SqlStore, Proxy]) -> None:
    store, proxy = silent

    def write() -> None:
        with store._writing() as connection:
            connection.execute(text("SELECT 1"))
            proxy.freeze()
            connection.execute(text("SELECT 2"))

    assert seconds_until_given_up(lambda _: write(), store) < DEADLINE_SECONDS + 5
    proxy.forget()
    store.add_job(make_job())
    assert len(store.views.jobs_page(after=None, limit=10)) == 2


@pytest.mark.real_time
def test_all_calls_of_a_silent_server_end_in_time(silent: tuple[SqlStore, Proxy]) -> None:
    store, proxy = silent
    proxy.freeze()
    with ThreadPoolExecutor(8) as pool:
        calls = [pool.submit(seconds_until_given_up, VERBS[number % 2], store) for number in range(8)]
        assert max(call.result() for call in calls) < 20
    proxy.forget()
    for verb in VERBS:
        verb(store)


@pytest.mark.real_time
def test_a_server_process_that_is_frozen_is_left_alone(postgres_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("store.postgresql.CALL_SECONDS", DEADLINE_SECONDS)
    store = open_store(postgres_url)
    frozen: list[int] = []

    def write() -> None:
        with store._writing() as connection:
            frozen.append(connection.scalar(text("SELECT pg_backend_pid()")) or 0)
            os.kill(frozen[0], signal.SIGSTOP)
            connection.execute(text("SELECT 1"))

    try:
        assert seconds_until_given_up(lambda _: write(), store) < DEADLINE_SECONDS + 5
        store.add_job(make_job())
    finally:
        os.kill(frozen[0], signal.SIGCONT)
    store.close()


@pytest.mark.parametrize("is_quiet", [True, False])
def test_a_connection_is_asked_whether_it_is_there_unless_it_is_quiet_and_was_used_just_now(
    is_quiet: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    database = create_engine("sqlite://", poolclass=QueuePool)
    pings: list[object] = []
    monkeypatch.setattr(database.dialect, "do_ping", pings.append)
    watchdog = Watchdog(abort=print, seconds=2 * TICK_SECONDS, is_quiet=lambda _connection: is_quiet)
    watchdog.watch_over(database, pings=True)

    def use() -> int:
        pings.clear()
        with database.connect():
            return len(pings)

    at_once = 0 if is_quiet else 1
    assert [use(), use()] == [at_once, at_once]
    watchdog.tick()
    assert [use(), use()] == [1, at_once]
