"""GET /jobs, filtered, ordered and page by page; and, without all that, as clients have always had it."""

from typing import Any

import pytest
from starlette.testclient import TestClient

from api.job_pages import SORTS, read_cursor, write_cursor
from api.limits import MAX_JOB_CURSOR_LENGTH
from engine.job_listing import JobOrder, JobPosition, SortKey
from engine.nouns import JobStatus
from tests.api.requests_and_answers import create
from tests.factories import NOON, make_job
from tests.fakes import Node


def names(answer: Any) -> list[str]:
    assert answer.status_code == 200, answer.text
    return [job["name"] for job in answer.json()]


@pytest.fixture
def _jobs(client: TestClient, node: Node) -> None:
    for number, name in enumerate(["Delta", "alpha", "Charlie", "bravo", "echo"]):
        node.advance(0.001)
        create(client, name=name, interval_seconds=60 * (5 - number), status="paused" if number == 4 else "active")


@pytest.mark.usefixtures("_jobs")
def test_without_wishes_every_job_is_told_in_one_array(client: TestClient) -> None:
    answer = client.get("/jobs")
    assert names(answer) == ["Delta", "alpha", "Charlie", "bravo", "echo"]
    assert not {"Link", "X-Total-Count"} & answer.headers.keys()
    # What nobody knows is nobody's wish.
    assert names(client.get("/jobs?colour=red")) == names(answer)


@pytest.mark.usefixtures("_jobs")
@pytest.mark.parametrize("sort", sorted(SORTS))
@pytest.mark.parametrize("limit", [1, 2, 5, 500])
def test_pages_lead_to_each_other_and_hold_each_job_once(client: TestClient, sort: str, limit: int) -> None:
    whole = names(client.get("/jobs", params={"sort": sort, "limit": 500}))
    assert sorted(whole) == sorted(names(client.get("/jobs")))
    found: list[str] = []
    path = f"/jobs?sort={sort}&limit={limit}"
    while path:
        answer = client.get(path)
        assert answer.headers["X-Total-Count"] == "5"
        found += names(answer)
        path = answer.links.get("next", {}).get("url", "")
    assert found == whole


@pytest.mark.usefixtures("_jobs")
def test_jobs_are_ordered_as_is_wished(client: TestClient) -> None:
    assert names(client.get("/jobs?sort=name")) == ["Charlie", "Delta", "alpha", "bravo", "echo"]
    assert names(client.get("/jobs?sort=-name")) == ["echo", "bravo", "alpha", "Delta", "Charlie"]
    # A paused job has no next slot, and comes last both ways.
    assert names(client.get("/jobs?sort=next_run_at")) == ["bravo", "Charlie", "alpha", "Delta", "echo"]
    assert names(client.get("/jobs?sort=-next_run_at")) == ["Delta", "alpha", "Charlie", "bravo", "echo"]


@pytest.mark.usefixtures("_jobs")
def test_jobs_are_filtered_and_counted(client: TestClient) -> None:
    answer = client.get("/jobs?status=paused")
    assert (names(answer), answer.headers["X-Total-Count"]) == (["echo"], "1")
    assert names(client.get("/jobs?name=A&status=active&sort=name")) == ["Charlie", "Delta", "alpha", "bravo"]
    assert names(client.get("/jobs?function_name=print_hello")) == []
    assert names(client.get("/jobs", params={"due_before": "2026-01-01T12:03:00Z"})) == ["bravo"]
    assert names(client.get("/jobs", params={"due_before": "2026-01-01T13:03:00+01:00"})) == ["bravo"]


@pytest.mark.usefixtures("_jobs")
def test_a_page_goes_on_where_it_was_when_jobs_come_and_go(client: TestClient) -> None:
    first = client.get("/jobs?limit=2&sort=name")
    create(client, name="Able")
    client.delete(f"/jobs/{first.json()[1]['id']}?confirm=true")
    assert names(client.get(first.links["next"]["url"])) == ["alpha", "bravo"]


@pytest.mark.parametrize(
    ("query", "at"),
    [
        ("limit=0", "limit"),
        ("limit=501", "limit"),
        ("limit=x", "limit"),
        ("sort=colour", "sort"),
        ("sort=--name", "sort"),
        ("status=asleep", "status"),
        ("name=%00", "name"),
        (f"name={'x' * 201}", "name"),
        ("function_name=%ED%A0%80", None),
        ("due_before=2026-01-01T12:00:00", "due_before"),
        ("due_before=yesterday", "due_before"),
        ("cursor=", "cursor"),
        ("cursor=nonsense", "cursor"),
        ("cursor=W10=", "cursor"),
        (f"cursor={'A' * 3_601}", "cursor"),
    ],
)
def test_what_cannot_be_listed_is_refused(client: TestClient, query: str, at: str | None) -> None:
    answer = client.get(f"/jobs?{query}")
    if at is None:
        assert answer.status_code == 200
        return
    assert answer.status_code == 422, answer.text
    assert answer.json()["detail"][0]["loc"] == ["query", at]


@pytest.mark.parametrize("order", SORTS.values(), ids=SORTS)
@pytest.mark.parametrize("name", ["a", "🌍" * 200, '"', "\\"])
def test_a_cursor_is_read_as_it_was_written(order: JobOrder, name: str) -> None:
    for next_run_at in (None, NOON):
        status = JobStatus.ACTIVE if next_run_at else JobStatus.PAUSED
        position = JobPosition.of(make_job(name=name, next_run_at=next_run_at, status=status), order)
        cursor = write_cursor(position, order)
        assert read_cursor(cursor, order) == position
        assert len(cursor) <= MAX_JOB_CURSOR_LENGTH


def test_a_cursor_of_another_order_is_refused(client: TestClient) -> None:
    cursor = write_cursor(JobPosition("a", make_job().id), JobOrder(SortKey.NAME))
    assert client.get("/jobs", params={"sort": "name", "cursor": cursor}).status_code == 200
    for sort in ("-name", "created_at", "next_run_at"):
        answer = client.get("/jobs", params={"sort": sort, "cursor": cursor})
        assert answer.status_code == 422
        assert "another order" in answer.text
