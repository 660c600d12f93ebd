"""History page by page."""

import base64
from datetime import datetime, timedelta
from urllib.parse import parse_qsl, urlsplit
from uuid import UUID, uuid4

import pytest
from httpx2 import Response
from starlette.testclient import TestClient

from engine.nouns import Outcome, Run, RunState, Trigger
from store import SqlStore
from tests.api.requests_and_answers import UNKNOWN_ID, create, fault
from tests.fakes import NOON, Node


def keep_runs(
    store: SqlStore, job_id: str, count: int, *, since: datetime = NOON, seconds_apart: float = 1.0
) -> list[str]:
    """Put ended runs on record; returns their ids, newest first, as the service should."""
    runs = [
        Run(
            id=uuid4(),
            job_id=UUID(job_id),
            function_name="note",
            trigger=Trigger.MANUAL,
            scheduled_for=since + timedelta(seconds=number * seconds_apart),
            state=RunState.RUNNING,
            node=uuid4(),
        )
        for number in range(count)
    ]
    for run in runs:
        store.add_manual_run(run)
        store.finish([Outcome(run.id, run.job_id, run.claim_id, RunState.SUCCEEDED, finished_at=run.scheduled_for)])
    newest_first = sorted(runs, key=lambda run: (run.scheduled_for, run.id), reverse=True)
    return [str(run.id) for run in newest_first]


def next_path(response: Response) -> str | None:
    """Where the Link header leads; None on the last page."""
    link = response.headers.get("link")
    if link is None:
        return None
    target, relation = link.split("; ")
    assert relation == 'rel="next"'
    assert (target[0], target[-1]) == ("<", ">")
    return str(target[1:-1])


def ids(response: Response) -> list[str]:
    assert response.status_code == 200, response.text
    return [run["id"] for run in response.json()]


def all_pages(client: TestClient, path: str | None) -> list[list[str]]:
    pages = []
    while path is not None:
        response = client.get(path)
        pages.append(ids(response))
        path = next_path(response)
    return pages


def test_no_runs_are_an_empty_array_without_a_link(client: TestClient) -> None:
    job = create(client)

    for path in ("/runs", f"/jobs/{job['id']}/runs"):
        response = client.get(path)
        assert response.json() == []
        assert "link" not in response.headers


def test_runs_of_all_jobs_come_newest_first(client: TestClient, store: SqlStore) -> None:
    first, second = create(client), create(client)
    older = keep_runs(store, first["id"], 2)
    newer = keep_runs(store, second["id"], 3, since=NOON + timedelta(hours=1))

    assert ids(client.get("/runs")) == newer + older


def test_runs_of_one_job_are_shown_by_themselves(client: TestClient, store: SqlStore) -> None:
    first, second = create(client), create(client)
    wanted = keep_runs(store, first["id"], 2)
    keep_runs(store, second["id"], 3)

    assert ids(client.get(f"/runs?job_id={first['id']}")) == wanted
    assert ids(client.get(f"/jobs/{first['id']}/runs")) == wanted


@pytest.mark.parametrize("seconds_apart", [1.0, 0.0], ids=["one by one", "all at one instant"])
@pytest.mark.parametrize(("count", "sizes"), [(1, [1]), (2, [2]), (3, [2, 1]), (4, [2, 2]), (5, [2, 2, 1])])
def test_pages_hold_every_run_once_in_order(
    client: TestClient, store: SqlStore, count: int, sizes: list[int], seconds_apart: float
) -> None:
    job = create(client)
    kept = keep_runs(store, job["id"], count, seconds_apart=seconds_apart)

    for path in ("/runs?limit=2", f"/jobs/{job['id']}/runs?limit=2"):
        pages = all_pages(client, path)
        assert [len(page) for page in pages] == sizes
        assert [run for page in pages for run in page] == kept


def test_runs_that_come_while_a_client_pages_move_nothing(client: TestClient, store: SqlStore) -> None:
    job = create(client)
    kept = keep_runs(store, job["id"], 4)
    first = client.get("/runs?limit=2")

    keep_runs(store, job["id"], 3, since=NOON + timedelta(hours=1))

    assert ids(first) == kept[:2]
    assert ids(client.get(next_path(first) or "")) == kept[2:]


