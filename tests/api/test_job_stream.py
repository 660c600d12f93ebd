"""All jobs in one array, however many there are."""

import json
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from fastapi.responses import StreamingResponse
from starlette.testclient import TestClient

from api import job_stream
from api.job_stream import all_jobs
from api.responses import JobView
from engine.errors import StoreUnavailable
from engine.nouns import Job, JobStatus
from engine.timing import Timing
from store import SqlStore
from tests.fakes import NOON, Node


def keep_jobs(store: SqlStore, count: int) -> list[str]:
    """Put jobs on record, some of them created at one instant; returns their ids in the order of the list."""
    jobs = [a_job(number) for number in range(count)]
    for job in reversed(jobs):
        store.add_job(job)
    return [str(job.id) for job in jobs]


def a_job(number: int) -> Job:
    instant = NOON + timedelta(seconds=number // 3)
    return Job(
        id=UUID(int=number),
        name=f"job {number}",
        function_name="note",
        timing=Timing(interval_seconds=60.0),
        metadata={"number": number},
        status=JobStatus.PAUSED,
        anchor_at=instant,
        next_run_at=None,
        created_at=instant,
        updated_at=instant,
    )


@pytest.mark.parametrize("count", [0, 1, 6, 7, 8, 13, 14, 15, 21, 22])
def test_every_job_is_listed_once_in_order_of_creation(
    client: TestClient, store: SqlStore, monkeypatch: pytest.MonkeyPatch, count: int
) -> None:
    monkeypatch.setattr(job_stream, "JOBS_PER_READ", 7)
    kept = keep_jobs(store, count)

    response = client.get("/jobs")

    assert response.headers["content-type"] == "application/json"
    assert [job["id"] for job in response.json()] == kept


class EndlessStore:
    """A store with far more jobs than memory should hold, which counts how many were read."""

    def __init__(self, count: int) -> None:
        self.count = count
        self.read = 0

    def jobs_page(self, *, after: tuple[datetime, UUID] | None, limit: int) -> Sequence[Job]:
        first = 0 if after is None else after[1].int + 1
        page = [a_job(number) for number in range(first, min(first + limit, self.count))]
        self.read += len(page)
        return page


@pytest.mark.anyio
@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_no_page_is_read_before_the_one_before_it_is_sent() -> None:
    store: Any = EndlessStore(20_000)

    response = all_jobs(store, view=lambda job: JobView.of(job, orphaned=False, metadata_error=None))

    assert store.read == 500
    assert isinstance(response, StreamingResponse)
    chunks = 0
    async for chunk in response.body_iterator:
        chunks += 1
        assert store.read <= 500 * chunks
        assert len(chunk) < 500_000
    assert store.read == 20_000


def test_a_store_that_fails_between_pages_leaves_an_array_without_end(
    client: TestClient, store: SqlStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(job_stream, "JOBS_PER_READ", 2)
    keep_jobs(store, 4)
    read = store.views.jobs_page

    def read_once(*, after: tuple[datetime, UUID] | None, limit: int) -> Sequence[Job]:
        if after is not None:
            raise StoreUnavailable("gone")
        return read(after=after, limit=limit)

    monkeypatch.setattr(store.views, "jobs_page", read_once)

    response = client.get("/jobs")

    with pytest.raises(json.JSONDecodeError):
        json.loads(response.content)


def test_orphaned_is_said_of_each_job_by_itself(client: TestClient, store: SqlStore, node: Node) -> None:
    keep_jobs(store, 1)
    created = client.post("/jobs", json={"name": "a", "function_name": "print_hello", "interval_seconds": 1}).json()
    node.functions._functions.pop("print_hello")

    listed = {job["id"]: job["orphaned"] for job in client.get("/jobs").json()}

    assert listed == {str(UUID(int=0)): False, created["id"]: True}
