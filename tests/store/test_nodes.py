"""Nodes on record: which process was there from when to when, and what was paused at an instant."""

from dataclasses import replace
from datetime import timedelta
from uuid import UUID, uuid4

import pytest

from engine.nouns import EndedPause, JobStatus, Pause
from engine.past import Downtime, KeptPause, Uptime, downtime_at
from store import SqlStore
from tests.factories import IDLE, NOON, make_job, make_node

SECOND, MINUTE, HOUR = timedelta(seconds=1), timedelta(minutes=1), timedelta(hours=1)
FIRST, SECOND_NODE = UUID(int=1), UUID(int=2)


def test_a_node_is_seen_from_its_start_to_its_stop(store: SqlStore) -> None:
    node = uuid4()
    store.node_started(make_node(id=node))
    assert store.uptimes(around=NOON) == [Uptime(node, NOON, NOON, is_live=True)]
    assert store.node_seen(node, NOON + MINUTE, IDLE)
    assert store.uptimes(around=NOON) == [Uptime(node, NOON, NOON + MINUTE, is_live=True)]
    assert store.node_stopped(node, NOON + HOUR, since=NOON + HOUR - SECOND)
    assert store.uptimes(around=NOON) == [Uptime(node, NOON, NOON + HOUR, NOON + HOUR - SECOND)]


def test_a_node_that_is_not_on_record_is_told_so(store: SqlStore) -> None:
    assert not store.node_seen(uuid4(), NOON, IDLE)
    assert not store.node_stopped(uuid4(), NOON, since=NOON)


def test_the_nodes_beside_an_instant_are_found(store: SqlStore) -> None:
    nodes = [uuid4() for _ in range(4)]
    for number, node in enumerate(nodes):
        store.node_started(make_node(id=node, at=NOON + number * HOUR))
    found = [[each.node for each in store.uptimes(around=NOON + number * HOUR / 2)] for number in (-1, 0, 3, 7)]
    assert found == [[nodes[0]], [nodes[0], nodes[1]], [nodes[1], nodes[2]], [nodes[3]]]


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        (-1, None),
        (0, None),
        (59, None),
        (60, Downtime(NOON + MINUTE, NOON + HOUR, was_stopped=True)),
        (3_599, Downtime(NOON + MINUTE, NOON + HOUR, was_stopped=True)),
        (3_600, None),
        (3_700, Downtime(NOON + HOUR + MINUTE, None, was_stopped=False)),
    ],
)
def test_between_the_end_of_a_node_and_the_start_of_the_next_one_nobody_was_there(
    seconds: int, expected: Downtime | None
) -> None:
    uptimes = [
        Uptime(FIRST, NOON, NOON + 2 * MINUTE, stopped_at=NOON + MINUTE),
        Uptime(SECOND_NODE, NOON + HOUR, NOON + HOUR + MINUTE),
    ]
    assert downtime_at(NOON + seconds * SECOND, uptimes, current=uuid4()) == expected


def test_the_node_that_asks_is_there_however_old_its_heartbeat() -> None:
    assert downtime_at(NOON + HOUR, [Uptime(FIRST, NOON, NOON)], current=FIRST) is None


def test_the_pauses_of_a_job_and_of_everything_at_an_instant_are_found(store: SqlStore) -> None:
    job = make_job(status=JobStatus.PAUSED, next_run_at=None, pause=Pause(NOON, by="Ada", note="cleaning"))
    store.add_job(job)
    store.begin_global_pause(Pause(NOON + HOUR, by="Bob"))
    resumed = replace(job, status=JobStatus.ACTIVE, next_run_at=NOON + HOUR, pause=None, version=2)
    ended = EndedPause(job.id, Pause(NOON, by="Ada", note="cleaning"), NOON + HOUR)
    assert store.replace_job(resumed, expected_version=1, dropped=None, ended_pause=ended)
    of_job = KeptPause(job.id, Pause(NOON, by="Ada", note="cleaning"), NOON + HOUR)
    of_all = KeptPause(None, Pause(NOON + HOUR, by="Bob"), None)
    assert store.pauses_over(job.id, at=NOON - SECOND) == []
    assert store.pauses_over(job.id, at=NOON) == [of_job]
    assert store.pauses_over(job.id, at=NOON + HOUR) == [of_all, of_job]
    assert store.pauses_over(job.id, at=NOON + 2 * HOUR) == [of_all]
    assert store.pauses_over(uuid4(), at=NOON) == []
    store.end_global_pause(NOON + 3 * HOUR)
    assert store.pauses_over(job.id, at=NOON + 4 * HOUR) == []


@pytest.mark.parametrize("deletes_all", [False, True])
def test_the_pause_of_a_job_that_is_deleted_stays_on_record(store: SqlStore, *, deletes_all: bool) -> None:
    pause = Pause(NOON, until=NOON + HOUR, by="Ada")
    job, other = (make_job(status=JobStatus.PAUSED, next_run_at=None, pause=pause), make_job())
    store.add_job(job)
    store.add_job(other)
    at = NOON + MINUTE
    if deletes_all:
        store.delete_all_jobs(at=at)
    else:
        assert store.delete_job(job.id, at=at)
    assert store.pauses_over(job.id, at=NOON) == [KeptPause(job.id, pause, at)]
    assert store.pauses_over(other.id, at=NOON) == []
