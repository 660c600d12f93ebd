"""Lists of jobs, filtered, in every order and page by page, the same on both databases."""

from datetime import timedelta

import pytest

from engine.job_listing import EVERY_JOB, JobFilter, JobOrder, JobPosition, SortKey
from engine.nouns import Job, JobStatus
from store import SqlStore
from tests.factories import NOON, make_job

ORDERS = [JobOrder(key, is_descending=backwards) for key in SortKey for backwards in (False, True)]
NAMES = ["b", "B", "a", "a", "Ä", "ä", "_", "世界", "a b", "100%", "10_0", "\\", "🌍", ""]


@pytest.fixture
def jobs(store: SqlStore) -> list[Job]:
    """Jobs that are alike in much, so that ids decide."""
    made = [
        make_job(
            name=name or "z",
            function_name=("first", "second")[number % 2],
            status=(JobStatus.ACTIVE, JobStatus.PAUSED, JobStatus.FAILED)[number // 2 % 3],
            next_run_at=(None, NOON, NOON + timedelta(seconds=1))[number % 3],
            created_at=NOON + timedelta(seconds=number // 3 % 4),
        )
        for number, name in enumerate(NAMES)
    ]
    for job in made:
        store.add_job(job)
    return made


def in_order(jobs: list[Job], order: JobOrder) -> list[Job]:
    """As the definition has it: those without a value last, the others by value and id."""

    def place(job: Job) -> tuple[object, bytes]:
        return getattr(job, order.key.value), job.id.bytes

    known = [job for job in jobs if getattr(job, order.key.value) is not None]
    unknown = [job for job in jobs if getattr(job, order.key.value) is None]
    return [
        *sorted(known, key=place, reverse=order.is_descending),
        *sorted(unknown, key=lambda job: job.id.bytes, reverse=order.is_descending),
    ]


def all_pages(store: SqlStore, wanted: JobFilter, order: JobOrder, *, limit: int) -> list[Job]:
    found: list[Job] = []
    after: JobPosition | None = None
    while True:
        page, _count = store.views.listed_jobs(wanted, order, after=after, limit=limit)
        found += page
        if len(page) < limit:
            return found
        after = JobPosition.of(page[-1], order)


@pytest.mark.parametrize("order", ORDERS, ids=lambda order: f"{'-' if order.is_descending else ''}{order.key}")
@pytest.mark.parametrize("limit", [1, 3, 100])
def test_pages_in_any_order_hold_each_job_once(store: SqlStore, jobs: list[Job], order: JobOrder, limit: int) -> None:
    found = all_pages(store, EVERY_JOB, order, limit=limit)
    assert [job.name for job in found] == [job.name for job in in_order(jobs, order)]
    assert found == in_order(jobs, order)


@pytest.mark.parametrize(
    ("wanted", "has"),
    [
        (JobFilter(status=JobStatus.FAILED), lambda job: job.status is JobStatus.FAILED),
        (JobFilter(function_name="second"), lambda job: job.function_name == "second"),
        (JobFilter(function_name="nobody's"), lambda job: False),
        (JobFilter(name_contains="B"), lambda job: "b" in job.name.lower()),
        (JobFilter(name_contains="%"), lambda job: "%" in job.name),
        (JobFilter(name_contains="_"), lambda job: "_" in job.name),
        (JobFilter(name_contains="\\"), lambda job: "\\" in job.name),
        (JobFilter(name_contains="世"), lambda job: "世" in job.name),
        (JobFilter(due_before=NOON), lambda job: False),
        (JobFilter(due_before=NOON + timedelta(seconds=1)), lambda job: job.next_run_at == NOON),
        (
            JobFilter(status=JobStatus.ACTIVE, function_name="first", name_contains="a"),
            lambda job: job.status is JobStatus.ACTIVE and job.function_name == "first" and "a" in job.name.lower(),
        ),
    ],
    ids=[f"filter-{number}" for number in range(11)],
)
def test_a_filter_takes_the_jobs_that_have_all_of_it(
    store: SqlStore, jobs: list[Job], wanted: JobFilter, has: object
) -> None:
    assert callable(has)
    fitting = [job for job in in_order(jobs, JobOrder()) if has(job)]
    page, number = store.views.listed_jobs(wanted, JobOrder(), after=None, limit=100)
    assert page == fitting
    assert number == len(fitting)


def test_the_number_of_jobs_is_that_of_all_pages(store: SqlStore, jobs: list[Job]) -> None:
    page, number = store.views.listed_jobs(EVERY_JOB, JobOrder(), after=None, limit=2)
    assert (len(page), number) == (2, len(jobs))
