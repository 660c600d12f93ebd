"""What clients of the first service rely on, line by line of the contract."""

from datetime import datetime
from typing import Any

import pytest
from starlette.testclient import TestClient

from tests.api.requests_and_answers import (
    CRON_JOB,
    INTERVAL_JOB,
    TIME_LOGGER,
    create,
)
from tests.fakes import Node


def test_post_answers_200_with_the_job(client: TestClient) -> None:
    response = client.post("/jobs", json=INTERVAL_JOB)

    assert response.status_code == 200
    job = response.json()
    assert {name: job[name] for name in INTERVAL_JOB} == INTERVAL_JOB
    assert job["cron_expression"] is None
    assert job["last_run_at"] is None
    assert job["orphaned"] is False


def test_an_active_job_says_when_it_runs_next(client: TestClient) -> None:
    assert create(client)["next_run_at"] == "2026-01-01T12:00:10Z"


def test_a_paused_job_is_stored_and_not_scheduled(client: TestClient, node: Node) -> None:
    job = client.post("/jobs", json=CRON_JOB).json()

    node.advance(7_200)

    assert job["status"] == "paused"
    assert job["next_run_at"] is None
    assert client.get(f"/jobs/{job['id']}").json() == job
    assert client.get("/runs").json() == []


def test_the_time_logger_of_the_readme_runs_every_15_seconds(client: TestClient, node: Node) -> None:
    job = client.post("/jobs", json=TIME_LOGGER).json()

    node.advance(46)

    runs = client.get(f"/jobs/{job['id']}/runs").json()
    assert [run["scheduled_for"] for run in runs] == [
        "2026-01-01T12:00:45Z",
        "2026-01-01T12:00:30Z",
        "2026-01-01T12:00:15Z",
    ]
    assert client.get(f"/jobs/{job['id']}").json()["last_run_at"] == "2026-01-01T12:00:45Z"


def test_instants_keep_their_microseconds(client: TestClient, node: Node) -> None:
    node.clock.step_wall(0.25)

    assert create(client)["created_at"] == "2026-01-01T12:00:00.250000Z"


def test_every_instant_is_utc_with_a_z(client: TestClient, node: Node) -> None:
    create(client)
    node.advance(10)

    [job] = client.get("/jobs").json()
    for name in ("created_at", "updated_at", "next_run_at", "last_run_at"):
        assert job[name].endswith("Z")
        assert datetime.fromisoformat(job[name]).utcoffset() is not None


def test_status_is_active_unless_said_otherwise(client: TestClient) -> None:
    assert create(client, status=None)["status"] == "active"


def test_metadata_is_an_empty_object_unless_given(client: TestClient) -> None:
    assert create(client, job_metadata=None)["job_metadata"] == {}


@pytest.mark.parametrize("field", ["cron_expression", "job_metadata", "status"])
def test_null_means_absent_on_create(client: TestClient, field: str) -> None:
    job = client.post("/jobs", json=INTERVAL_JOB | {field: None}).json()

    assert job[field] == {"cron_expression": None, "job_metadata": {}, "status": "active"}[field]


def test_get_answers_the_job_as_it_was_created(client: TestClient) -> None:
    job = create(client)

    response = client.get(f"/jobs/{job['id']}")

    assert response.status_code == 200
    assert response.json() == job


def test_the_list_of_no_jobs_is_an_empty_array(client: TestClient) -> None:
    response = client.get("/jobs")

    assert response.status_code == 200
    assert response.json() == []
    assert response.headers["content-type"] == "application/json"


def test_the_list_is_a_bare_array_of_all_jobs(client: TestClient, node: Node) -> None:
    first = create(client)
    node.clock.step_wall(1)
    second = client.post("/jobs", json=CRON_JOB).json()

    assert client.get("/jobs").json() == [first, second]


def test_put_replaces_the_job_and_resets_what_it_does_not_name(client: TestClient) -> None:
    job = create(client, status="paused")

    body = {"name": "Weekly", "function_name": "print_hello", "cron_expression": "0 0 * * MON"}
    response = client.put(f"/jobs/{job['id']}", json=body)

    assert response.status_code == 200
    replaced = response.json()
    assert {name: replaced[name] for name in body} == body
    assert replaced["id"] == job["id"]
    assert replaced["interval_seconds"] is None
    assert replaced["job_metadata"] == {}
    assert replaced["status"] == "active"
    assert replaced["next_run_at"] == "2026-01-05T00:00:00Z"


def test_patch_changes_only_what_it_names(client: TestClient) -> None:
    job = create(client)

    response = client.patch(f"/jobs/{job['id']}", json={"interval_seconds": 15, "status": "paused"})

    assert response.status_code == 200
    pause = {"at": "2026-01-01T12:00:00Z", "until": None, "by": None, "note": None, "reason": None}
    changed = {"interval_seconds": 15, "status": "paused", "next_run_at": None, "pause": pause}
    assert response.json() == job | changed


