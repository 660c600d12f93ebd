"""What goes for every answer: the id of its request, and what a browser may do with it."""

import re

import pytest
from fastapi import FastAPI
from starlette.testclient import TestClient
from structlog.typing import EventDict

from tests.api.requests_and_answers import INTERVAL_JOB, create


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/jobs", 200),
        ("GET", "/jobs/nonsense", 400),
        ("GET", "/nothing", 404),
        ("PUT", "/healthz", 405),
        ("GET", "/docs", 200),
    ],
)
def test_every_answer_has_an_id_of_its_own(client: TestClient, method: str, path: str, status: int) -> None:
    answers = [client.request(method, path) for _ in range(2)]
    assert [answer.status_code for answer in answers] == [status, status]
    ids = {answer.headers["X-Request-ID"] for answer in answers}
    assert len(ids) == 2
    assert all(re.fullmatch("[0-9a-f]{32}", each) for each in ids)


def test_a_request_may_bring_its_id(client: TestClient) -> None:
    assert client.get("/jobs", headers={"X-Request-ID": "trace-1.2_3:4"}).headers["X-Request-ID"] == "trace-1.2_3:4"


@pytest.mark.parametrize("given", ["", " ", "x" * 65, "a b", "a\tb", "größe".encode(), "a;b"])
def test_an_id_that_is_not_fit_for_a_log_is_not_taken(client: TestClient, given: str) -> None:
    assert re.fullmatch("[0-9a-f]{32}", client.get("/jobs", headers={"X-Request-ID": given}).headers["X-Request-ID"])


def test_the_id_is_in_the_log_and_in_the_refusal(
    client: TestClient, app: FastAPI, logs: list[EventDict], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail() -> None:
        raise RuntimeError("what nobody expected")

    monkeypatch.setattr(app.state.service.scheduler, "delete_all_jobs", fail)
    answer = client.delete("/jobs?confirm=true", headers={"X-Request-ID": "mine"})
    assert answer.status_code == 500
    assert answer.json() == {
        "type": "about:blank", "title": "Internal Server Error", "status": 500, "detail": "Internal error",
        "request_id": "mine",
    }  # fmt: skip


def test_a_refusal_has_the_members_of_rfc_9457_beside_its_detail(client: TestClient) -> None:
    answer = client.get("/jobs/00000000-0000-4000-8000-000000000000", headers={"X-Request-ID": "mine"})
    assert answer.json() == {
        "type": "urn:scheduler:job-not-found", "title": "No job has this id", "status": 404, "detail": "Job not found",
        "request_id": "mine",
    }  # fmt: skip
    assert answer.headers["Content-Type"] == "application/json"


@pytest.mark.parametrize(
    ("method", "path", "status", "kind"),
    [
        ("GET", "/nothing", 404, "about:blank"),
        ("PUT", "/healthz", 405, "about:blank"),
        ("POST", "/jobs", 422, "urn:scheduler:request-validation-error"),
        ("DELETE", "/jobs", 400, "urn:scheduler:not-confirmed"),
    ],
)
def test_every_refusal_says_what_kind_of_problem_it_is(
    client: TestClient, method: str, path: str, status: int, kind: str
) -> None:
    answer = client.request(method, path)
    problem = answer.json()
    assert (answer.status_code, problem["status"], problem["type"]) == (status, status, kind)
    assert problem["title"]
    assert problem["detail"]


def test_a_body_that_is_too_large_is_a_problem_too(client: TestClient) -> None:
    answer = client.post("/jobs", content=b"x" * 10_000_000)
    assert (answer.status_code, answer.json()["type"]) == (413, "urn:scheduler:body-too-large")


@pytest.mark.parametrize("path", ["/jobs", "/jobs/nonsense", "/healthz", "/openapi.json"])
def test_an_answer_is_data_and_is_kept_by_nobody(client: TestClient, path: str) -> None:
    headers = client.get(path).headers
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["X-Frame-Options"] == "DENY"
    assert headers["Cache-Control"] == "no-store"
    assert headers["Content-Security-Policy"] == "default-src 'none'; frame-ancestors 'none'"
    assert "Access-Control-Allow-Origin" not in headers


@pytest.mark.parametrize("path", ["/docs", "/redoc"])
def test_the_pages_may_use_what_they_bring_along(client: TestClient, path: str) -> None:
    policy = client.get(path).headers["Content-Security-Policy"]
    assert "default-src 'self'" in policy
    assert "frame-ancestors 'none'" in policy


def test_one_job_is_told_with_all_that_too(client: TestClient) -> None:
    job = create(client, **INTERVAL_JOB)
    headers = client.get(f"/jobs/{job['id']}").headers
    assert headers["X-Request-ID"]
    assert headers["Cache-Control"] == "no-store"
