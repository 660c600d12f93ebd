"""GET /jobs/{id}/why: the answer as JSON, and what is refused."""

from typing import Any
from uuid import uuid4

import pytest
from starlette.testclient import TestClient

from tests.fakes import Node

JOB = {"name": "a job", "function_name": "print_hello", "interval_seconds": 10}


@pytest.fixture
def job_id(client: TestClient, node: Node) -> str:
    created: str = client.post("/jobs", json=JOB).json()["id"]
    node.advance(25)
    return created


def why(client: TestClient, job_id: str, at: str) -> Any:
    answer = client.get(f"/jobs/{job_id}/why", params={"at": at})
    assert answer.status_code == 200, answer.text
    return answer.json()


def test_a_slot_that_ran_is_answered_with_its_run(client: TestClient, job_id: str) -> None:
    answer = why(client, job_id, "2026-01-01T12:00:10Z")
    (_, run) = client.get(f"/jobs/{job_id}/runs").json()
    assert answer == {
        "at": "2026-01-01T12:00:10Z",
        "answer": "ran",
        "sentence": "It ran, started at 2026-01-01T12:00:10Z, and succeeded after 0 s.",
        "run": run,
        "facts": {
            "slot": "2026-01-01T12:00:10Z",
            "started_at": "2026-01-01T12:00:10Z",
            "finished_at": "2026-01-01T12:00:10Z",
            "lateness_ms": 0.0,
            "attempts": 1,
            "ended_as": "succeeded",
        },
        "nearest": {"before": None, "after": "2026-01-01T12:00:20Z"},
    }


def test_an_instant_that_is_no_slot_has_no_run_and_the_slots_beside_it(client: TestClient, job_id: str) -> None:
    answer = why(client, job_id, "2026-01-01T12:00:15Z")
    assert (answer["answer"], answer["run"]) == ("not_a_slot", None)
    assert answer["nearest"] == {"before": "2026-01-01T12:00:10Z", "after": "2026-01-01T12:00:20Z"}


@pytest.mark.parametrize("at", ["2026-01-01T13:00:10+01:00", "2026-01-01T13:00:10 01:00", "2026-01-01 13:00:10+0100"])
def test_an_offset_is_taken_also_where_its_plus_was_not_encoded(client: TestClient, job_id: str, at: str) -> None:
    assert why(client, job_id, at)["at"] == "2026-01-01T12:00:10Z"


@pytest.mark.parametrize(
    "at",
    ["", "noon", "2026-01-01T12:00:10", "1767225600", "2026-13-01T12:00:10Z", "0001-01-01T00:00:00+05:00"],
)
def test_what_is_no_instant_is_refused(client: TestClient, job_id: str, at: str) -> None:
    answer = client.get(f"/jobs/{job_id}/why", params={"at": at})
    assert answer.status_code == 422
    assert answer.json()["detail"][0]["loc"] == ["query", "at"]


def test_without_an_instant_it_is_refused(client: TestClient, job_id: str) -> None:
    assert client.get(f"/jobs/{job_id}/why").status_code == 422


@pytest.mark.parametrize("at", ["0001-01-01T00:00:00Z", "9999-12-31T23:59:59Z", "9999-12-31T23:59:59.999999Z"])
@pytest.mark.parametrize(
    "schedule",
    [
        {"interval_seconds": 0.1},
        {"interval_seconds": 1e11},
        {"cron_expression": "*/7 * * * *", "timezone": "Pacific/Apia"},
        {"cron_expression": "30 2 29 2 *", "timezone": "America/New_York", "jitter_seconds": 3_600},
        {"run_at": "2027-01-01T00:00:00Z"},
    ],
)
def test_the_ends_of_time_are_answered(client: TestClient, at: str, schedule: dict[str, Any]) -> None:
    job_id = client.post("/jobs", json={"name": "a job", "function_name": "print_hello"} | schedule).json()["id"]
    answer = why(client, job_id, at)
    assert answer["at"] == at
    assert answer["answer"] in {"before_creation", "in_the_future"}


def test_a_job_that_never_was_is_not_found(client: TestClient) -> None:
    answer = client.get(f"/jobs/{uuid4()}/why", params={"at": "2026-01-01T12:00:10Z"})
    assert (answer.status_code, answer.json()["detail"]) == (404, "Job not found")


def test_an_id_that_is_no_uuid_is_refused(client: TestClient) -> None:
    answer = client.get("/jobs/x/why", params={"at": "2026-01-01T12:00:10Z"})
    assert (answer.status_code, answer.json()["detail"]) == (400, "Invalid job ID format")


def test_a_deleted_job_answers_from_its_rows(client: TestClient, job_id: str) -> None:
    client.delete(f"/jobs/{job_id}?confirm=true")
    assert why(client, job_id, "2026-01-01T12:00:10Z")["answer"] == "ran"
