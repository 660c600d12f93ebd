"""Cancelling runs over the API: the answer says what really happened."""

import asyncio
import threading
from typing import Any
from uuid import uuid4

import pytest
from starlette.testclient import TestClient

from registry import RunContext
from tests.api.requests_and_answers import create
from tests.fakes import REAL_SECONDS, Latch, Node


@pytest.fixture
def latch(node: Node) -> Latch:
    latch = Latch()
    node.functions.register("slow", latch)
    return latch


def started(client: TestClient, node: Node, latch: Latch, **fields: Any) -> dict[str, Any]:
    """A run that is in its call."""
    job = create(client, function_name="slow", **fields)
    node.advance(10, runs_end=False)
    latch.await_entry()
    (run,) = client.get(f"/jobs/{job['id']}/runs").json()
    assert run["state"] == "running"
    return {"job": job, **run}


def test_a_function_that_looks_is_cancelled(client: TestClient, node: Node) -> None:
    entered = threading.Event()

    def patient(job_id: str, run: RunContext) -> None:
        entered.set()
        assert run.cancelled.wait(REAL_SECONDS)

    node.functions.register("patient", patient)
    job = create(client, function_name="patient")
    node.advance(10, runs_end=False)
    assert entered.wait(REAL_SECONDS)
    (run,) = client.get(f"/jobs/{job['id']}/runs").json()

    answer = client.post(f"/runs/{run['id']}/cancel")

    assert answer.status_code == 200
    assert answer.json()["cancelled"] is True
    cancelled = answer.json()["run"]
    assert (cancelled["state"], cancelled["reason"]) == (
        "cancelled",
        "cancelled by request; its function then returned",
    )
    assert client.get(f"/runs/{run['id']}").json() == cancelled
    assert client.get(f"/jobs/{job['id']}").json()["status"] == "active"


def test_a_coroutine_is_cancelled_where_it_waits(client: TestClient, node: Node) -> None:
    entered, cleaned = threading.Event(), threading.Event()

    async def waits_for_ever(job_id: str) -> None:
        entered.set()
        try:
            await asyncio.get_running_loop().create_future()
        finally:
            cleaned.set()

    node.functions.register("waits_for_ever", waits_for_ever)
    job = create(client, function_name="waits_for_ever")
    node.advance(10, runs_end=False)
    assert entered.wait(REAL_SECONDS)
    (run,) = client.get(f"/jobs/{job['id']}/runs").json()

    answer = client.post(f"/runs/{run['id']}/cancel").json()

    assert cleaned.wait(REAL_SECONDS)
    assert (answer["cancelled"], answer["run"]["state"], answer["run"]["reason"]) == (
        True,
        "cancelled",
        "cancelled by request",
    )


def test_of_a_function_that_does_not_look_the_answer_says_that_it_goes_on(
    client: TestClient, node: Node, latch: Latch
) -> None:
    run = started(client, node, latch)
    answers: list[Any] = []
    asking = threading.Thread(target=lambda: answers.append(client.post(f"/runs/{run['id']}/cancel")))
    parkings = node.clock.parkings
    asking.start()
    node.clock.await_parking(after=parkings)

    node.clock.advance_to_next(node.clock.monotonic() + 2)
    asking.join(REAL_SECONDS)

    (answer,) = answers
    assert answer.status_code == 200
    assert answer.json()["cancelled"] is False
    assert "was asked to end" in answer.json()["message"]
    asked = answer.json()["run"]
    assert (asked["state"], asked["cancel_reason"]) == ("running", "cancelled by request")

    latch.release()
    node.settle()
    assert client.get(f"/runs/{run['id']}").json()["state"] == "cancelled"


def test_a_run_that_waits_ends_at_once_and_the_next_one_takes_its_turn(
    client: TestClient, node: Node, latch: Latch
) -> None:
    first = started(client, node, latch, overlap_policy="queue_all")
    node.advance(20, runs_end=False)
    third, second, _ = client.get(f"/jobs/{first['job']['id']}/runs").json()
    assert (third["state"], second["state"]) == ("queued", "queued")

    answer = client.post(f"/runs/{second['id']}/cancel").json()
    latch.release()
    latch.await_entry()

    assert (answer["cancelled"], answer["run"]["state"]) == (True, "cancelled")
    assert client.get(f"/runs/{third['id']}").json()["state"] == "running"
    latch.release()
    node.settle()


def test_a_run_that_is_over_cannot_be_cancelled(client: TestClient, node: Node) -> None:
    job = create(client)
    node.advance(10)
    (run,) = client.get(f"/jobs/{job['id']}/runs").json()

    answer = client.post(f"/runs/{run['id']}/cancel")

    assert answer.status_code == 409
    assert answer.json()["detail"] == f"Run {run['id']} is over: it is succeeded"
    assert client.get(f"/runs/{run['id']}").json() == run


def test_a_run_that_there_never_was_cannot_be_cancelled(client: TestClient) -> None:
    assert client.post(f"/runs/{uuid4()}/cancel").status_code == 404
    assert client.post("/runs/everything/cancel").status_code == 400


def test_a_manual_run_names_what_is_in_its_way_and_can_be_forced(client: TestClient, node: Node, latch: Latch) -> None:
    run = started(client, node, latch)
    path = f"/jobs/{run['job']['id']}/run"

    refused = client.post(path)
    forced = client.post(f"{path}?force=true")
    latch.await_entry()

    assert refused.status_code == 409
    assert run["id"] in refused.json()["detail"]
    assert (forced.status_code, forced.json()["state"]) == (200, "running")
    for _ in range(2):
        latch.release()
    node.settle()
