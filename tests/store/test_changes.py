"""Changes by other processes are noticed, and soon."""

import subprocess
import sys
from collections.abc import Callable, Iterator
from queue import Empty, Queue

import pytest

from engine.nouns import JobStatus, Outcome, Pause, RunState
from store import SqlStore, open_store
from tests.factories import NOON, make_advance, make_job, make_outcome, make_run
from tests.store.test_calendars import holidays
from tests.store.test_locks import ROOT, end_connections

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


@pytest.fixture
def listener(url: str, ears: Ears) -> Iterator[SqlStore]:
    store = open_store(url)
    store.watch(ears.changed)
    ears.hear()  # once, for what came before
    yield store
    store.close()


ADD_A_JOB = """
import sys
from store import open_store
from tests.factories import make_job
store = open_store(sys.argv[1])
store.add_job(make_job())
store.close()
"""


def test_a_change_by_another_process_is_noticed(url: str, listener: SqlStore, ears: Ears) -> None:
    subprocess.run([sys.executable, "-c", ADD_A_JOB, url], cwd=ROOT, check=True)
    ears.hear()


JOB, OTHER_JOB = make_job(), make_job()
RUN = make_run(JOB)
MUTATIONS: dict[str, Callable[[SqlStore], object]] = {
    "add_job": lambda store: store.add_job(OTHER_JOB),
    "replace_job": lambda store: store.replace_job(JOB, expected_version=JOB.version, dropped=None),
    "delete_job": lambda store: store.delete_job(JOB.id, at=NOON),
    "delete_all_jobs": lambda store: store.delete_all_jobs(at=NOON),
    "add_manual_run": lambda store: store.add_manual_run(make_run(JOB)),
    "ask_to_end": lambda store: store.ask_to_end(RUN.id, reason="enough"),
    "end_waiting": lambda store: store.end_waiting([RUN.id], RunState.CANCELLED, at=NOON, reason="enough"),
    "begin_global_pause": lambda store: store.begin_global_pause(Pause(since=NOON)),
    "end_global_pause": lambda store: store.end_global_pause(NOON),
    "add_calendar": lambda store: store.add_calendar(holidays()),
}


@pytest.mark.parametrize("verb", MUTATIONS)
def test_mutations_are_announced(writer: SqlStore, listener: SqlStore, ears: Ears, verb: str) -> None:
    writer.add_job(JOB)
    writer.add_manual_run(RUN)
    ears.hear()
    ears.has_heard(0.3)  # of the second, if that came alone
    MUTATIONS[verb](writer)
    ears.hear()
