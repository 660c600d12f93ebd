"""Every error of the engine has its answer, and nothing else gets out."""

import json
import logging
from typing import Any
from uuid import uuid4

import pytest
from starlette.testclient import TestClient
from structlog.typing import EventDict

from api.error_bodies import faults
from api.errors import ANSWERS
from engine.errors import (
    InvalidSchedule,
    NotScheduling,
    PoolFull,
    RequestRefused,
    RunInTheWay,
    SchedulerError,
    StoreUnavailable,
    TooManyCalendars,
    Unavailable,
)
from engine.scheduler import Scheduler
from store import SqlStore
from store.views import Views
from tests.api.requests_and_answers import INTERVAL_JOB, UNKNOWN_ID, create

SECRET = "connection to db.internal:5432 refused for user scheduler"


def leaves(root: type[SchedulerError]) -> set[type[SchedulerError]]:
    children = root.__subclasses__()
    return {root} if not children else set().union(*(leaves(child) for child in children))


def nested(levels: int) -> list[Any]:
    value: list[Any] = []
    for _ in range(levels):
        value = [value]
    return value


def failing(monkeypatch: pytest.MonkeyPatch, target: Any, name: str, error: BaseException) -> None:
    def fail(*arguments: Any, **options: Any) -> None:
        raise error

    monkeypatch.setattr(target, name, fail)


def test_every_refusal_and_every_unavailability_is_in_the_table() -> None:
    assert leaves(RequestRefused) | leaves(Unavailable) <= set(ANSWERS)


@pytest.mark.parametrize(
    ("error", "status", "retry_after"),
    [
        (RunInTheWay(uuid4()), 409, None),
        (TooManyCalendars(1_000), 409, None),
        (PoolFull("full"), 503, "1"),
        (NotScheduling(), 503, "5"),
        (StoreUnavailable(SECRET), 503, "5"),
    ],
)
def test_what_the_engine_refuses_is_answered_from_the_table(
    client: TestClient, monkeypatch: pytest.MonkeyPatch, error: SchedulerError, status: int, retry_after: str | None
) -> None:
    failing(monkeypatch, Scheduler, "run_now", error)

    response = client.post(f"/jobs/{UNKNOWN_ID}/run")

    assert response.status_code == status
    assert response.headers.get("retry-after") == retry_after
    assert isinstance(response.json()["detail"], str)


