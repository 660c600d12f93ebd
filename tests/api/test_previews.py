"""What a schedule will do is shown before it is saved, and after."""

import time
from typing import Any

import pytest
from starlette.testclient import TestClient

from api.previews import preview_answer
from engine.preview import Preview, PreviewedSlot
from tests.api.requests_and_answers import CRON_JOB, INTERVAL_JOB, create, fault, interval_job
from tests.fakes import NOON, Node

NIGHTLY = {"cron_expression": "30 2 * * *", "timezone": "America/New_York", "after": "2027-03-12T12:00:00Z"}


def preview(client: TestClient, **fields: Any) -> dict[str, Any]:
    response = client.post("/schedules/preview", json=fields)
    assert response.status_code == 200, response.text
    found: dict[str, Any] = response.json()
    return found


def instants(found: dict[str, Any]) -> list[str]:
    return [slot["at"] for slot in found["slots"]]


def add_calendar(client: TestClient, name: str, **fields: Any) -> None:
    response = client.post("/calendars", json={"name": name} | fields)
    assert response.status_code == 200, response.text


def test_a_slot_has_its_instant_in_utc_and_in_the_time_zone_of_the_schedule(client: TestClient) -> None:
    found = preview(client, **NIGHTLY, count=3)

    plain = {"dst": None, "excluded_by": None, "moved_from": None}
    assert found["slots"] == [
        {"at": "2027-03-13T07:30:00Z", "local": "2027-03-13T02:30:00-05:00"} | plain,
        {"at": "2027-03-14T07:00:00Z", "local": "2027-03-14T03:00:00-04:00"} | plain | {"dst": "after_gap"},
        {"at": "2027-03-15T06:30:00Z", "local": "2027-03-15T02:30:00-04:00"} | plain,
    ]
    assert "New_York" in found["description"]
    assert {"code", "message"} == {key for warning in found["warnings"] for key in warning}


def test_both_passes_of_an_overlap_are_told_apart(client: TestClient) -> None:
    found = preview(
        client,
        cron_expression="30 1 * * *",
        timezone="America/New_York",
        dst_overlap="both",
        after="2027-11-07T00:00:00Z",
        count=2,
    )

    assert [(slot["local"], slot["dst"]) for slot in found["slots"]] == [
        ("2027-11-07T01:30:00-04:00", "first_pass"),
        ("2027-11-07T01:30:00-05:00", "second_pass"),
    ]


def test_slots_begin_now_and_are_ten_unless_said_otherwise(client: TestClient) -> None:
    assert instants(preview(client, interval_seconds=60, after=None, count=None)) == [
        f"2026-01-01T12:{minute:02}:00Z" for minute in range(1, 11)
    ]


def test_a_single_instant_has_one_slot(client: TestClient) -> None:
    assert instants(preview(client, run_at="2026-02-01T10:00:00+01:00")) == ["2026-02-01T09:00:00Z"]


def test_the_window_and_the_number_of_runs_end_the_slots(client: TestClient) -> None:
    window = {"start_at": "2026-01-01T13:00:00Z", "end_at": "2026-01-01T13:02:00Z"}

    assert instants(preview(client, cron_expression="* * * * *", **window)) == [
        f"2026-01-01T13:0{minute}:00Z" for minute in range(3)
    ]
    assert len(instants(preview(client, interval_seconds=60, max_runs=2))) == 2


def test_a_day_off_is_shown_with_its_calendar_and_where_its_slot_goes(client: TestClient) -> None:
    add_calendar(client, "weekends", weekly_days_off=["sat", "sun"])
    daily = {"cron_expression": "0 9 * * *", "exclude_calendars": ["weekends"], "count": 4}

    skipped = preview(client, **daily)["slots"]
    moved = preview(client, **daily, on_excluded="next_business_day", after="2026-01-02T09:00:00Z")["slots"]

    assert [(slot["at"][:10], slot["excluded_by"]) for slot in skipped] == [
        ("2026-01-02", None),
        ("2026-01-03", "weekends"),
        ("2026-01-04", "weekends"),
        ("2026-01-05", None),
    ]
    assert [slot["excluded_by"] for slot in moved][:2] == ["weekends", "weekends"]


def test_a_moved_slot_says_from_where(client: TestClient) -> None:
    add_calendar(client, "new-year", dates=["2026-01-02"])

    slots = preview(
        client, run_at="2026-01-02T09:00:00Z", exclude_calendars=["new-year"], on_excluded="next_business_day"
    )["slots"]

    assert slots[-1]["at"] == "2026-01-03T09:00:00Z"
    assert slots[-1]["moved_from"] == "2026-01-02T09:00:00Z"


