"""What the service can run, and how it is."""

from dataclasses import fields

import pytest
from starlette.testclient import TestClient

from engine.errors import StoreUnavailable
from engine.requests import Health
from store import SqlStore
from tests.fakes import Node


def test_functions_are_listed_by_name_with_summary_and_parameters(client: TestClient, node: Node) -> None:
    def annotated(job_id: str, job_metadata: dict | None = None) -> None:  # type: ignore[type-arg]  # as users write it
        """Do it well.

        At length.
        """

    node.functions.register("another", annotated)

    listed = client.get("/functions").json()

    assert [function["name"] for function in listed] == sorted(node.functions)
    assert listed[0] == {
        "name": "another",
        "summary": "Do it well.",
        "parameters": [
            {"name": "job_id", "annotation": "str", "required": True},
            {"name": "job_metadata", "annotation": "dict | None", "required": False},
        ],
        "lane": "thread",
        "metadata_schema": None,
    }


def test_a_function_without_a_docstring_has_no_summary(client: TestClient, node: Node) -> None:
    node.functions.register("a", lambda job_id: None)

    assert client.get("/functions").json()[0]["summary"] is None


def test_the_process_says_that_it_is_alive(client: TestClient, node: Node) -> None:
    node.advance(7.5)

    response = client.get("/healthz")

    assert response.status_code == 200
    assert response.json() == {
        "status": "ok",
        "version": "1.2.3",
        "node": str(node.scheduler.node),
        "uptime_seconds": 7.5,
    }


def test_a_working_service_is_ready_and_gives_its_figures(client: TestClient) -> None:
    client.post("/jobs", json={"name": "a", "function_name": "note", "interval_seconds": 1})

    response = client.get("/readyz")

    assert response.status_code == 200
    ready = response.json()
    assert set(ready) == {"status", "detail", *(field.name for field in fields(Health))}
    assert (ready["status"], ready["detail"], ready["problems"]) == ("ready", None, [])
    assert (ready["scheduled_jobs"], ready["permits"], ready["permits_free"]) == (1, 4, 4)


def test_a_service_whose_database_is_gone_is_alive_but_not_ready(
    client: TestClient, store: SqlStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store, "check", _not_available)

    response = client.get("/readyz")

    assert response.status_code == 503
    assert response.json()["status"] == "not ready"
    assert response.json()["problems"] == ["the database does not answer"]
    assert response.json()["detail"] == "the database does not answer"
    assert client.get("/healthz").status_code == 200


def test_a_stopping_service_is_not_ready_and_runs_nothing_more(client: TestClient, node: Node) -> None:
    job = client.post("/jobs", json={"name": "a", "function_name": "note", "interval_seconds": 1}).json()
    node.stop()

    ready, run = client.get("/readyz"), client.post(f"/jobs/{job['id']}/run")

    assert ready.status_code == 503
    assert ready.json()["is_stopping"] is True
    assert run.status_code == 503
    assert run.headers["retry-after"] == "5"


@pytest.mark.parametrize("path", ["/docs", "/redoc"])
def test_the_documentation_pages_are_there(client: TestClient, path: str) -> None:
    response = client.get(path)

    assert response.status_code == 200
    assert "/openapi.json" in response.text


def _not_available() -> None:
    raise StoreUnavailable("connection refused")
