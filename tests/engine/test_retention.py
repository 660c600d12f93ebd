"""Retention: what a pass deletes, that it does so in small pieces, and that its thread outlives the database."""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Condition
from typing import Any
from uuid import UUID, uuid4

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from structlog.testing import capture_logs

from engine.limits import (
    FIRST_RETENTION_SECONDS,
    MIN_NODES_KEPT,
    RETENTION_BATCH,
    RETENTION_PAUSE_SECONDS,
    RETENTION_SECONDS,
)
from engine.nouns import Pause, Run, RunState
from engine.past import Entry
from engine.retention import HistoryLimits, Retention
from store import SqlStore
from store.run_rows import insert_runs
from tests.databases import open_new_store
from tests.engine.interference import Interference, away
from tests.factories import make_node, make_run
from tests.fakes import NOON, ManualClock, Node, running

SECOND, DAY = timedelta(seconds=1), timedelta(days=1)
GOING = {RunState.RUNNING, RunState.QUEUED, RunState.RETRYING}


class HastyClock(ManualClock):
    """Time passes as soon as somebody waits for it."""

    def wait(self, condition: Condition, seconds: float) -> None:
        self._elapsed += seconds


@contextmanager
def fresh_store() -> Iterator[SqlStore]:
    with TemporaryDirectory() as folder:
        opened = open_new_store(Path(folder))
        yield opened
        opened.close()


def keep(store: SqlStore, runs: list[Run]) -> None:
    with store._writing() as connection:
        insert_runs(connection, runs)


def kept(store: SqlStore) -> set[UUID]:
    return {run.id for run in store.views.runs_page(job_id=None, state=None, before=None, limit=5_000)}


def run_of_age(days: float, *, lasted: float = 0.0, **overrides: Any) -> Run:
    """A run whose slot was so long ago; it was over so many days later."""
    slot = NOON - days * DAY
    facts = {"state": RunState.SUCCEEDED, "started_at": slot, "finished_at": slot + lasted * DAY}
    return make_run(scheduled_for=slot, **(facts | overrides))


def make_pass(store: Any, **limits: float) -> ManualClock:
    clock = HastyClock()
    Retention(store=store, clock=clock, limits=HistoryLimits(**limits)).make_pass()  # type: ignore[arg-type]
    return clock


@dataclass(frozen=True)
class Past:
    """A run as Hypothesis draws it."""

    job: int
    days: int
    lasted: int
    state: RunState
    is_stuck: bool

    def as_run(self, number: int) -> Run:
        has_end = self.state not in GOING
        return run_of_age(
            self.days + number / 10_000,
            lasted=min(self.lasted, self.days),
            id=UUID(int=number + 1),
            job_id=UUID(int=self.job + 1),
            state=self.state,
            is_stuck=self.is_stuck and has_end,
            **({} if has_end else {"finished_at": None}),
        )


pasts = st.lists(
    st.builds(
        Past,
        job=st.integers(0, 3),
        days=st.integers(0, 12),
        lasted=st.integers(0, 3),
        state=st.sampled_from(RunState),
        is_stuck=st.booleans(),
    ),
    max_size=30,
)


def survivors(runs: list[Run], days: int, newest: int) -> set[UUID]:
    """Which runs stay: by the rule itself, over all of them at once."""
    stay: set[UUID] = set()
    seen: Counter[UUID] = Counter()
    by_age = {
        run.id
        for run in runs
        if run.state in GOING or run.is_stuck or not days or (run.finished_at or run.scheduled_for) >= NOON - days * DAY
    }
    for run in sorted(runs, key=lambda each: each.scheduled_for, reverse=True):
        if run.id in by_age:
            seen[run.job_id] += 1
            if not newest or seen[run.job_id] <= newest or run.state in GOING or run.is_stuck:
                stay.add(run.id)
    return stay


@settings(max_examples=40)
@given(pasts=pasts, days=st.integers(0, 9), newest=st.integers(0, 6))
def test_a_pass_leaves_what_is_young_and_among_the_newest_and_what_is_not_over(
    pasts: list[Past], days: int, newest: int
) -> None:
    runs = [past.as_run(number) for number, past in enumerate(pasts)]
    with fresh_store() as store:
        keep(store, runs)
        make_pass(store, days=days, runs_per_job=newest)
        assert kept(store) == survivors(runs, days, newest)


def test_a_backlog_goes_in_small_batches_with_pauses_between_them(store: SqlStore) -> None:
    keep(store, [run_of_age(100 + number / 10_000) for number in range(2 * RETENTION_BATCH + 7)])
    sizes: list[int] = []
    interference = Interference(store)
    interference.before["forget_runs"] = lambda run_ids: sizes.append(len(run_ids))
    with capture_logs() as lines:
        clock = make_pass(interference, days=90)
    assert sizes == [RETENTION_BATCH, RETENTION_BATCH, 7]
    assert clock.monotonic() == pytest.approx(3 * RETENTION_PAUSE_SECONDS)
    assert kept(store) == set()
    assert [line for line in lines if line["event"] == "history deleted"] == [
        {"event": "history deleted", "log_level": "info", "runs": 2 * RETENTION_BATCH + 7, "pauses": 0, "nodes": 0}
    ]


