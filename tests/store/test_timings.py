"""The schedule of a job in the store: every field of its timing comes back as it was kept."""

from dataclasses import Field, fields
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from engine.nouns import Job, JobStatus, Pause
from engine.policies import Policies
from engine.timing import DstGap, DstOverlap, OnExcluded, Timing
from store import SqlStore
from store.tables import jobs
from tests.factories import NOON, make_calendar, make_job

WHOLE = Timing(
    cron_expression="30 2 * * *",
    timezone="America/Argentina/ComodRivadavia",
    dst_gap=DstGap.SKIP,
    dst_overlap=DstOverlap.BOTH,
    start_at=NOON - timedelta(microseconds=1),
    end_at=datetime(9999, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC),
    max_runs=1_000_000_000,
    jitter_seconds=0.1,
    on_excluded=OnExcluded.NEXT_BUSINESS_DAY,
)
"""A timing with every field set that needs nothing else, in a schedule of each kind below."""


@pytest.mark.parametrize("kind", [{"interval_seconds": 1 / 3}, {"cron_expression": "@daily"}, {"run_at": NOON}])
def test_every_field_of_a_timing_comes_back(store: SqlStore, kind: dict[str, object]) -> None:
    job = make_job(timing=WHOLE.with_changes(kind), run_count=999_999_999)
    store.add_job(job)
    assert store.job(job.id) == job
    assert store.jobs_by_id([job.id]) == store.views.jobs_page(after=None, limit=1) == [job]


@pytest.mark.parametrize("field", fields(Timing), ids=lambda field: field.name)
def test_a_timing_that_says_nothing_of_a_field_comes_back(store: SqlStore, field: Field[Any]) -> None:
    if field.name == "cron_expression":
        timing = WHOLE.with_changes({"run_at": NOON})
    else:
        timing = WHOLE.with_changes({field.name: getattr(Timing(), field.name)})
    job = make_job(timing=timing)
    store.add_job(job)
    assert store.job(job.id) == job


@pytest.mark.parametrize("word", [*DstGap, *DstOverlap, *OnExcluded])
def test_every_word_of_a_timing_comes_back_as_what_it_is(
    store: SqlStore, word: DstGap | DstOverlap | OnExcluded
) -> None:
    field = {DstGap: "dst_gap", DstOverlap: "dst_overlap", OnExcluded: "on_excluded"}[type(word)]
    job = make_job(**{field: word})
    store.add_job(job)
    stored = store.job(job.id)
    assert stored is not None
    assert getattr(stored.timing, field) is word


def test_jobs_whose_next_slot_a_zone_or_a_calendar_decides_come_in_the_order_of_their_ids(store: SqlStore) -> None:
    store.add_calendar(make_calendar("a"))
    berlin = {"cron_expression": "@daily", "timezone": "Europe/Berlin"}
    local = [
        make_job(**berlin),
        make_job(**berlin, status=JobStatus.FAILED),
        make_job(exclude_calendars=("a",)),
        make_job(**berlin, exclude_calendars=("a",)),
    ]
    others = [
        make_job(cron_expression="@daily"),
        make_job(timezone="Europe/Berlin"),
        make_job(run_at=NOON, timezone="Europe/Berlin"),
        make_job(**berlin, status=JobStatus.PAUSED, next_run_at=None),
        make_job(exclude_calendars=("a",), status=JobStatus.COMPLETED, next_run_at=None),
    ]
    for job in (*others, *local):
        store.add_job(job)
    expected = sorted(job.id for job in local)
    assert store.local_job_ids(after=None, limit=3) == expected[:3]
    assert store.local_job_ids(after=expected[2], limit=3) == expected[3:]
    assert store.local_job_ids(after=expected[3], limit=3) == []


OF_A_PAUSE = {
    "at": "paused_at",
    "until": "paused_until",
    "by": "paused_by",
    "note": "pause_note",
    "reason": "pause_reason",
}


def test_each_column_of_a_job_belongs_to_one_field_of_it_or_of_one_of_its_parts() -> None:
    of_job, of_timing, of_policies, of_pause = (
        {field.name for field in fields(one)} for one in (Job, Timing, Policies, Pause)
    )
    assert of_pause == OF_A_PAUSE.keys()
    own = (of_job - {"timing", "policies", "pause", "metadata"}) | {"job_metadata"}
    parts = [own, of_timing, of_policies, set(OF_A_PAUSE.values())]
    assert set.union(*parts) == set(jobs.c.keys())
    assert sum(map(len, parts)) == len(jobs.c)