def test_the_link_keeps_what_else_was_asked_for(client: TestClient, store: SqlStore) -> None:
    job = create(client)
    keep_runs(store, job["id"], 3)

    wanted = {"limit": "1", "state": "succeeded", "job_id": str(job["id"]), "x": '"><, ü'}
    response = client.get("/runs", params=wanted)
    again = client.get(next_path(response) or "")

    for path in (next_path(response), next_path(again)):
        parts = urlsplit(path or "")
        *others, (name, cursor) = parse_qsl(parts.query)
        assert parts.path == "/runs"
        assert others == list(wanted.items())
        assert name == "cursor"
        assert cursor.replace("-", "").replace("_", "").isalnum()


def test_only_runs_in_the_wanted_state_are_shown(client: TestClient, store: SqlStore, node: Node) -> None:
    node.functions.register("fail", _fail)
    job = create(client, function_name="fail")
    keep_runs(store, job["id"], 2)
    node.advance(10)

    for path in ("/runs", f"/jobs/{job['id']}/runs"):
        assert [run["state"] for run in client.get(path, params={"state": "failed"}).json()] == ["failed"]
        assert len(client.get(path, params={"state": "succeeded"}).json()) == 2
        assert client.get(path, params={"state": "lost"}).json() == []


@pytest.mark.parametrize("limit", [1, 500])
def test_a_page_may_be_as_large_as_its_limit(client: TestClient, limit: int) -> None:
    assert client.get("/runs", params={"limit": limit}).status_code == 200


def test_a_page_has_50_runs_unless_said_otherwise(client: TestClient, store: SqlStore) -> None:
    keep_runs(store, create(client)["id"], 51)

    assert [len(page) for page in all_pages(client, "/runs")] == [50, 1]


@pytest.mark.parametrize("path", ["/runs", f"/jobs/{UNKNOWN_ID}/runs"])
@pytest.mark.parametrize(
    ("name", "value"),
    [("limit", 0), ("limit", 501), ("limit", -1), ("limit", "x"), ("limit", 2**63), ("state", "x"), ("state", "")],
)
def test_a_page_beyond_the_limits_is_refused(client: TestClient, path: str, name: str, value: str | int) -> None:
    assert fault(client.get(path, params={name: value}))["loc"] == ["query", name]


def far_future_cursor() -> str:
    return base64.urlsafe_b64encode(b"\x7f" + b"\xff" * 23).decode()


@pytest.mark.parametrize("path", ["/runs", f"/jobs/{UNKNOWN_ID}/runs"])
@pytest.mark.parametrize(
    "cursor",
    [
        "",
        "x",
        "null",
        "\x00",
        "ü",
        "A" * 31,
        "A" * 33,
        "A" * 36,
        "=" * 32,
        "A" * 65,
        f"{'A' * 32}!",
        far_future_cursor(),
    ],
)
def test_a_cursor_that_cannot_be_read_is_refused(client: TestClient, path: str, cursor: str) -> None:
    assert fault(client.get(path, params={"cursor": cursor}))["loc"] == ["query", "cursor"]


@pytest.mark.parametrize("job_id", ["x", "", "%00"])
def test_runs_of_what_is_no_job_id_are_a_400(client: TestClient, job_id: str) -> None:
    response = client.get(f"/runs?job_id={job_id}")

    assert response.status_code == 400
    assert response.json()["detail"] == "Invalid job ID format"


def test_runs_outlive_their_job(client: TestClient, store: SqlStore) -> None:
    job = create(client)
    kept = keep_runs(store, job["id"], 3)
    client.delete(f"/jobs/{job['id']}?confirm=true")

    assert ids(client.get(f"/jobs/{job['id']}/runs")) == kept
    assert ids(client.get("/runs")) == kept
    assert client.get(f"/jobs/{job['id']}/runs?state=lost").json() == []


def test_a_deleted_job_that_never_ran_is_unknown(client: TestClient) -> None:
    job = create(client)
    client.delete(f"/jobs/{job['id']}?confirm=true")

    assert client.get(f"/jobs/{job['id']}/runs").status_code == 404


def _fail(job_id: str) -> None:
    raise RuntimeError("it went wrong")