def test_what_must_stay_is_looked_at_once_in_a_pass(store: SqlStore) -> None:
    """Slots of long ago that were backfilled today: they must not be read again and again."""
    keep(store, [run_of_age(100 + number / 10_000, lasted=99) for number in range(2 * RETENTION_BATCH)])
    pages: list[list[Entry]] = []
    make_pass(Watched(store, pages), days=90)
    assert [len(page) for page in pages] == [RETENTION_BATCH, RETENTION_BATCH, 0]


class Watched:
    """A store whose pages of history are seen."""

    def __init__(self, store: SqlStore, pages: list[list[Entry]]) -> None:
        self._store = store
        self._pages = pages

    def history_page(self, **options: Any) -> list[Entry]:
        self._pages.append(self._store.history_page(**options))
        return self._pages[-1]

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)


def test_old_pauses_and_nodes_go_and_the_newest_nodes_stay(store: SqlStore) -> None:
    nodes = [uuid4() for _ in range(MIN_NODES_KEPT + 3)]
    for number, node in enumerate(nodes):
        store.node_started(make_node(id=node, at=NOON - 200 * DAY + number * SECOND))
    for number in range(3):
        store.begin_global_pause(Pause(NOON - (100 - number) * DAY))
    with capture_logs() as lines:
        make_pass(store, days=90)
    assert [(line["runs"], line["pauses"], line["nodes"]) for line in lines] == [(0, 2, 3)]
    assert store.global_pause() == Pause(NOON - 98 * DAY)


def test_a_pass_with_nothing_to_do_says_nothing(store: SqlStore) -> None:
    keep(store, [run_of_age(1)])
    with capture_logs() as lines:
        make_pass(store, days=90, runs_per_job=10)
    assert lines == []


def asleep(node: Node) -> float:
    """When the thread of retention wakes, once it has gone to sleep."""
    condition = node.scheduler._retention._condition
    while True:
        parkings = node.clock.parkings
        wakes_at = node.clock.sleeps_until(condition)
        if wakes_at is not None and wakes_at > node.clock.monotonic():
            return wakes_at
        node.clock.await_parking(after=parkings)


def test_the_first_pass_comes_a_minute_after_the_start_and_then_one_each_hour(store: SqlStore) -> None:
    with running(Node(store, history=HistoryLimits(days=90))) as node:
        assert asleep(node) == FIRST_RETENTION_SECONDS
        keep(store, [run_of_age(100)])
        node.advance(FIRST_RETENTION_SECONDS)
        assert asleep(node) == FIRST_RETENTION_SECONDS + RETENTION_PAUSE_SECONDS
        assert kept(store) == set()
        node.advance(RETENTION_PAUSE_SECONDS)
        assert asleep(node) == FIRST_RETENTION_SECONDS + RETENTION_PAUSE_SECONDS + RETENTION_SECONDS
        keep(store, [run_of_age(100)])
        node.advance(RETENTION_SECONDS)
        asleep(node)
        assert kept(store) == set()


def test_a_stop_does_not_wait_for_the_end_of_a_pass(store: SqlStore) -> None:
    keep(store, [run_of_age(100 + number / 10_000) for number in range(2 * RETENTION_BATCH)])
    with capture_logs() as lines:
        with running(Node(store, history=HistoryLimits(days=90))) as node:
            asleep(node)
            node.advance(FIRST_RETENTION_SECONDS)
            asleep(node)
        assert not node.scheduler._retention.is_alive
    assert [line["runs"] for line in lines if line["event"] == "history deleted"] == [RETENTION_BATCH]


def test_it_outlives_a_database_that_is_away_and_says_so_once(store: SqlStore) -> None:
    interference = Interference(store)
    interference.before["history_page"] = lambda **_: away()
    with capture_logs() as lines, running(Node(interference, history=HistoryLimits(days=90))) as node:
        asleep(node)
        node.advance(FIRST_RETENTION_SECONDS)
        for _ in range(4):
            node.advance(asleep(node) - node.clock.monotonic())
        interference.end()
        node.advance(asleep(node) - node.clock.monotonic())
        asleep(node)
        assert node.scheduler._retention.is_alive
    told = [line["event"] for line in lines if line["event"].startswith("retention")]
    assert told == ["retention failing", "retention works again"]


def test_without_limits_nothing_is_forgotten_and_no_thread_is_there(store: SqlStore) -> None:
    with running(Node(store, history=HistoryLimits())) as node:
        assert not node.scheduler._retention._thread.is_alive()
        assert node.scheduler.health().problems == ()
