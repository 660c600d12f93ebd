"""Changes by other processes are noticed, and soon."""

import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from queue import Empty, Queue
from typing import Any

import pytest

from engine.errors import UnknownCalendar
from engine.nouns import Job, Outcome, Pause, Run, RunError, RunState, Trigger
from engine.policies import OverlapPolicy, Policies
from store import SqlStore, open_store
from store.locks import succeeds_within
from store.postgresql_changes import PostgresqlChanges
from tests.factories import NOON, make_advance, make_job, make_outcome, make_run
from tests.store.postgres import PostgresServer
from tests.store.proxy import Proxy
from tests.store.test_backfills import keep
from tests.store.test_calendars import LATER, NEW_YEAR, holidays
from tests.store.test_locks import ROOT, end_connections, lock_of

pytestmark = pytest.mark.once

PATIENCE_SECONDS = 20.0


class Ears:
    """Counts what a store tells."""

    def __init__(self) -> None:
        self._calls: Queue[None] = Queue()

    def changed(self) -> None:
        self._calls.put(None)

    def hear(self) -> None:
        """Wait for a change, and forget all before it."""
        self._calls.get(timeout=PATIENCE_SECONDS)
        self.forget()

    def forget(self) -> None:
        while self.has_heard():
            pass

    def has_heard(self, seconds: float | None = None) -> bool:
        try:
            self._calls.get(timeout=seconds, block=seconds is not None)
        except Empty:
            return False
        return True


@pytest.fixture
def writer(url: str) -> Iterator[SqlStore]:
    store = open_store(url)
    yield store
    store.close()


@pytest.fixture
def ears() -> Ears:
    return Ears()


ADD_A_JOB = """
import sys
from store import open_store
from tests.factories import make_job
store = open_store(sys.argv[1])
store.add_job(make_job())
store.close()
"""


@pytest.mark.parametrize("driver", ["psycopg", "psycopg2"])
def test_a_change_by_another_process_is_noticed(url: str, ears: Ears, driver: str) -> None:
    store = open_store(url.replace("+psycopg:", f"+{driver}:"))
    store.watch(ears.changed)
    ears.hear()  # once, for what came before
    subprocess.run([sys.executable, "-c", ADD_A_JOB, url], cwd=ROOT, check=True)
    ears.hear()
    store.close()


def running(store: SqlStore, **policies: Any) -> tuple[Job, Run]:
    """A job, and the run of its first slot."""
    job = make_job(policies=Policies(**policies))
    store.add_job(job)
    (run,) = store.advance([make_advance(job)]).values()
    assert run is not None
    return job, run


def waiting(store: SqlStore) -> tuple[Job, Run, Run]:
    """A job, a run that is going, and one that waits for that."""
    job, run = running(store, overlap_policy=OverlapPolicy.QUEUE_ONE)
    stored = store.job(job.id)
    assert stored is not None
    (queued,) = store.advance([make_advance(stored)]).values()
    assert queued is not None
    assert queued.state is RunState.QUEUED
    return job, run, queued


def retried(run: Run) -> Outcome:
    error = RunError("ValueError", "no luck", "")
    return make_outcome(run, state=RunState.RETRYING, attempt_state=RunState.FAILED, due_at=NOON, error=error)


def replace_job(store: SqlStore) -> Callable[[], object]:
    job = make_job()
    store.add_job(job)
    return lambda: store.replace_job(job, expected_version=job.version, dropped=None)


def delete_job(store: SqlStore) -> Callable[[], object]:
    job, _ = running(store)
    return lambda: store.delete_job(job.id, at=NOON)


def add_manual_run(store: SqlStore) -> Callable[[], object]:
    job = make_job()
    store.add_job(job)
    return lambda: store.add_manual_run(make_run(job_id=job.id, trigger=Trigger.MANUAL))


def ask_to_end(store: SqlStore) -> Callable[[], object]:
    _, run = running(store)
    return lambda: store.ask_to_end(run.id, reason="enough")


def end_waiting(store: SqlStore) -> Callable[[], object]:
    _, _, queued = waiting(store)
    return lambda: store.end_waiting([queued.id], RunState.CANCELLED, at=NOON, reason="enough")


def make_room(store: SqlStore) -> Callable[[], object]:
    _, run, _ = waiting(store)
    return lambda: store.finish([make_outcome(run)])


def retry(store: SqlStore) -> Callable[[], object]:
    _, run = running(store)
    return lambda: store.finish([retried(run)])


def replace_calendar(store: SqlStore) -> Callable[[], object]:
    store.add_calendar(holidays())
    return lambda: store.replace_calendar(holidays(updated_at=LATER))


def add_calendar_dates(store: SqlStore) -> Callable[[], object]:
    store.add_calendar(holidays())
    return lambda: store.add_calendar_dates("holidays", [NEW_YEAR], updated_at=LATER)


def delete_calendar(store: SqlStore) -> Callable[[], object]:
    store.add_calendar(holidays())
    return lambda: store.delete_calendar("holidays")


def add_backfill(store: SqlStore) -> Callable[[], object]:
    job = make_job()
    store.add_job(job)
    return lambda: keep(store, job, 2)


def cancel_backfill(store: SqlStore) -> Callable[[], object]:
    job = make_job()
    store.add_job(job)
    backfill, _ = keep(store, job, 2)
    return lambda: store.cancel_backfill(backfill.id, at=NOON, reason="enough")


