"""Jobs that list calendars: no job lists one that is not there, whatever happens at the same moment."""

import json
import sqlite3
from contextlib import closing
from dataclasses import replace
from datetime import timedelta
from functools import partial
from pathlib import Path
from uuid import uuid4

import pytest

from engine.errors import CalendarInUse, UnknownCalendar
from engine.nouns import Job, JobStatus, RunState
from store import SqlStore, open_store
from tests.factories import NOON, make_job, make_run
from tests.store.test_calendars import NEW_YEAR, at_once, holidays


def listing(*names: str, **overrides: object) -> Job:
    return make_job(exclude_calendars=names, **overrides)


def with_calendars(store: SqlStore, *names: str) -> None:
    for name in names:
        store.add_calendar(holidays(name))


def relisted(job: Job, *names: str) -> Job:
    return replace(job, timing=replace(job.timing, exclude_calendars=names), version=job.version + 1)


def test_a_job_lists_its_calendars_in_its_own_order(store: SqlStore) -> None:
    with_calendars(store, "a", "b", "c")
    job = listing("c", "a", "b")
    store.add_job(job)
    assert store.job(job.id) == job


def test_a_job_that_lists_an_unknown_calendar_is_not_kept(store: SqlStore) -> None:
    with_calendars(store, "a")
    job = listing("a", "b", "c")
    with pytest.raises(UnknownCalendar, match='"b"'):
        store.add_job(job)
    assert store.job(job.id) is None


def test_an_edit_that_lists_an_unknown_calendar_changes_nothing(store: SqlStore) -> None:
    with_calendars(store, "a")
    job = listing("a")
    store.add_job(job)
    dropped = make_run(job_id=job.id, state=RunState.SKIPPED)
    with pytest.raises(UnknownCalendar, match='"b"'):
        store.replace_job(relisted(job, "a", "b"), expected_version=1, dropped=dropped)
    assert store.job(job.id) == job
    assert store.run(dropped.id) is None


def test_an_old_copy_of_a_job_is_an_old_copy_also_when_its_calendar_is_gone(store: SqlStore) -> None:
    with_calendars(store, "a")
    job = listing("a")
    store.add_job(job)
    assert store.replace_job(relisted(job), expected_version=1, dropped=None)
    store.delete_calendar("a")
    renamed = replace(job, name="New", version=2)
    assert not store.replace_job(renamed, expected_version=1, dropped=None)


def test_a_calendar_that_jobs_list_stays(store: SqlStore) -> None:
    with_calendars(store, "a", "b")
    jobs = [listing("b", "a", created_at=NOON + timedelta(seconds=number), name=f"job {number}") for number in range(7)]
    for job in reversed(jobs):
        store.add_job(job)
    store.add_job(listing("b", created_at=NOON - timedelta(days=1)))
    with pytest.raises(CalendarInUse, match="in use by 7 jobs") as raised:
        store.delete_calendar("a")
    assert raised.value.jobs == tuple((job.id, job.name) for job in jobs[:5])
    assert raised.value.count == 7
    assert store.views.calendar("a") == holidays("a")


@pytest.mark.parametrize("status", JobStatus)
def test_a_job_in_any_status_keeps_its_calendar(store: SqlStore, status: JobStatus) -> None:
    with_calendars(store, "a")
    store.add_job(listing("a", status=status, next_run_at=None))
    with pytest.raises(CalendarInUse):
        store.delete_calendar("a")


def test_a_calendar_may_go_once_no_job_lists_it(store: SqlStore) -> None:
    with_calendars(store, "a", "b")
    edited, deleted = listing("a"), listing("a")
    store.add_job(edited)
    store.add_job(deleted)
    store.replace_job(relisted(edited, "b"), expected_version=1, dropped=None)
    store.delete_job(deleted.id, at=NOON)
    store.delete_calendar("a")
    assert [calendar.name for calendar in store.views.all_calendars()] == ["b"]


