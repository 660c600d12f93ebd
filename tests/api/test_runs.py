"""History page by page, and runs asked for by hand."""

import base64
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import parse_qsl, urlsplit
from uuid import UUID, uuid4

import pytest
from httpx2 import Response
from starlette.testclient import TestClient

from engine.nouns import Outcome, Run, RunState, Trigger
from store import SqlStore
from tests.api.requests_and_answers import UNKNOWN_ID, create, fault
from tests.fakes import NOON, Latch, Node

RUN_FIELDS = {
    *("id", "job_id", "function_name", "trigger", "scheduled_for", "started_at", "finished_at", "state", "attempt"),
    *("lateness_ms", "duration_ms", "error", "result", "reason", "node", "slot_count", "last_scheduled_for"),
}


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
        store.finish([Outcome(run.id, run.job_id, RunState.SUCCEEDED, finished_at=run.scheduled_for)])
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


def test_a_run_shows_all_there_is_to_know(client: TestClient, node: Node) -> None:
    node.functions.register("double", lambda job_id, job_metadata: {"twice": job_metadata["number"] * 2})
    job = create(client, function_name="double", job_metadata={"number": 21})
    node.advance(10)

    [run] = client.get(f"/jobs/{job['id']}/runs").json()

    assert set(run) == RUN_FIELDS
    expected = {
        "job_id": job["id"],
        "function_name": "double",
        "trigger": "schedule",
        "scheduled_for": "2026-01-01T12:00:10Z",
        "started_at": "2026-01-01T12:00:10Z",
        "finished_at": "2026-01-01T12:00:10Z",
        "state": "succeeded",
        "attempt": 1,
        "lateness_ms": 0.0,
        "duration_ms": 0.0,
        "error": None,
        "result": {"twice": 42},
        "reason": None,
        "node": str(node.scheduler.node),
        "slot_count": 1,
        "last_scheduled_for": None,
    }
    assert run == expected | {"id": run["id"]}
    assert client.get(f"/runs/{run['id']}").json() == run


def test_a_failed_run_shows_its_error(client: TestClient, node: Node) -> None:
    def fail(job_id: str) -> None:
        raise ValueError("it went wrong")

    node.functions.register("fail", fail)
    job = create(client, function_name="fail")
    node.advance(10)

    [run] = client.get(f"/jobs/{job['id']}/runs").json()

    assert run["state"] == "failed"
    assert run["error"]["type"] == "ValueError"
    assert run["error"]["message"] == "it went wrong"
    assert "in fail" in run["error"]["traceback"]


def test_an_unknown_run_is_a_404(client: TestClient) -> None:
    response = client.get(f"/runs/{UNKNOWN_ID}")

    assert response.status_code == 404
    assert response.json() == {"detail": "Run not found"}


def test_a_run_id_that_is_no_uuid_is_a_400(client: TestClient) -> None:
    response = client.get("/runs/latest")

    assert response.status_code == 400
    assert response.json() == {"detail": "Invalid run ID format"}


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
        query = dict(parse_qsl(parts.query))
        cursor = query.pop("cursor")
        assert parts.path == "/runs"
        assert query == wanted
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
    "cursor", ["", "x", "null", "\x00", "ü", "A" * 31, "A" * 33, "A" * 36, "=" * 32, "A" * 65, far_future_cursor()]
)
def test_a_cursor_that_cannot_be_read_is_refused(client: TestClient, path: str, cursor: str) -> None:
    assert fault(client.get(path, params={"cursor": cursor}))["loc"] == ["query", "cursor"]


@pytest.mark.parametrize("job_id", ["x", "", "%00"])
def test_runs_of_what_is_no_job_id_are_a_400(client: TestClient, job_id: str) -> None:
    response = client.get(f"/runs?job_id={job_id}")

    assert response.status_code == 400
    assert response.json() == {"detail": "Invalid job ID format"}


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


def test_a_job_can_be_run_now(client: TestClient, node: Node) -> None:
    job = create(client, status="paused", function_name="note")

    response = client.post(f"/jobs/{job['id']}/run")
    node.settle()

    assert response.status_code == 200
    run = response.json()
    assert set(run) == RUN_FIELDS
    assert (run["trigger"], run["state"], run["job_id"]) == ("manual", "running", job["id"])
    assert [call[0] for call in node.calls] == [job["id"]]
    assert client.get(f"/runs/{run['id']}").json()["state"] == "succeeded"
    assert client.get(f"/jobs/{job['id']}").json()["status"] == "paused"


def test_a_second_run_beside_the_first_is_refused_and_names_it(client: TestClient, node: Node) -> None:
    latch = Latch()
    node.functions.register("stay", latch)
    job = create(client, function_name="stay")
    first = client.post(f"/jobs/{job['id']}/run").json()
    latch.await_entry()

    second = client.post(f"/jobs/{job['id']}/run")
    latch.release()
    node.settle()

    assert second.status_code == 409
    assert second.json() == {"detail": f"Run {first['id']} of this job is still running"}
    assert ids(client.get("/runs")) == [first["id"]]


def test_a_job_without_its_function_cannot_be_run(client: TestClient, node: Node) -> None:
    job = create(client)
    node.functions._functions.pop("dummy_number_crunch")

    response = client.post(f"/jobs/{job['id']}/run")

    assert response.status_code == 400
    assert response.json() == {"detail": "Unknown function dummy_number_crunch"}


@pytest.mark.parametrize(
    "result", [None, 0, "x\u2028", [1, 2.5, None], {"a": {"b": [True]}}, 10**30, "\x00", "é" * 30_000]
)
def test_a_result_is_shown_as_it_was_returned(client: TestClient, node: Node, result: Any) -> None:
    node.functions.register("answer", lambda job_id: result)
    job = create(client, function_name="answer")
    node.advance(10)

    [run] = client.get(f"/jobs/{job['id']}/runs").json()

    assert run["result"] == result


@pytest.mark.xfail(reason="the engine bounds the size of a result, not its depth")
def test_a_result_of_any_depth_leaves_the_history_readable(client: TestClient, node: Node) -> None:
    def nested(job_id: str) -> Any:
        value: Any = 1
        for _ in range(500):
            value = [value]
        return value

    node.functions.register("nested", nested)
    job = create(client, function_name="nested")
    node.advance(10)

    response = client.get(f"/jobs/{job['id']}/runs")

    assert response.status_code == 200
    assert response.json()[0]["state"] == "succeeded"


def _fail(job_id: str) -> None:
    raise RuntimeError("it went wrong")