@pytest.mark.parametrize(
    ("field", "value"),
    [("name", "Other"), ("function_name", "print_hello"), ("job_metadata", {"new": True}), ("interval_seconds", 20)],
)
def test_patch_changes_each_field_by_itself(client: TestClient, field: str, value: object) -> None:
    job = create(client, status="paused")

    assert client.patch(f"/jobs/{job['id']}", json={field: value}).json() == job | {field: value}


def test_patch_of_one_schedule_clears_the_other(client: TestClient) -> None:
    job = create(client)

    by_cron = client.patch(f"/jobs/{job['id']}", json={"cron_expression": "0 * * * *"}).json()
    by_interval = client.patch(f"/jobs/{job['id']}", json={"interval_seconds": 30}).json()

    assert (by_cron["interval_seconds"], by_cron["cron_expression"]) == (None, "0 * * * *")
    assert by_cron["next_run_at"] == "2026-01-01T13:00:00Z"
    assert (by_interval["interval_seconds"], by_interval["cron_expression"]) == (30, None)


@pytest.mark.parametrize("body", [{}, dict.fromkeys(INTERVAL_JOB), {"unknown": 1}, {"cron_expression": None}])
def test_patch_with_nothing_but_null_changes_nothing(client: TestClient, body: dict[str, Any]) -> None:
    job = create(client)

    response = client.patch(f"/jobs/{job['id']}", json=body)

    assert response.status_code == 200
    assert {name: response.json()[name] for name in INTERVAL_JOB} == INTERVAL_JOB
    assert client.get(f"/jobs/{job['id']}").json()["next_run_at"] == job["next_run_at"]


@pytest.mark.parametrize("method", ["PUT", "PATCH"])
@pytest.mark.parametrize("sent", [INTERVAL_JOB, CRON_JOB])
def test_a_job_can_be_sent_back_as_it_came(client: TestClient, method: str, sent: dict[str, Any]) -> None:
    job = client.post("/jobs", json=sent).json()

    response = client.request(method, f"/jobs/{job['id']}", json=job)

    assert response.status_code == 200
    assert response.json() | {"updated_at": job["updated_at"]} == job


def test_a_failed_job_can_be_sent_back_as_it_came(client: TestClient, node: Node) -> None:
    node.functions.register("fail", _fail)
    job = create(client, function_name="fail")
    node.advance(10)
    failed = client.get(f"/jobs/{job['id']}").json()

    response = client.put(f"/jobs/{job['id']}", json=failed)

    assert failed["status"] == "failed"
    assert response.status_code == 200
    assert response.json()["status"] == "failed"


def test_pause_and_resume_answer_with_the_job(client: TestClient) -> None:
    job = create(client)

    paused = client.post(f"/jobs/{job['id']}/pause")
    resumed = client.post(f"/jobs/{job['id']}/resume")

    assert (paused.status_code, resumed.status_code) == (200, 200)
    pause = {"at": "2026-01-01T12:00:00Z", "until": None, "by": None, "note": None, "reason": None}
    assert paused.json() == job | {"status": "paused", "next_run_at": None, "pause": pause}
    assert resumed.json() == job


def test_delete_with_confirmation_deletes_the_job(client: TestClient) -> None:
    job, other = create(client), create(client)

    response = client.delete(f"/jobs/{job['id']}?confirm=true")

    assert response.status_code == 200
    assert response.json() == {"message": f"Job {job['id']} deleted successfully"}
    assert [left["id"] for left in client.get("/jobs").json()] == [other["id"]]


def test_delete_all_says_how_many_there_were(client: TestClient) -> None:
    create(client)
    create(client)

    first, second = client.delete("/jobs?confirm=true"), client.delete("/jobs?confirm=true")

    assert first.status_code == 200
    assert first.json() == {"message": "All jobs deleted successfully", "deleted_count": 2}
    assert second.json()["deleted_count"] == 0
    assert client.get("/jobs").json() == []


def test_a_body_without_content_type_is_taken_for_json(client: TestClient) -> None:
    response = client.post("/jobs", content=b'{"name": "a", "function_name": "note", "interval_seconds": 1}')

    assert "content-type" not in response.request.headers
    assert response.status_code == 200


def test_unknown_fields_are_ignored(client: TestClient) -> None:
    assert client.post("/jobs", json=INTERVAL_JOB | {"id": 1, "owner": {}}).status_code == 200


def test_a_job_whose_function_is_gone_is_shown_as_orphaned(client: TestClient, node: Node) -> None:
    job = create(client)

    node.functions._functions.pop("dummy_number_crunch")

    assert client.get(f"/jobs/{job['id']}").json()["orphaned"] is True
    assert [shown["orphaned"] for shown in client.get("/jobs").json()] == [True]


def _fail(job_id: str) -> None:
    raise RuntimeError("it went wrong")