def test_a_preview_keeps_nothing(client: TestClient) -> None:
    preview(client, interval_seconds=60)

    assert client.get("/jobs").json() == []


def test_what_never_fires_is_a_warning_in_a_preview(client: TestClient) -> None:
    found = preview(client, run_at="2020-01-01T00:00:00Z")

    assert found["slots"] == []
    assert "never" in str(found["warnings"])


def test_the_h_of_an_expression_depends_on_the_job(client: TestClient) -> None:
    job = create(client, interval_seconds=None, cron_expression="H H * * *")

    assert instants(preview(client, cron_expression="H H * * *", job_id=job["id"]))[0] == job["next_run_at"]


@pytest.mark.parametrize(
    ("fields", "location"),
    [
        ({"interval_seconds": 60, "count": 0}, ["body", "count"]),
        ({"interval_seconds": 60, "count": 1_001}, ["body", "count"]),
        ({"interval_seconds": 60, "count": True}, ["body", "count"]),
        ({"interval_seconds": 60, "after": 0}, ["body", "after"]),
        ({"interval_seconds": 60, "after": "2026-01-01T00:00:00"}, ["body", "after"]),
        ({"interval_seconds": 60, "job_id": "x"}, ["body", "job_id"]),
        ({}, ["body"]),
        ({"interval_seconds": 60, "run_at": "2026-01-01T00:00:00Z"}, ["body"]),
        ({"interval_seconds": 60, "timezone": "Mars/Base"}, ["body", "timezone"]),
        ({"cron_expression": "61 * * * *"}, ["body", "cron_expression"]),
        ({"interval_seconds": 60, "exclude_calendars": ["nope"]}, ["body", "exclude_calendars"]),
    ],
)
def test_a_preview_of_what_does_not_fit_is_refused(
    client: TestClient, fields: dict[str, Any], location: list[str]
) -> None:
    assert fault(client.post("/schedules/preview", json=fields))["loc"] == location


@pytest.mark.parametrize("instant", ["0001-01-01T00:00:00Z", "9999-12-31T23:59:59.999999Z"])
@pytest.mark.parametrize("zone", ["Pacific/Kiritimati", "Pacific/Niue"])
@pytest.mark.parametrize("field", ["after", "start_at", "end_at", "run_at"])
@pytest.mark.parametrize("on_excluded", ["skip", "next_business_day"])
@pytest.mark.parametrize("jitter_seconds", [0, 60])
def test_the_ends_of_time_are_no_server_error(
    client: TestClient, field: str, zone: str, instant: str, on_excluded: str, jitter_seconds: int
) -> None:
    add_calendar(client, "sundays", weekly_days_off=["sun"])
    kinds: list[dict[str, Any]] = [{}]
    if field != "run_at":
        kinds = [{"interval_seconds": 0.1}, {"interval_seconds": 10**11}, {"cron_expression": "0 9 * * *"}]
    for kind in kinds:
        body = kind | {"timezone": zone, field: instant, "jitter_seconds": jitter_seconds}
        body |= {"exclude_calendars": ["sundays"], "on_excluded": on_excluded}
        preview_status = client.post("/schedules/preview", json=body).status_code
        job_status = client.post("/jobs", json=interval_job(interval_seconds=None) | body).status_code
        assert {preview_status, job_status} <= {200, 422}, body


def test_a_job_shows_its_next_slots(client: TestClient) -> None:
    job = create(client)

    found = client.get(f"/jobs/{job['id']}/next?count=2").json()

    assert instants(found) == [job["next_run_at"], "2026-01-01T12:00:20Z"]
    assert found.keys() == {"slots", "description", "warnings"}
    assert len(client.get(f"/jobs/{job['id']}/next").json()["slots"]) == 10


def test_a_paused_job_shows_what_resuming_it_would_bring(client: TestClient) -> None:
    job = client.post("/jobs", json=CRON_JOB).json()

    assert instants(client.get(f"/jobs/{job['id']}/next?count=1").json()) == ["2026-01-01T13:00:00Z"]


def test_a_completed_job_has_no_next_slot(client: TestClient, node: Node) -> None:
    job = create(client, interval_seconds=None, run_at="2026-01-01T12:00:30Z")
    node.advance(60)

    assert client.get(f"/jobs/{job['id']}").json()["status"] == "completed"
    assert client.get(f"/jobs/{job['id']}/next").json()["slots"] == []


