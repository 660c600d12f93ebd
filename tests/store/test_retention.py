"""Old history: which runs are found and deleted, on both databases, and which never are."""

from datetime import datetime, timedelta
from uuid import UUID, uuid4

import pytest

from engine.captured_log import CapturedLog, LogLine
from engine.limits import MAX_SLOTS_BEFORE
from engine.nouns import EndedPause, Pause, Run, RunState, Trigger
from engine.past import CrowdedJob, Position
from store import SqlStore
from store.run_rows import insert_runs
from tests.factories import NOON, make_job, make_node, make_outcome, make_run

SECOND, MINUTE, HOUR, DAY = timedelta(seconds=1), timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
ALWAYS: Position = (NOON + 1_000 * DAY, UUID(int=0))


def keep(store: SqlStore, *runs: Run) -> list[Run]:
    with store._writing() as connection:
        insert_runs(connection, runs)
    return list(runs)


def ended(job_id: UUID, slot: datetime, state: RunState = RunState.SUCCEEDED, **overrides: object) -> Run:
    facts = {"finished_at": slot + SECOND} | overrides
    return make_run(job_id=job_id, scheduled_for=slot, started_at=slot, state=state, **facts)


def kept_ids(store: SqlStore) -> set[UUID]:
    return {run.id for run in store.views.runs_page(job_id=None, state=None, before=None, limit=500)}


def test_history_is_paged_from_the_oldest_on_up_to_and_with_a_position(store: SqlStore) -> None:
    job_id = uuid4()
    runs = keep(store, *(ended(job_id, NOON + number * MINUTE) for number in range(5)))
    keep(store, ended(uuid4(), NOON))
    until: Position = (runs[3].scheduled_for, runs[3].id)
    first = store.history_page(job_id=job_id, until=until, after=None, limit=2)
    second = store.history_page(job_id=job_id, until=until, after=first[-1].position, limit=9)
    assert [entry.run_id for entry in first + second] == [run.id for run in runs[:4]]
    assert len(store.history_page(job_id=None, until=until, after=None, limit=9)) == 5


@pytest.mark.parametrize("state", RunState)
def test_only_a_run_that_is_over_is_forgotten(store: SqlStore, state: RunState) -> None:
    (run,) = keep(store, ended(uuid4(), NOON, state))
    is_going = state in {RunState.RUNNING, RunState.QUEUED, RunState.RETRYING}
    (entry,) = store.history_page(job_id=None, until=ALWAYS, after=None, limit=9)
    assert entry.is_going is is_going
    assert store.forget_runs([run.id]) == (not is_going)
    assert kept_ids(store) == ({run.id} if is_going else set())


def test_a_run_that_is_stuck_is_not_forgotten(store: SqlStore) -> None:
    (run,) = keep(store, ended(uuid4(), NOON, RunState.TIMED_OUT, is_stuck=True))
    (entry,) = store.history_page(job_id=None, until=ALWAYS, after=None, limit=9)
    assert entry.is_going
    assert store.forget_runs([run.id]) == 0
    store.clear_stuck()
    assert store.forget_runs([run.id]) == 1


def test_a_run_is_forgotten_with_its_log_and_no_other(store: SqlStore) -> None:
    log = CapturedLog((LogLine(NOON, "stdout", "hello"),), 0)
    job = make_job()
    store.add_job(job)
    runs = keep(store, *(make_run(job_id=job.id, scheduled_for=NOON + number * MINUTE) for number in range(2)))
    store.finish([make_outcome(run, log=log) for run in runs])
    assert store.forget_runs([runs[0].id]) == 1
    assert (store.views.run_log(runs[0].id), store.views.run_log(runs[1].id)) == (None, log)
    assert store.forget_runs([]) == 0


def crowded(store: SqlStore, *, newest: int, limit: int) -> list[CrowdedJob]:
    found: list[CrowdedJob] = []
    after = None
    while True:
        page, after = store.crowded_jobs(newest=newest, after=after, limit=limit)
        found += page
        if after is None:
            return found


@pytest.mark.parametrize("limit", [1, 2, 3, 50])
def test_jobs_with_more_runs_than_are_kept_are_found_with_the_newest_beyond(store: SqlStore, limit: int) -> None:
    counts = [0, 1, 2, 3, 7]
    ids = [UUID(int=number + 1) for number in range(len(counts))]
    runs = {
        job_id: keep(store, *(ended(job_id, NOON + number * MINUTE) for number in range(count)))
        for job_id, count in zip(ids, counts, strict=True)
    }
    expected = [
        CrowdedJob(job_id, (runs[job_id][-3].scheduled_for, runs[job_id][-3].id)) for job_id in (ids[3], ids[4])
    ]
    assert crowded(store, newest=2, limit=limit) == expected
    assert crowded(store, newest=7, limit=limit) == []


def test_nothing_is_crowded_without_runs(store: SqlStore) -> None:
    assert store.crowded_jobs(newest=1, after=None, limit=10) == ([], None)


def test_ended_pauses_are_forgotten_and_those_in_force_are_not(store: SqlStore) -> None:
    job = make_job()
    store.add_job(job)
    for number in range(3):
        store.begin_global_pause(Pause(NOON + number * HOUR))
    assert store.replace_job(
        job, expected_version=1, dropped=None, ended_pause=EndedPause(job.id, Pause(NOON), NOON + MINUTE)
    )
    assert store.forget_pauses(ended_before=NOON, limit=10) == 0
    assert store.forget_pauses(ended_before=NOON + DAY, limit=2) == 2
    assert store.forget_pauses(ended_before=NOON + DAY, limit=2) == 1
    assert store.global_pause() == Pause(NOON + 2 * HOUR)


def test_old_nodes_are_forgotten_but_for_the_newest(store: SqlStore) -> None:
    nodes = [uuid4() for _ in range(5)]
    for number, node in enumerate(nodes):
        store.node_started(make_node(id=node, at=NOON + number * HOUR))
    assert store.forget_nodes(seen_before=NOON + DAY, keep=2, limit=1) == 1
    assert store.forget_nodes(seen_before=NOON + DAY, keep=2, limit=9) == 2
    assert store.forget_nodes(seen_before=NOON + DAY, keep=2, limit=9) == 0
    assert [each.node for each in store.uptimes(around=NOON + 3 * HOUR)] == nodes[3:]
    assert store.forget_nodes(seen_before=NOON, keep=0, limit=9) == 0


def test_what_is_on_record_around_an_instant_is_found(store: SqlStore) -> None:
    job_id = uuid4()
    slots = keep(store, *(ended(job_id, NOON + number * MINUTE) for number in range(6)))
    by_hand = keep(store, ended(job_id, NOON + 4 * MINUTE + SECOND / 2, trigger=Trigger.MANUAL))
    keep(store, ended(uuid4(), NOON + 4 * MINUTE))
    around = store.runs_around(job_id, first=NOON + 4 * MINUTE, end=NOON + 4 * MINUTE + SECOND)
    assert around.within == (slots[4], *by_hand)
    assert around.before == tuple(slots[3:0:-1])
    assert len(around.before) == MAX_SLOTS_BEFORE
    assert around.after == (slots[5],)
