"""What a job says about when: shown as it was sent, kept by what does not name it, reset by null."""

from typing import Any

import pytest
from starlette.testclient import TestClient

from tests.api.requests_and_answers import CRON_JOB, INTERVAL_JOB, create, fault
from tests.fakes import Node

DEFAULTS: dict[str, Any] = {
    "run_at": None,
    "timezone": "UTC",
    "dst_gap": "run_after",
    "dst_overlap": "first",
    "start_at": None,
    "end_at": None,
    "max_runs": None,
    "jitter_seconds": 0,
    "exclude_calendars": [],
    "on_excluded": "skip",
}
EVERYTHING: dict[str, Any] = {
    "timezone": "Europe/Berlin",
    "dst_gap": "skip",
    "dst_overlap": "both",
    "start_at": "2026-01-02T00:00:00Z",
    "end_at": "2030-01-01T00:00:00.500000Z",
    "max_runs": 7,
    "jitter_seconds": 0.5,
    "exclude_calendars": ["weekends", "holidays"],
    "on_excluded": "next_business_day",
}


@pytest.fixture(autouse=True)
def calendars(client: TestClient) -> None:
    client.post("/calendars", json={"name": "weekends", "weekly_days_off": ["sat", "sun"]})
    client.post("/calendars", json={"name": "holidays", "dates": ["2026-12-25"]})


def shown(client: TestClient, job: dict[str, Any], *fields: str) -> dict[str, Any]:
    stored = client.get(f"/jobs/{job['id']}").json()
    return {field: stored[field] for field in fields}


def test_a_job_of_an_old_client_has_the_defaults(client: TestClient) -> None:
    for body in (INTERVAL_JOB, CRON_JOB):
        job = client.post("/jobs", json=body).json()
        assert {field: job[field] for field in DEFAULTS} == DEFAULTS
        assert job["run_count"] == 0


@pytest.mark.parametrize("sent", [INTERVAL_JOB, CRON_JOB])
@pytest.mark.parametrize("status", ["active", "paused"])
def test_a_job_shows_every_field_as_it_was_sent(client: TestClient, sent: dict[str, Any], status: str) -> None:
    job = client.post("/jobs", json=sent | EVERYTHING | {"status": status}).json()

    assert {field: job[field] for field in EVERYTHING} == EVERYTHING
    assert shown(client, job, *EVERYTHING) == EVERYTHING
    assert client.get("/jobs").json() == [job]


@pytest.mark.parametrize("method", ["PUT", "PATCH"])
@pytest.mark.parametrize("sent", [INTERVAL_JOB, CRON_JOB])
def test_a_job_with_every_field_can_be_sent_back_as_it_came(
    client: TestClient, method: str, sent: dict[str, Any]
) -> None:
    job = client.post("/jobs", json=sent | EVERYTHING).json()

    assert client.request(method, f"/jobs/{job['id']}", json=job).json() | {"updated_at": job["updated_at"]} == job


def test_put_resets_what_it_does_not_name(client: TestClient) -> None:
    job = create(client, **EVERYTHING)

    replaced = client.put(f"/jobs/{job['id']}", json=INTERVAL_JOB).json()

    assert {field: replaced[field] for field in DEFAULTS} == DEFAULTS


def test_patch_leaves_what_it_does_not_name(client: TestClient) -> None:
    job = create(client, **EVERYTHING)

    client.patch(f"/jobs/{job['id']}", json={"name": "other", "interval_seconds": None, "run_at": None})

    assert shown(client, job, *EVERYTHING, "interval_seconds") == EVERYTHING | {"interval_seconds": 10}


@pytest.mark.parametrize("field", EVERYTHING)
def test_null_resets_one_field_in_a_patch(client: TestClient, field: str) -> None:
    job = create(client, **EVERYTHING)

    response = client.patch(f"/jobs/{job['id']}", json={field: None})

    assert response.status_code == 200, response.text
    assert shown(client, job, *EVERYTHING) == EVERYTHING | {field: DEFAULTS[field]}


def test_each_kind_of_schedule_clears_the_others_in_a_patch(client: TestClient) -> None:
    job = create(client)
    kinds = {"run_at": "2026-02-01T00:00:00Z", "cron_expression": "0 9 * * *", "interval_seconds": 0.5}

    for kind, value in kinds.items():
        client.patch(f"/jobs/{job['id']}", json={kind: value})
        assert shown(client, job, *kinds) == dict.fromkeys(kinds) | {kind: value}


def test_a_window_that_only_the_whole_job_turns_around_is_refused_in_a_patch(client: TestClient) -> None:
    job = create(client, end_at="2026-02-01T00:00:00Z")

    response = client.patch(f"/jobs/{job['id']}", json={"start_at": "2026-03-01T00:00:00Z"})

    assert response.status_code == 422
    assert client.get(f"/jobs/{job['id']}").json() == job


def test_an_instant_with_any_offset_is_shown_in_utc(client: TestClient) -> None:
    job = create(client, interval_seconds=None, run_at="2026-12-01T09:00:00+05:30")

    assert (job["run_at"], job["next_run_at"]) == ("2026-12-01T03:30:00Z", "2026-12-01T03:30:00Z")


def test_a_job_runs_as_often_as_it_may_and_counts(client: TestClient, node: Node) -> None:
    job = create(client, max_runs=2)

    node.advance(60)

    assert shown(client, job, "status", "run_count", "next_run_at") == {
        "status": "completed",
        "run_count": 2,
        "next_run_at": None,
    }


def test_an_unknown_calendar_is_refused_by_name(client: TestClient) -> None:
    found = fault(client.post("/jobs", json=INTERVAL_JOB | {"exclude_calendars": ["weekends", "nope"]}))

    assert found["loc"] == ["body", "exclude_calendars"]
    assert found["msg"] == 'exclude_calendars has "nope": no calendar has this name'
    assert found["input"] == ["weekends", "nope"]


def test_an_unknown_time_zone_is_refused_by_name(client: TestClient) -> None:
    found = fault(client.post("/jobs", json=INTERVAL_JOB | {"timezone": "Europe/Berlln"}))

    assert found["loc"] == ["body", "timezone"]
    assert "Europe/Berlln" in found["msg"]