MUTATIONS: list[Callable[[SqlStore], Callable[[], object]]] = [
    lambda store: lambda: store.add_job(make_job()),
    replace_job,
    delete_job,
    lambda store: lambda: store.delete_all_jobs(at=NOON),
    add_manual_run,
    ask_to_end,
    end_waiting,
    make_room,
    retry,
    lambda store: lambda: store.begin_global_pause(Pause(NOON)),
    lambda store: lambda: store.end_global_pause(NOON),
    lambda store: lambda: store.add_calendar(holidays()),
    replace_calendar,
    add_calendar_dates,
    delete_calendar,
    add_backfill,
    cancel_backfill,
]


@pytest.mark.parametrize("prepared", MUTATIONS)
def test_mutations_are_announced(
    postgres_url: str, ears: Ears, prepared: Callable[[SqlStore], Callable[[], object]]
) -> None:
    store = open_store(postgres_url)
    mutate = prepared(store)
    store.watch(ears.changed)
    ears.hear()
    mutate()
    ears.hear()
    store.close()


def test_what_concerns_this_node_only_is_not_announced(postgres_url: str, ears: Ears) -> None:
    store = open_store(postgres_url)
    job = make_job()
    store.add_job(job)
    store.watch(ears.changed)
    ears.hear()
    (run,) = store.advance([make_advance(job)]).values()
    assert run is not None
    store.finish([make_outcome(run)])
    assert not ears.has_heard(0.2)
    store.close()


def test_a_mutation_that_fails_is_not_announced(postgres_url: str, ears: Ears) -> None:
    store = open_store(postgres_url)
    store.watch(ears.changed)
    ears.hear()
    with pytest.raises(UnknownCalendar):
        store.add_job(make_job(exclude_calendars=("missing",)))
    assert not ears.has_heard(0.2)
    store.close()


def test_the_schema_next_door_is_not_heard(postgres_server: PostgresServer, postgres_url: str, ears: Ears) -> None:
    store = open_store(postgres_url)
    store.watch(ears.changed)
    ears.hear()
    postgres_server.execute("CREATE SCHEMA next_door")
    neighbour = open_store(postgres_server.url("postgres", schema="next_door"))
    neighbour.add_job(make_job())
    neighbour.close()
    postgres_server.execute("DROP SCHEMA next_door CASCADE")
    assert not ears.has_heard(0.2)
    store.close()


def is_in_use(url: str) -> bool:
    """Whether somebody has a lock on the database."""
    lock = lock_of(url)
    is_free = lock.take()
    lock.release()
    return not is_free


@pytest.mark.parametrize("driver", ["psycopg", "psycopg2"])
def test_changes_are_heard_again_after_a_cut(postgres_url: str, ears: Ears, driver: str) -> None:
    store = open_store(postgres_url.replace("+psycopg:", f"+{driver}:"))
    store.watch(ears.changed)
    ears.hear()
    store.add_job(make_job())
    ears.hear()
    end_connections(postgres_url)
    ears.hear()  # what may have happened meanwhile
    assert succeeds_within(PATIENCE_SECONDS, lambda: is_in_use(postgres_url))  # though nobody asked for readiness
    store.add_job(make_job())
    ears.hear()
    store.close()


@pytest.mark.parametrize("driver", ["psycopg", "psycopg2"])
def test_a_change_that_comes_with_the_answer_to_a_question_is_heard(
    postgres_url: str, ears: Ears, driver: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = open_store(postgres_url.replace("+psycopg:", f"+{driver}:"))
    asked = PostgresqlChanges._ask

    def ask_late(changes: PostgresqlChanges, connection: Any) -> None:
        store.add_job(make_job())
        asked(changes, connection)

    monkeypatch.setattr("store.postgresql_changes.KEEPALIVE_SECONDS", 0.01)
    monkeypatch.setattr(PostgresqlChanges, "_ask", ask_late)
    store.watch(ears.changed)
    ears.hear()
    ears.hear()
    store.close()


@pytest.mark.parametrize("driver", ["psycopg", "psycopg2"])
def test_a_silent_cut_is_noticed(
    postgres_server: PostgresServer,
    postgres_url: str,
    tmp_path: Path,
    ears: Ears,
    driver: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("store.postgresql_changes.KEEPALIVE_SECONDS", 0.5)
    with Proxy.before(postgres_server, tmp_path) as proxy:
        store = open_store(proxy.url_for(postgres_url).replace("+psycopg:", f"+{driver}:"))
        store.watch(ears.changed)
        ears.hear()
        proxy.freeze()
        proxy.forget()
        ears.hear()
        store.add_job(make_job())
        ears.hear()
        store.close()


def test_a_listener_that_fails_is_told_of_the_next_change(url: str, writer: SqlStore, ears: Ears) -> None:
    store = open_store(url)

    def fail() -> None:
        ears.changed()
        raise ValueError("no luck")

    store.watch(fail)
    ears.hear()
    for _ in range(2):
        writer.add_job(make_job())
        ears.hear()
    store.close()


def test_nothing_is_told_once_the_store_is_closed(url: str, writer: SqlStore, ears: Ears) -> None:
    threads = set(threading.enumerate())
    store = open_store(url)
    store.watch(ears.changed)
    ears.hear()
    store.close()
    assert "scheduler-changes" not in {thread.name for thread in set(threading.enumerate()) - threads}
    writer.add_job(make_job())
    assert not ears.has_heard()


def test_a_store_may_be_closed_by_who_is_told(url: str) -> None:
    store = open_store(url)
    closed = threading.Event()

    def close() -> None:
        store.close()
        closed.set()

    store.watch(close)
    assert closed.wait(PATIENCE_SECONDS)