@pytest.mark.parametrize("count", ["0", "1001", "x", ""])
def test_a_count_beyond_its_limits_is_refused(client: TestClient, count: str) -> None:
    assert fault(client.get(f"/jobs/{create(client)['id']}/next?count={count}"))["loc"] == ["query", "count"]


def test_a_dry_run_of_a_creation_shows_the_job_and_keeps_nothing(client: TestClient) -> None:
    response = client.post("/jobs?dry_run=true", json=INTERVAL_JOB)

    assert response.status_code == 200
    assert instants(response.json())[:2] == ["2026-01-01T12:00:10Z", "2026-01-01T12:00:20Z"]
    assert client.get("/jobs").json() == []


@pytest.mark.parametrize("method", ["PUT", "PATCH"])
def test_a_dry_run_of_a_change_shows_what_would_come_and_changes_nothing(client: TestClient, method: str) -> None:
    job = create(client)

    response = client.request(method, f"/jobs/{job['id']}?dry_run=true", json=interval_job(interval_seconds=60))

    assert response.status_code == 200
    assert instants(response.json())[:2] == ["2026-01-01T12:01:00Z", "2026-01-01T12:02:00Z"]
    assert client.get(f"/jobs/{job['id']}").json() == job
    assert client.request(method, f"/jobs/{job['id']}?dry_run=false", json={**INTERVAL_JOB}).json()["id"] == job["id"]


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH"])
@pytest.mark.parametrize(
    "fields",
    [
        {"function_name": "unknown"},
        {"cron_expression": "0 0 31 2 *", "interval_seconds": None},
        {"run_at": "2020-01-01T00:00:00Z", "interval_seconds": None},
        {"end_at": "2020-01-01T00:00:00Z"},
        {"timezone": "Mars/Base"},
        {"exclude_calendars": ["unknown"]},
        {"status": "completed"},
        {"interval_seconds": 0},
    ],
)
def test_a_dry_run_is_refused_as_the_request_itself_would_be(
    client: TestClient, method: str, fields: dict[str, Any]
) -> None:
    path = "/jobs" if method == "POST" else f"/jobs/{create(client)['id']}"
    body = {name: value for name, value in (INTERVAL_JOB | fields).items() if value is not None}

    dry, real = (client.request(method, f"{path}?dry_run={wish}", json=body) for wish in ("true", "false"))

    assert dry.status_code in (400, 422)
    assert dry.status_code == real.status_code
    assert dry.json() | {"request_id": ""} == real.json() | {"request_id": ""}


def test_a_dry_run_that_is_no_boolean_is_refused(client: TestClient) -> None:
    assert fault(client.post("/jobs?dry_run=perhaps", json=INTERVAL_JOB))["loc"] == ["query", "dry_run"]


def test_a_thousand_slots_are_written_fast() -> None:
    slots = tuple(PreviewedSlot(at=NOON, local=NOON, excluded_by="weekends", moved_from=NOON) for _ in range(1_000))

    begun = time.thread_time()
    answer = preview_answer(Preview(slots, "Every so often", ()))

    assert len(answer.body) > 100_000
    # Some 6 ms on a quiet machine.
    assert time.thread_time() - begun < 0.2


def test_a_field_that_is_none_of_a_schedule_is_told_with_what_may_have_been_meant(client: TestClient) -> None:
    found = preview(client, cron_expression="0 9 * * *", time_zone="Europe/Berlin", name="a job", job_metadata={})

    assert [warning for warning in found["warnings"] if warning["code"] == "unknown_field"] == [
        {
            "code": "unknown_field",
            "message": '"time_zone" is no field of a schedule, and changes nothing; did you mean timezone?',
        }
    ]


def test_of_many_unknown_fields_the_first_are_told(client: TestClient) -> None:
    found = preview(client, interval_seconds=60, **{f"{number}" * 500: number for number in range(10, 40)})

    assert len([warning for warning in found["warnings"] if warning["code"] == "unknown_field"]) == 20


def test_a_paused_or_completed_job_is_previewed_with_what_it_is(client: TestClient, node: Node) -> None:
    body = {"name": "once", "function_name": "print_hello", "run_at": "2026-01-01T12:00:10Z"}
    paused = client.post("/jobs", json=interval_job(status="paused")).json()
    once = client.post("/jobs", json=body).json()
    node.advance(20)

    (paused_warning, *_), (once_warning,) = (
        client.get(f"/jobs/{job['id']}/next").json()["warnings"] for job in (paused, once)
    )

    assert (paused_warning["code"], once_warning["code"]) == ("paused", "completed")
    assert client.get(f"/jobs/{once['id']}/next").json()["slots"] == []
