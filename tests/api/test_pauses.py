"""Pausing and resuming over the API: one job, and everything."""

from typing import Any

import pytest
from starlette.testclient import TestClient

from store import SqlStore
from tests.api.requests_and_answers import create
from tests.fakes import Node, running


def states(client: TestClient, job: dict[str, Any]) -> list[str]:
    """Of the job's runs, the newest first."""
    return [run["state"] for run in client.get(f"/jobs/{job['id']}/runs").json()]


def test_a_pause_says_until_when_by_whom_and_why(client: TestClient) -> None:
    job = create(client)
    wanted = {"until": "2026-01-01T13:00:00+00:00", "by": "Ada", "note": "stocktaking"}

    paused = client.post(f"/jobs/{job['id']}/pause", json=wanted).json()

    assert paused["status"] == "paused"
    assert paused["pause"] == {
        "at": "2026-01-01T12:00:00Z",
        "until": "2026-01-01T13:00:00Z",
        "by": "Ada",
        "note": "stocktaking",
        "reason": None,
    }
    assert client.get(f"/jobs/{job['id']}").json() == paused


def test_a_pause_ends_by_itself(client: TestClient, node: Node) -> None:
    job = create(client)
    client.post(f"/jobs/{job['id']}/pause", json={"until": "2026-01-01T12:01:00Z"})

    node.advance(59)
    assert client.get(f"/jobs/{job['id']}").json()["status"] == "paused"
    node.advance(1)

    resumed = client.get(f"/jobs/{job['id']}").json()
    assert (resumed["status"], resumed["pause"]) == ("active", None)
    assert resumed["next_run_at"] == "2026-01-01T12:01:10Z"
    assert states(client, job) == []


@pytest.mark.parametrize("path", ["/jobs/{id}/pause", "/pause"])
def test_a_pause_that_would_be_over_is_refused(client: TestClient, path: str) -> None:
    job = create(client)

    response = client.post(path.format(id=job["id"]), json={"until": "2026-01-01T12:00:00Z"})

    assert response.status_code == 422
    (fault,) = response.json()["detail"]
    assert fault["loc"] == ["body", "until"]
    assert fault["msg"].startswith("until is 2026-01-01T12:00:00Z, which is past")
    assert client.get(f"/jobs/{job['id']}").json() == job
    assert client.get("/pause").json() == {"paused": False, "pause": None}


@pytest.mark.parametrize("body", [{"until": "tomorrow"}, {"by": ""}, {"note": "x" * 1_001}, {"until": 5}, [], "Ada"])
def test_a_pause_that_does_not_fit_is_refused(client: TestClient, body: Any) -> None:
    job = create(client)

    assert client.post(f"/jobs/{job['id']}/pause", json=body).status_code == 422
    assert client.get(f"/jobs/{job['id']}").json() == job


def test_a_resume_without_catching_up_goes_on_with_the_next_slot(client: TestClient, node: Node) -> None:
    job = create(client)
    client.post(f"/jobs/{job['id']}/pause")
    node.advance(3_605)

    resumed = client.post(f"/jobs/{job['id']}/resume").json()
    node.advance(0)

    assert resumed["next_run_at"] == "2026-01-01T13:00:10Z"
    assert states(client, job) == []


def test_a_resume_that_catches_up_treats_the_pause_as_downtime(client: TestClient, node: Node) -> None:
    job = create(client)
    client.post(f"/jobs/{job['id']}/pause")
    node.advance(3_605)

    client.post(f"/jobs/{job['id']}/resume", json={"catch_up": True})
    node.advance(0)

    ran, missed = client.get(f"/jobs/{job['id']}/runs").json()
    assert (ran["state"], ran["scheduled_for"]) == ("succeeded", "2026-01-01T13:00:00Z")
    assert (missed["state"], missed["slot_count"]) == ("missed", 359)


def test_while_everything_is_paused_nothing_starts_and_everyone_can_see_why(client: TestClient, node: Node) -> None:
    job = create(client)

    answer = client.post("/pause", json={"by": "Ada", "note": "maintenance"})
    node.advance(60)

    assert answer.status_code == 200
    assert answer.json()["pause"]["by"] == "Ada"
    assert client.get("/pause").json() == answer.json()
    assert client.get("/readyz").json()["is_paused"] is True
    assert states(client, job) == []
    refused = client.post(f"/jobs/{job['id']}/run")
    assert refused.status_code == 409
    assert refused.json()["detail"].startswith("Everything is paused by Ada since 2026-01-01T12:00:00Z")


def test_a_forced_manual_run_starts_while_everything_is_paused(client: TestClient, node: Node) -> None:
    job = create(client)
    client.post("/pause")

    assert client.post(f"/jobs/{job['id']}/run?force=true").status_code == 200
    node.advance(0)

    assert states(client, job) == ["succeeded"]


def test_what_came_due_while_everything_was_paused_is_missed_and_says_so(client: TestClient, node: Node) -> None:
    job = create(client)
    client.post("/pause", json={"by": "Ada"})
    node.advance(65)

    assert client.post("/resume").json() == {"paused": False, "pause": None}
    node.advance(5)

    ran, missed = client.get(f"/jobs/{job['id']}/runs").json()
    assert (missed["state"], missed["slot_count"]) == ("missed", 6)
    assert missed["reason"] == "everything was paused by Ada from 2026-01-01T12:00:00Z to 2026-01-01T12:01:05Z"
    assert (ran["state"], ran["scheduled_for"]) == ("succeeded", "2026-01-01T12:01:10Z")


def test_everything_is_resumed_by_itself_and_with_catching_up_the_latest_slot_runs(
    client: TestClient, node: Node
) -> None:
    job = create(client)
    client.post("/pause", json={"until": "2026-01-01T12:00:30Z"})
    node.advance(30)
    assert client.get("/pause").json()["paused"] is False
    assert states(client, job) == ["missed"]

    client.post("/pause")
    node.advance(30)
    client.post("/resume", json={"catch_up": True})
    node.advance(0)
    assert states(client, job) == ["succeeded", "missed", "missed"]


def test_the_pause_of_everything_outlives_the_process(client: TestClient, node: Node, store: SqlStore) -> None:
    job = create(client)
    client.post("/pause", json={"note": "move"})
    node.stop()

    after = Node(store, node.clock)
    after.functions.register("dummy_number_crunch", lambda job_id: None)
    with running(after):
        after.advance(60)
        assert after.scheduler.pausing.current is not None
        assert after.scheduler.pausing.current.note == "move"
        assert states(client, job) == []


def test_a_job_whose_last_slot_passes_in_its_pause_is_completed_when_that_ends(client: TestClient, node: Node) -> None:
    job = create(client, end_at="2026-01-01T12:00:30Z")
    other = create(client)
    client.post(f"/jobs/{job['id']}/pause", json={"until": "2026-01-01T12:01:00Z"})

    node.advance(70)

    ended = client.get(f"/jobs/{job['id']}").json()
    assert (ended["status"], ended["pause"], ended["next_run_at"]) == ("completed", None, None)
    assert states(client, other) == ["succeeded"] * 7
