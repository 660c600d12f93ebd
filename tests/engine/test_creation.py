"""Jobs that are created together: one transaction, and for each its own job or refusal."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from engine.errors import InvalidSchedule, StoreUnavailable, UnknownCalendar, UnknownFunction
from engine.nouns import Job, JobStatus
from engine.requests import JobDraft
from engine.timing import Timing
from store import SqlStore
from tests.databases import open_new_store
from tests.fakes import Node, running


@pytest.fixture
def node(tmp_path: Path) -> Iterator[Node]:
    store = open_new_store(tmp_path)
    node = Node(store)
    node.functions.register("nothing", _do_nothing)
    with running(node):
        yield node
    store.close()


def _do_nothing(job_id: str) -> None:
    """Do nothing."""


def draft(name: str, **overrides: Any) -> JobDraft:
    fields: dict[str, Any] = {"function_name": "nothing", "timing": Timing(interval_seconds=10), "metadata": {}}
    return JobDraft(**fields | {"name": name} | overrides)


def kept(node: Node) -> dict[UUID, Job]:
    store = node.store
    assert isinstance(store, SqlStore)
    return {job.id: job for job in store.views.jobs_page(after=None, limit=1_000)}


def jobs_of(results: list[Job | Exception]) -> list[Job]:
    return [result for result in results if isinstance(result, Job)]


def test_each_is_kept_and_scheduled(node: Node) -> None:
    results = node.scheduler.create_jobs([draft("one"), draft("two", status=JobStatus.PAUSED), draft("three")])

    jobs = jobs_of(results)
    assert [job.name for job in jobs] == ["one", "two", "three"]
    assert kept(node) == {job.id: job for job in jobs}
    node.advance(11)
    assert [len(node.runs(job)) for job in jobs] == [1, 0, 1]


def test_they_are_written_in_one_transaction(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    writes: list[int] = []
    add = SqlStore.add_jobs

    def add_and_note(store: SqlStore, jobs: list[Job]) -> None:
        writes.append(len(jobs))
        add(store, jobs)

    monkeypatch.setattr(SqlStore, "add_jobs", add_and_note)
    monkeypatch.delattr(SqlStore, "add_job")

    node.scheduler.create_jobs([draft(str(number)) for number in range(5)])

    assert writes == [5]


def test_one_that_is_refused_leaves_no_trace_and_undoes_no_other(node: Node) -> None:
    results = node.scheduler.create_jobs(
        [
            draft("one"),
            draft("unknown", function_name="no such"),
            draft("two"),
            draft("never", timing=Timing(cron_expression="0 0 30 2 *")),
            draft("listing", timing=Timing(interval_seconds=10, exclude_calendars=("no such",))),
        ]
    )

    refusals = [type(result) for result in results if not isinstance(result, Job)]
    assert refusals == [UnknownFunction, InvalidSchedule, UnknownCalendar]
    assert {job.name for job in kept(node).values()} == {"one", "two"}


def test_a_commit_that_fails_fails_all_and_none_is_tried_again(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise StoreUnavailable("the disk is full")

    monkeypatch.setattr(SqlStore, "add_jobs", fail)
    results = node.scheduler.create_jobs([draft("one"), draft("two")])

    assert [repr(result) for result in results] == ["StoreUnavailable('the disk is full')"] * 2
    assert kept(node) == {}


def test_of_a_commit_that_was_not_told_of_each_job_runs_all_the_same(
    node: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    add = SqlStore.add_jobs

    def keep_and_fail(store: SqlStore, jobs: list[Job]) -> None:
        add(store, jobs)
        raise StoreUnavailable("the connection was cut")

    monkeypatch.setattr(SqlStore, "add_jobs", keep_and_fail)
    node.scheduler.create_jobs([draft("one"), draft("two")])
    node.advance(11)

    assert [len(node.runs(job)) for job in kept(node).values()] == [1, 1]


def test_one_that_cannot_be_written_does_not_keep_the_others_from_it(node: Node) -> None:
    unwritable = draft("three", metadata={"key": {1, 2}})

    results = node.scheduler.create_jobs([draft("one"), draft("two"), unwritable])

    assert [isinstance(result, Job) for result in results] == [True, True, False]
    assert {job.name for job in kept(node).values()} == {"one", "two"}


def test_one_alone_is_a_batch_too(node: Node) -> None:
    (job,) = jobs_of(node.scheduler.create_jobs([draft("one")]))

    assert list(kept(node)) == [job.id]
