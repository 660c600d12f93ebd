"""Backfills over HTTP: counted, started, looked at, cancelled."""

from typing import Any

import pytest
from starlette.testclient import TestClient

from engine.errors import StoreUnavailable
from engine.limits import MAX_UNFINISHED_BACKFILLS
from store import SqlStore
from tests.api.requests_and_answers import UNKNOWN_ID, create, fault
from tests.fakes import Latch, Node

MORNING = {"from": "2026-01-01T09:00:00Z", "to": "2026-01-01T12:00:00Z"}
FIELDS = {
    *("id", "job_id", "from", "to", "slot_count", "concurrency", "created_at", "cancelled_at", "state", "runs"),
    "held_up_because",
}


def hourly(client: TestClient, **fields: Any) -> str:
    """The id of a job of each full hour that calls `note`."""
    given = {"interval_seconds": None, "cron_expression": "0 * * * *", "function_name": "note"}
    job_id: str = create(client, **(given | fields))["id"]
    return job_id


def started(client: TestClient, job_id: str, **fields: Any) -> dict[str, Any]:
    response = client.post(f"/jobs/{job_id}/backfill", json=MORNING | fields)
    assert response.status_code == 200, response.text
    made: dict[str, Any] = response.json()
    return made


@pytest.mark.parametrize("asked", [{"params": {"dry_run": "true"}}, {"json": MORNING | {"dry_run": True}}])
def test_a_dry_run_counts_and_changes_nothing(client: TestClient, node: Node, asked: dict[str, Any]) -> None:
    job_id = hourly(client)

    response = client.post(f"/jobs/{job_id}/backfill", **({"json": MORNING} | asked))
    node.settle()

    assert response.status_code == 200
    assert response.json() == {
        "slot_count": 4,
        "first": "2026-01-01T09:00:00Z",
        "last": "2026-01-01T12:00:00Z",
        "excluded_count": 0,
    }
    assert client.get(f"/jobs/{job_id}/backfills").json() == []
    assert client.get("/runs").json() == []


def test_a_dry_run_of_a_range_without_slots_says_so(client: TestClient) -> None:
    job_id = hourly(client)
    body = {"from": "2026-01-01T09:10:00Z", "to": "2026-01-01T09:20:00Z"}

    response = client.post(f"/jobs/{job_id}/backfill?dry_run=true", json=body)

    assert response.json() == {"slot_count": 0, "first": None, "last": None, "excluded_count": 0}
    assert fault(client.post(f"/jobs/{job_id}/backfill", json=body))["type"] == "invalid_backfill"


def test_a_backfill_shows_how_far_it_has_come(client: TestClient, node: Node) -> None:
    job_id = hourly(client)

    made = started(client, job_id, concurrency=2)
    node.settle()

    assert set(made) == FIELDS
    assert made | {"id": "?"} == {
        "id": "?",
        "job_id": job_id,
        "from": "2026-01-01T09:00:00Z",
        "to": "2026-01-01T12:00:00Z",
        "slot_count": 4,
        "concurrency": 2,
        "created_at": "2026-01-01T12:00:00Z",
        "cancelled_at": None,
        "state": "running",
        "runs": {"queued": 4},
        "held_up_because": None,
    }
    now = client.get(f"/backfills/{made['id']}").json()
    assert now == made | {"state": "completed", "runs": {"succeeded": 4}}
    assert client.get(f"/jobs/{job_id}/backfills").json() == [now]


def test_the_runs_of_a_backfill_are_listed(client: TestClient, node: Node) -> None:
    made = started(client, hourly(client))
    node.settle()

    runs = client.get(f"/backfills/{made['id']}/runs").json()

    assert [run["scheduled_for"] for run in runs] == [f"2026-01-01T{hour:02}:00:00Z" for hour in (12, 11, 10, 9)]
    assert {(run["trigger"], run["state"]) for run in runs} == {("backfill", "succeeded")}
    assert [run["id"] for run in client.get(f"/jobs/{runs[0]['job_id']}/runs").json()] == [run["id"] for run in runs]


def test_backfills_of_a_job_are_listed_newest_first(client: TestClient, node: Node) -> None:
    job_id = hourly(client)
    first = started(client, job_id)
    node.advance(1)
    second = started(client, job_id)
    started(client, hourly(client))

    assert [each["id"] for each in client.get(f"/jobs/{job_id}/backfills").json()] == [second["id"], first["id"]]


def test_a_backfill_of_a_paused_job_says_what_holds_it_up(client: TestClient, node: Node) -> None:
    job_id = hourly(client, status="paused")

    made = started(client, job_id)
    node.settle()

    assert made["held_up_because"] == "the job is paused: its runs wait until the job is resumed"
    assert client.get(f"/backfills/{made['id']}").json() == made
    client.post(f"/jobs/{job_id}/resume")
    node.settle()
    assert client.get(f"/backfills/{made['id']}").json()["state"] == "completed"