def test_a_kind_of_an_error_is_answered_like_it(client: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    class DiskFull(StoreUnavailable):
        pass

    failing(monkeypatch, Views, "job", DiskFull(SECRET))

    assert client.get(f"/jobs/{UNKNOWN_ID}").status_code == 503


@pytest.mark.parametrize(
    ("method", "path", "verb"),
    [
        ("GET", "/jobs", "jobs_page"),
        ("GET", "/jobs/{id}", "job"),
        ("GET", "/runs", "runs_page"),
        ("GET", "/jobs/{id}/runs", "runs_page"),
        ("GET", "/runs/{id}", "run"),
        ("POST", "/jobs", "add_job"),
        ("PUT", "/jobs/{id}", "job"),
        ("PATCH", "/jobs/{id}", "job"),
        ("POST", "/jobs/{id}/pause", "job"),
        ("DELETE", "/jobs/{id}?confirm=true", "delete_job"),
        ("DELETE", "/jobs?confirm=true", "delete_all_jobs"),
        ("GET", "/jobs/{id}/next", "job"),
        ("PUT", "/jobs/{id}?dry_run=true", "job"),
        ("PATCH", "/jobs/{id}?dry_run=true", "job"),
        ("POST", "/schedules/preview", "calendars"),
        ("GET", "/calendars", "all_calendars"),
        ("GET", "/calendars/a", "calendar"),
        ("POST", "/calendars", "add_calendar"),
        ("PUT", "/calendars/a", "replace_calendar"),
        ("DELETE", "/calendars/a?confirm=true", "delete_calendar"),
    ],
)
def test_a_database_that_does_not_answer_is_a_503_that_tells_only_the_log(
    client: TestClient, logs: list[EventDict], monkeypatch: pytest.MonkeyPatch, method: str, path: str, verb: str
) -> None:
    path = path.replace("{id}", create(client)["id"])
    for reader in (SqlStore, Views):
        if hasattr(reader, verb):
            failing(monkeypatch, reader, verb, StoreUnavailable(SECRET))

    body: dict[str, Any] = {"name": "a"} if "/calendars" in path else INTERVAL_JOB
    if verb == "calendars":
        body = body | {"exclude_calendars": ["a"]}
    response = client.request(method, path, json=body if method in ("POST", "PUT", "PATCH") else None)

    assert response.status_code == 503
    assert response.json()["detail"] == "The database is not available at the moment; try again later"
    assert response.headers["retry-after"] == "5"
    [line] = [line for line in logs if line["event"] == "request not served"]
    assert (line["error"], line["method"]) == (SECRET, method)


def test_what_nobody_expected_is_a_500_with_one_traceback_in_the_log(
    client: TestClient, logs: list[EventDict], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    failing(monkeypatch, Views, "job", ZeroDivisionError(SECRET))
    logs.clear()

    with caplog.at_level(logging.DEBUG):
        response = client.get(f"/jobs/{UNKNOWN_ID}")

    assert response.status_code == 500
    assert response.json()["detail"] == "Internal error"
    assert [line for line in logs if line["event"] != "request"] == [
        {
            "event": "request failed",
            "log_level": "error",
            "exc_info": True,
            "method": "GET",
            "path": f"/jobs/{UNKNOWN_ID}",
        }
    ]
    assert [record for record in caplog.records if record.exc_info] == []


def test_after_an_unexpected_error_the_next_request_is_served(
    client: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as broken:
        failing(broken, Views, "jobs_page", MemoryError())
        assert client.get("/jobs").status_code == 500

    assert client.get("/jobs").status_code == 200


def test_a_schedule_that_ended_while_its_job_was_paused_is_refused(
    client: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = create(client, status="paused")
    monkeypatch.setattr("engine.edits.first_slot", _never_fires)

    response = client.post(f"/jobs/{job['id']}/resume")

    assert response.status_code == 422
    assert response.json()["detail"] == [
        {"type": "invalid_schedule", "loc": ["body", "interval_seconds"], "msg": "never", "input": None}
    ]


@pytest.mark.parametrize(
    "given",
    [float("nan"), [float("inf")], "\ud800", {"\udfff": 1}, b"\xff", object(), 10**1_000, "x" * 300_000, nested(5_000)],
    ids=[
        "NaN",
        "Infinity",
        "half a pair",
        "half a pair as key",
        "bytes",
        "no JSON",
        "long number",
        "long text",
        "deep",
    ],
)
def test_whatever_was_given_can_be_shown(given: object) -> None:
    entry = {"type": "t", "loc": ("body", "\ud800", 1), "msg": "\udc00", "input": given, "ctx": {"error": ValueError()}}

    [shown] = faults([entry])

    assert len(json.dumps(shown, ensure_ascii=False, allow_nan=False).encode()) < 2_000
    assert "ctx" not in shown


@pytest.mark.parametrize("given", [None, True, 0, 1.5, "x", [1], {"a": None}])
def test_what_is_small_and_proper_is_shown_as_it_was_given(given: object) -> None:
    assert faults([{"type": "t", "loc": (), "msg": "", "input": given}])[0]["input"] == given


def test_not_every_fault_of_a_hopeless_request_is_told() -> None:
    assert len(faults([{"type": "t", "loc": (), "msg": "", "input": None}] * 1_000)) == 20


@pytest.mark.parametrize("path", ["/", "/nope", "/jobs/a/b", "/runs/a/b"])
def test_an_unknown_path_is_a_404_with_a_detail(client: TestClient, path: str) -> None:
    response = client.get(path)

    assert response.status_code == 404
    assert isinstance(response.json()["detail"], str)


@pytest.mark.parametrize(("method", "path"), [("PUT", "/jobs"), ("PATCH", "/runs"), ("DELETE", "/healthz")])
def test_a_method_that_is_not_for_a_path_is_a_405_with_a_detail(client: TestClient, method: str, path: str) -> None:
    response = client.request(method, path)

    assert response.status_code == 405
    assert isinstance(response.json()["detail"], str)


def _never_fires(*arguments: Any, **options: Any) -> None:
    raise InvalidSchedule("interval_seconds", "never")
