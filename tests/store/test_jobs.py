"""Jobs in the store, the same on both databases."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import pytest
from sqlalchemy.exc import IntegrityError

from engine.nouns import Dropping, DueHint, Job, JobStatus, RunState
from engine.timing import Timing
from store import SqlStore
from tests.factories import NOON, make_advance, make_job, make_run


def added(store: SqlStore, *jobs: Job) -> None:
    for job in jobs:
        store.add_job(job)


def test_a_job_comes_back_as_it_was_kept(store: SqlStore) -> None:
    interval = make_job(
        interval_seconds=0.1,
        metadata={"text": "Grüße, 世界 🌍", "nul": "\x00", "deep": [{"a": None}, 1.5, True]},
        last_run_at=NOON - timedelta(microseconds=1),
        last_scheduled_for=NOON - timedelta(minutes=1),
        version=7,
    )
    cron = make_job(cron_expression="*/5 * * * *", metadata={}, next_run_at=None, status=JobStatus.PAUSED)
    added(store, interval, cron)
    assert store.job(interval.id) == interval
    assert store.job(cron.id) == cron
    assert store.job(uuid4()) is None


@pytest.mark.parametrize("status", JobStatus)
def test_every_status_comes_back(store: SqlStore, status: JobStatus) -> None:
    job = make_job(status=status)
    store.add_job(job)
    stored = store.job(job.id)
    assert stored is not None
    assert stored.status is status


def test_instants_from_the_first_year_to_the_last_come_back_and_sort(store: SqlStore) -> None:
    first = datetime(1, 1, 1, tzinfo=UTC)
    last = datetime(9999, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC)
    early, late = make_job(created_at=first, next_run_at=first), make_job(created_at=last, next_run_at=last)
    added(store, late, early)
    assert store.views.jobs_page(after=None, limit=2) == [early, late]
    assert store.overdue_job_ids(due_before=NOON, after=None, limit=2) == [early.id]


def test_instants_come_back_in_utc(store: SqlStore) -> None:
    job = make_job()
    store.add_job(job)
    stored = store.job(job.id)
    assert stored is not None
    assert stored.created_at.tzinfo is UTC


@pytest.mark.parametrize(
    "schedule",
    [
        (None, None, None),
        (60.0, "* * * * *", None),
        (60.0, None, NOON),
        (None, "* * * * *", NOON),
        (60.0, "* * * * *", NOON),
    ],
)
def test_a_job_with_no_schedule_or_more_than_one_is_not_kept(
    store: SqlStore, schedule: tuple[float | None, str | None, datetime | None]
) -> None:
    job = make_job(timing=Timing(interval_seconds=schedule[0], cron_expression=schedule[1], run_at=schedule[2]))
    with pytest.raises(IntegrityError):
        store.add_job(job)
    assert store.job(job.id) is None


def test_jobs_are_found_by_their_ids(store: SqlStore) -> None:
    jobs = [make_job() for _ in range(5)]
    added(store, *jobs)
    wanted = [jobs[0].id, jobs[3].id, uuid4()]
    assert {job.id for job in store.jobs_by_id(wanted)} == {jobs[0].id, jobs[3].id}
    assert store.jobs_by_id([]) == []


def test_pages_of_jobs_join_up_also_where_jobs_were_made_at_the_same_instant(store: SqlStore) -> None:
    jobs = [make_job(created_at=NOON + timedelta(seconds=number // 3)) for number in range(10)]
    added(store, *jobs)
    expected = sorted(jobs, key=lambda job: (job.created_at, job.id))
    pages: list[Job] = []
    while page := store.views.jobs_page(after=(pages[-1].created_at, pages[-1].id) if pages else None, limit=4):
        pages.extend(page)
    assert pages == expected


def test_jobs_are_counted_by_function(store: SqlStore) -> None:
    added(store, make_job(function_name="a"), make_job(function_name="b"), make_job(function_name="a"))
    assert store.jobs_per_function() == {"a": 2, "b": 1}


def test_the_jobs_of_some_functions_come_in_the_order_of_their_ids(store: SqlStore) -> None:
    wanted = [make_job(function_name=name) for name in ("a", "b", "a", "b")]
    for job in (*wanted, make_job(function_name="c"), make_job(function_name="A")):
        store.add_job(job)
    expected = sorted(job.id for job in wanted)

    assert store.job_ids_of(["a", "b", "gone"], after=None, limit=3) == expected[:3]
    assert store.job_ids_of(["a", "b", "gone"], after=expected[2], limit=3) == expected[3:]
    assert store.job_ids_of(["a", "b"], after=expected[3], limit=3) == []
    assert store.job_ids_of(["gone"], after=None, limit=3) == []


def test_an_edit_replaces_the_version_it_was_made_from(store: SqlStore) -> None:
    job = make_job()
    store.add_job(job)
    edited = replace(
        job,
        name="New",
        timing=Timing(cron_expression="@daily", timezone="Europe/Berlin", max_runs=3, jitter_seconds=1.5),
        status=JobStatus.PAUSED,
        next_run_at=None,
        version=2,
    )
    assert store.replace_job(edited, expected_version=1, dropped=None)
    assert store.job(job.id) == edited


def test_an_edit_of_an_older_version_changes_nothing(store: SqlStore) -> None:
    job = make_job(version=5)
    store.add_job(job)
    dropped = make_run(job_id=job.id, state=RunState.SKIPPED)
    assert not store.replace_job(replace(job, name="New", version=5), expected_version=4, dropped=dropped)
    assert store.job(job.id) == job
    assert store.run(dropped.id) is None


def test_an_edit_of_a_deleted_job_changes_nothing(store: SqlStore) -> None:
    assert not store.replace_job(make_job(version=2), expected_version=1, dropped=None)
    assert store.views.jobs_page(after=None, limit=1) == []


def test_an_edit_keeps_the_row_of_the_slot_it_drops(store: SqlStore) -> None:
    job = make_job()
    store.add_job(job)
    dropped = make_run(job_id=job.id).skipped("paused", at=NOON)
    assert store.replace_job(replace(job, version=2), expected_version=1, dropped=dropped)
    assert store.run(dropped.id) == dropped


def test_an_edit_does_not_take_back_a_start_that_came_between(store: SqlStore) -> None:
    job = make_job()
    store.add_job(job)
    store.add_manual_run(make_run(job_id=job.id, trigger="manual", started_at=NOON))
    store.replace_job(replace(job, name="New", version=2), expected_version=1, dropped=None)
    stored = store.job(job.id)
    assert stored is not None
    assert (stored.name, stored.last_run_at) == ("New", NOON)


def test_an_edit_does_not_change_the_count_of_runs(store: SqlStore) -> None:
    job = make_job(run_count=7)
    store.add_job(job)
    store.replace_job(replace(job, name="New", run_count=0, version=2), expected_version=1, dropped=None)
    stored = store.job(job.id)
    assert stored is not None
    assert (stored.name, stored.run_count) == ("New", 7)


def test_a_deleted_job_is_gone_and_its_runs_stay(store: SqlStore) -> None:
    job, other = make_job(), make_job()
    added(store, job, other)
    store.advance([make_advance(job)])
    assert store.delete_job(job.id, at=NOON)
    assert not store.delete_job(job.id, at=NOON)
    assert store.job(job.id) is None
    assert store.views.has_runs(job.id)
    assert store.job(other.id) == other


def test_deleting_all_jobs_tells_which_there_were(store: SqlStore) -> None:
    jobs = [make_job() for _ in range(3)]
    added(store, *jobs)
    store.advance([make_advance(jobs[0])])
    assert set(store.delete_all_jobs(at=NOON) or ()) == {job.id for job in jobs}
    assert store.delete_all_jobs(at=NOON) == []
    assert store.views.has_runs(jobs[0].id)


def test_hints_tell_of_scheduled_jobs_only(store: SqlStore) -> None:
    active, failed = make_job(version=3), make_job(status=JobStatus.FAILED, next_run_at=NOON + timedelta(hours=1))
    paused = make_job(status=JobStatus.PAUSED, next_run_at=None)
    added(store, active, failed, paused, make_job(status=JobStatus.COMPLETED, next_run_at=None))
    assert set(store.due_hints()) == {
        DueHint(active.id, NOON, 3, function_name=active.function_name),
        DueHint(failed.id, NOON + timedelta(hours=1), 1, function_name=failed.function_name),
    }


@pytest.mark.parametrize("count", [0, 1, 2, 3, 4, 7])
def test_hints_are_read_in_pieces_that_join_up(store: SqlStore, monkeypatch: pytest.MonkeyPatch, count: int) -> None:
    monkeypatch.setattr("store.sql_store.HINTS_PER_READ", 2)
    jobs = [make_job() for _ in range(count)]
    added(store, *jobs)
    hints = list(store.due_hints())
    assert len(hints) == count
    assert {hint.job_id for hint in hints} == {job.id for job in jobs}


def test_the_store_can_be_written_while_hints_are_read(store: SqlStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("store.sql_store.HINTS_PER_READ", 1)
    jobs = [make_job() for _ in range(3)]
    added(store, *jobs)
    seen = [hint.job_id for hint in store.due_hints() if store.advance([make_advance(store_job(store, hint.job_id))])]
    assert sorted(seen) == sorted(job.id for job in jobs)


def test_overdue_jobs_come_in_the_order_of_their_ids(store: SqlStore) -> None:
    overdue = sorted([make_job() for _ in range(4)], key=lambda job: job.id)
    added(store, *reversed(overdue), make_job(next_run_at=NOON + timedelta(microseconds=1)))
    added(store, make_job(status=JobStatus.PAUSED, next_run_at=None))
    assert store.overdue_job_ids(due_before=NOON, after=None, limit=3) == [job.id for job in overdue[:3]]
    assert store.overdue_job_ids(due_before=NOON, after=overdue[2].id, limit=3) == [job.id for job in overdue[3:]]


def store_job(store: SqlStore, job_id: UUID) -> Job:
    job = store.job(job_id)
    assert job is not None
    return job


def test_an_edit_that_leaves_the_status_does_not_undo_what_a_run_made_of_it(store: SqlStore) -> None:
    job = make_job()
    store.add_job(job)
    store.replace_job(replace(job, status=JobStatus.FAILED, version=2), expected_version=1, dropped=None)

    renamed = replace(job, name="renamed", status=JobStatus.ACTIVE, version=3)
    assert store.replace_job(renamed, expected_version=2, dropped=None, keeps_status=True)

    stored = store.job(job.id)
    assert stored is not None
    assert (stored.name, stored.status) == ("renamed", JobStatus.FAILED)


def test_a_deletion_records_the_slots_it_leaves_unclaimed(store: SqlStore) -> None:
    job = make_job()
    store.add_job(job)
    dropped = make_run(job_id=job.id, state=RunState.MISSED)

    assert not store.delete_job(job.id, at=NOON, dropping=Dropping(job.version + 1, dropped))
    assert store.job(job.id) == job
    assert store.delete_job(job.id, at=NOON, dropping=Dropping(job.version, dropped))
    assert store.job(job.id) is None
    assert store.run(dropped.id) == dropped


def test_deleting_all_jobs_records_slots_of_those_that_did_not_move_meanwhile(store: SqlStore) -> None:
    still, moved = make_job(), make_job(version=2)
    added(store, still, moved)
    droppings = [Dropping(1, make_run(job_id=job.id, state=RunState.MISSED)) for job in (still, moved)]

    assert sorted(store.delete_all_jobs(at=NOON, droppings=droppings) or ()) == sorted([still.id, moved.id])

    assert store.run(droppings[0].run.id) == droppings[0].run
    assert store.run(droppings[1].run.id) is None
