"""What clients of the first service are refused, and in which words."""

from typing import Any

import pytest
from starlette.testclient import TestClient

from tests.api.requests_and_answers import (
    INTERVAL_JOB,
    UNKNOWN_ID,
    create,
    fault,
    interval_job,
)

EVERY_VERB_ON_ONE_JOB = [
    ("GET", "/jobs/{id}", None),
    ("PUT", "/jobs/{id}", INTERVAL_JOB),
    ("PATCH", "/jobs/{id}", {"name": "other"}),
    ("DELETE", "/jobs/{id}?confirm=true", None),
    ("POST", "/jobs/{id}/pause", None),
    ("POST", "/jobs/{id}/resume", None),
    ("POST", "/jobs/{id}/run", None),
    ("GET", "/jobs/{id}/runs", None),
    ("GET", "/jobs/{id}/next", None),
    ("PUT", "/jobs/{id}?dry_run=true", INTERVAL_JOB),
    ("PATCH", "/jobs/{id}?dry_run=true", {"name": "other"}),
]


@pytest.mark.parametrize("status", ["failed", "completed"])
@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH"])
def test_a_status_that_is_not_for_clients_is_refused(client: TestClient, method: str, status: str) -> None:
    path = "/jobs" if method == "POST" else f"/jobs/{create(client)['id']}"

    found = fault(client.request(method, path, json=INTERVAL_JOB | {"status": status}))

    assert found["loc"] == ["body", "status"]
    assert found["type"] == "invalid_status"
    assert found["input"] == status
    assert '"active" or "paused"' in found["msg"]


def test_delete_without_confirmation_deletes_nothing(client: TestClient) -> None:
    job = create(client)

    for path in (f"/jobs/{job['id']}", f"/jobs/{job['id']}?confirm=false", "/jobs", "/jobs?confirm=0"):
        response = client.delete(path)
        assert response.status_code == 400
        assert response.json()["detail"].startswith("Confirmation required")
    assert client.get("/jobs").json() == [job]


@pytest.mark.parametrize("path", ["/jobs/no-uuid", f"/jobs/{UNKNOWN_ID}"])
def test_the_confirmation_is_asked_for_before_anything_else(client: TestClient, path: str) -> None:
    assert client.delete(path).json()["detail"].startswith("Confirmation required")


def test_a_confirmation_that_is_no_boolean_is_refused(client: TestClient) -> None:
    assert fault(client.delete("/jobs?confirm=perhaps"))["loc"] == ["query", "confirm"]


@pytest.mark.parametrize(("method", "path", "body"), EVERY_VERB_ON_ONE_JOB)
@pytest.mark.parametrize("text", ["1", "no-uuid", "%00", "%FF", "0x345678123456781234567812345678__", f"{UNKNOWN_ID}0"])
def test_an_id_that_is_no_uuid_is_a_400(
    client: TestClient, method: str, path: str, body: dict[str, Any] | None, text: str
) -> None:
    response = client.request(method, path.replace("{id}", text), json=body)

    assert response.status_code == 400
    assert response.json()["detail"] == "Invalid job ID format"


@pytest.mark.parametrize(("method", "path", "body"), EVERY_VERB_ON_ONE_JOB)
def test_an_unknown_id_is_a_404(client: TestClient, method: str, path: str, body: dict[str, Any] | None) -> None:
    response = client.request(method, path.replace("{id}", UNKNOWN_ID), json=body)

    assert response.status_code == 404
    assert response.json()["detail"] == "Job not found"


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH"])
def test_an_unknown_function_is_a_400(client: TestClient, method: str) -> None:
    path = "/jobs" if method == "POST" else f"/jobs/{create(client)['id']}"

    response = client.request(method, path, json=INTERVAL_JOB | {"function_name": "nöpe"})

    assert response.status_code == 400
    assert response.json()["detail"] == "Unknown function nöpe"


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH"])
def test_two_schedules_at_once_are_refused(client: TestClient, method: str) -> None:
    path = "/jobs" if method == "POST" else f"/jobs/{create(client)['id']}"

    found = fault(client.request(method, path, json=INTERVAL_JOB | {"cron_expression": "0 * * * *"}))

    assert found["msg"] == "both interval_seconds and cron_expression were given: give only one of them"


@pytest.mark.parametrize("method", ["POST", "PUT"])
@pytest.mark.parametrize("body", [interval_job(interval_seconds=None), INTERVAL_JOB | {"interval_seconds": None}])
def test_no_schedule_at_all_is_refused(client: TestClient, method: str, body: dict[str, Any]) -> None:
    path = "/jobs" if method == "POST" else f"/jobs/{create(client)['id']}"

    found = fault(client.request(method, path, json=body))

    assert found["msg"] == (
        "neither interval_seconds nor cron_expression nor run_at was given: give exactly one of them"
    )


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH"])
@pytest.mark.parametrize("expression", ["", "* * * *", "61 * * * *", "0 0 31 2 *", "every day"])
def test_a_cron_expression_that_cannot_be_read_is_refused(client: TestClient, method: str, expression: str) -> None:
    path = "/jobs" if method == "POST" else f"/jobs/{create(client)['id']}"

    body = interval_job(interval_seconds=None, cron_expression=expression)
    found = fault(client.request(method, path, json=body))

    assert found["loc"] == ["body", "cron_expression"]
    assert found["type"] == "invalid_schedule"
    assert found["input"] == expression
    assert found["msg"]


def test_a_refused_request_leaves_no_trace(client: TestClient) -> None:
    job = create(client)

    client.post("/jobs", json=interval_job(function_name="unknown"))
    client.put(f"/jobs/{job['id']}", json=interval_job(interval_seconds=None, cron_expression="no"))
    client.patch(f"/jobs/{job['id']}", json={"name": "changed", "interval_seconds": 0})

    assert client.get("/jobs").json() == [job]