def test_jobs_that_list_a_calendar_are_found_by_its_whole_name(store: SqlStore) -> None:
    near = ["a_c", "abc", "a-c", "a_c.d", "x.a_c", "a_cc", "a.c"]
    with_calendars(store, *near)
    jobs = {name: listing(name, created_at=NOON + timedelta(seconds=at)) for at, name in enumerate(near)}
    both = listing("abc", "a_c", created_at=NOON - timedelta(seconds=1))
    for job in (*jobs.values(), both, make_job()):
        store.add_job(job)
    assert store.job_ids_listing("a_c") == [both.id, jobs["a_c"].id]
    assert store.job_ids_listing("abc") == [both.id, jobs["abc"].id]
    assert store.job_ids_listing("x.a_c") == [jobs["x.a_c"].id]
    assert store.job_ids_listing("c") == store.job_ids_listing("%") == []


def test_rows_that_somebody_else_wrote_do_not_end_the_search(sqlite_path: Path, sqlite_url: str) -> None:
    """On SQLite, where a column of JSON takes any text."""
    store = open_store(sqlite_url)
    with_calendars(store, "a")
    ours = listing("a")
    store.add_job(ours)
    texts = ['["a"', "", "null", '"a"', '{"a": "a"}', '[["a"], {"x": "a"}, null, 1]', '["A"]', "\\", '[\n"\\u0061" ]']
    odd = [make_job(created_at=NOON + timedelta(seconds=1 + number)) for number in range(len(texts))]
    for job in odd:
        store.add_job(job)
    with closing(sqlite3.connect(sqlite_path)) as connection, connection:
        for job, text in zip(odd, texts, strict=True):
            connection.execute("UPDATE jobs SET exclude_calendars = ? WHERE id = ?", (text, job.id.hex))
    assert store.job_ids_listing("a") == [ours.id, odd[-1].id]
    with pytest.raises(CalendarInUse, match="in use by 2 jobs"):
        store.delete_calendar("a")
    store.close()


def test_names_are_kept_as_plain_json(sqlite_path: Path, sqlite_url: str) -> None:
    store = open_store(sqlite_url)
    with_calendars(store, "b", "a")
    store.add_job(listing("b", "a"))
    store.close()
    with closing(sqlite3.connect(sqlite_path)) as connection:
        ((listed,),) = connection.execute("SELECT exclude_calendars FROM jobs").fetchall()
        ((dates,),) = connection.execute("SELECT dates FROM calendars WHERE name = 'a'").fetchall()
    assert (json.loads(listed), json.loads(dates)) == (["b", "a"], ["2026-12-25"])


def test_a_new_job_and_the_end_of_its_calendar_at_the_same_moment_do_not_both_happen(store: SqlStore) -> None:
    for _ in range(30):
        with_calendars(store, name := f"c{uuid4().hex}")
        job = listing(name)
        told = at_once(partial(store.add_job, job), partial(store.delete_calendar, name))
        assert told in ([None, CalendarInUse], [UnknownCalendar, None])
        assert (store.job(job.id) is None) == (store.views.calendar(name) is None) == (told[0] is UnknownCalendar)


def test_an_edit_and_the_end_of_the_calendar_that_it_lists_do_not_both_happen(store: SqlStore) -> None:
    for _ in range(30):
        with_calendars(store, name := f"c{uuid4().hex}")
        job = make_job()
        store.add_job(job)
        edited = relisted(job, name)
        told = at_once(
            partial(store.replace_job, edited, expected_version=1, dropped=None), partial(store.delete_calendar, name)
        )
        assert told in ([None, CalendarInUse], [UnknownCalendar, None])
        assert store.job(job.id) == (edited if told[0] is None else job)
        assert (store.views.calendar(name) is None) == (told[0] is UnknownCalendar)


def test_jobs_and_dates_may_come_to_a_calendar_at_the_same_moment(store: SqlStore) -> None:
    with_calendars(store, "a", "b")

    def add_jobs(*names: str) -> None:
        for _ in range(20):
            store.add_job(listing(*names))

    def add_dates(name: str) -> None:
        for number in range(20):
            store.add_calendar_dates(name, [NEW_YEAR + timedelta(days=number)], updated_at=NOON)

    told = at_once(
        lambda: add_jobs("a", "b"), lambda: add_jobs("b", "a"), lambda: add_dates("a"), lambda: add_dates("b")
    )
    assert told == [None] * 4
    assert len(store.job_ids_listing("a")) == 40