def test_cancelling_answers_what_really_happened(client: TestClient, node: Node) -> None:
    latch = Latch()
    node.functions.register("slow", latch)
    made = started(client, hourly(client, function_name="slow"))
    latch.await_entry()

    response = client.post(f"/backfills/{made['id']}/cancel")
    latch.release()
    node.settle()

    assert response.status_code == 200
    answer = response.json()
    assert (answer["cancelled"], answer["asked_to_end"]) == (3, 1)
    assert answer["backfill"]["state"] == "cancelled"
    assert answer["backfill"]["cancelled_at"] == "2026-01-01T12:00:00Z"
    assert answer["backfill"]["runs"] == {"running": 1, "cancelled": 3}
    assert client.get(f"/backfills/{made['id']}").json()["runs"] == {"cancelled": 4}


def test_cancelling_what_is_over_is_a_409(client: TestClient, node: Node) -> None:
    made = started(client, hourly(client))
    node.settle()

    response = client.post(f"/backfills/{made['id']}/cancel")

    assert response.status_code == 409
    assert response.json()["detail"] == f"Backfill {made['id']} is over: it is completed"


def test_too_many_backfills_at_once_are_a_409(client: TestClient) -> None:
    job_id = hourly(client, status="paused")
    for _ in range(MAX_UNFINISHED_BACKFILLS):
        started(client, job_id)

    response = client.post(f"/jobs/{job_id}/backfill", json=MORNING)

    assert response.status_code == 409
    assert "20 backfills of this job are not over" in response.json()["detail"]


@pytest.mark.parametrize("path", ["", "?dry_run=true"])
def test_a_range_with_too_many_slots_is_refused_with_their_number(client: TestClient, path: str) -> None:
    job_id = create(client)["id"]

    found = fault(client.post(f"/jobs/{job_id}/backfill{path}", json=MORNING))

    assert found["type"] == "backfill_too_large"
    assert found["loc"] == ["body", "from"]
    assert found["msg"] == "the job has 1081 slots in this range: at most 1000 are wanted in one backfill"
    assert found["input"] == MORNING["from"]


@pytest.mark.parametrize(
    ("changed", "field", "said"),
    [
        ({"to": "2026-01-01T12:00:01Z"}, "to", "a backfill is for what is past"),
        ({"to": "2026-01-01T08:00:00Z"}, "to", "before from"),
        ({"from": "1969-12-31T23:59:59Z"}, "from", "from 1970-01-01T00:00:00Z on"),
        ({"to": "2026-01-01T12:00:00"}, "to", "offset"),
        ({"from": 0}, "from", "ISO 8601"),
        ({"concurrency": 0}, "concurrency", "greater than or equal to 1"),
        ({"concurrency": 21}, "concurrency", "less than or equal to 20"),
        ({"concurrency": True}, "concurrency", "not a boolean"),
    ],
)
def test_what_does_not_fit_is_refused_with_what_is_wanted(
    client: TestClient, changed: dict[str, Any], field: str, said: str
) -> None:
    found = fault(client.post(f"/jobs/{hourly(client)}/backfill", json=MORNING | changed))

    assert found["loc"] == ["body", field]
    assert said in found["msg"]


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/jobs/{id}/backfill"),
        ("GET", "/jobs/{id}/backfills"),
        ("GET", "/backfills/{id}"),
        ("GET", "/backfills/{id}/runs"),
        ("POST", "/backfills/{id}/cancel"),
    ],
)
def test_ids_that_are_unknown_or_none_are_told_apart(client: TestClient, method: str, path: str) -> None:
    body = MORNING if path.endswith("/backfill") else None
    what = "Job" if path.startswith("/jobs") else "Backfill"

    unknown = client.request(method, path.format(id=UNKNOWN_ID), json=body)
    unreadable = client.request(method, path.format(id="latest"), json=body)

    assert (unknown.status_code, unknown.json()["detail"]) == (404, f"{what} not found")
    assert (unreadable.status_code, unreadable.json()["detail"]) == (400, f"Invalid {what.lower()} ID format")


def test_a_job_without_its_function_is_not_backfilled(client: TestClient, node: Node) -> None:
    job_id = hourly(client)
    node.functions._functions.pop("note")

    response = client.post(f"/jobs/{job_id}/backfill", json=MORNING)

    assert (response.status_code, response.json()["detail"]) == (400, "Unknown function note")


def test_the_backfills_of_a_deleted_job_are_kept(client: TestClient, node: Node) -> None:
    job_id = hourly(client, status="paused")
    made = started(client, job_id)

    client.delete(f"/jobs/{job_id}?confirm=true")

    [found] = client.get(f"/jobs/{job_id}/backfills").json()
    assert (found["id"], found["state"], found["runs"]) == (made["id"], "cancelled", {"cancelled": 4})


def test_a_database_that_is_away_is_a_503(client: TestClient, store: SqlStore, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise StoreUnavailable("gone")

    job_id = hourly(client)
    monkeypatch.setattr(store, "add_backfill", fail)

    assert client.post(f"/jobs/{job_id}/backfill", json=MORNING).status_code == 503
