"""Runs by themselves: what they show, and those that are asked for by hand."""

from typing import Any

import pytest
from starlette.testclient import TestClient

from tests.api.requests_and_answers import UNKNOWN_ID, create
from tests.fakes import Latch, Node

RUN_FIELDS = {
    *("id", "job_id", "function_name", "trigger", "scheduled_for", "started_at", "finished_at", "state", "attempt"),
    *("lateness_ms", "duration_ms", "error", "result", "reason", "node", "slot_count", "last_scheduled_for"),
    *("earlier_attempts", "due_at", "cancel_reason", "is_stuck", "concurrency_key", "backfill_id"),
}


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
        "earlier_attempts": [],
        "due_at": None,
        "cancel_reason": None,
        "is_stuck": False,
        "concurrency_key": None,
        "backfill_id": None,
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
    assert response.json()["detail"] == "Run not found"


def test_a_run_id_that_is_no_uuid_is_a_400(client: TestClient) -> None:
    response = client.get("/runs/latest")

    assert response.status_code == 400
    assert response.json()["detail"] == "Invalid run ID format"


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
    assert second.json()["detail"] == f"Run {first['id']} of this job is still running"
    assert [run["id"] for run in client.get("/runs").json()] == [first["id"]]


def test_a_job_without_its_function_cannot_be_run(client: TestClient, node: Node) -> None:
    job = create(client)
    node.functions._functions.pop("dummy_number_crunch")

    response = client.post(f"/jobs/{job['id']}/run")

    assert response.status_code == 400
    assert response.json()["detail"] == "Unknown function dummy_number_crunch"


@pytest.mark.parametrize(
    "result", [None, 0, "x\u2028", [1, 2.5, None], {"a": {"b": [True]}}, 10**30, "\x00", "é" * 30_000]
)
def test_a_result_is_shown_as_it_was_returned(client: TestClient, node: Node, result: Any) -> None:
    node.functions.register("answer", lambda job_id: result)
    job = create(client, function_name="answer")
    node.advance(10)

    [run] = client.get(f"/jobs/{job['id']}/runs").json()

    assert run["result"] == result


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
