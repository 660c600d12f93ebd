"""What a node serves, by its role."""

from collections.abc import Callable

import pytest
from fastapi import FastAPI
from starlette.testclient import TestClient

from api.application import attach_service, create_app
from engine.errors import StoreUnavailable
from engine.nodes import Role
from store import SqlStore
from tests.api.requests_and_answers import INTERVAL_JOB
from tests.fakes import Node

Serving = Callable[[Role], TestClient]


@pytest.fixture
def serving(node: Node, store: SqlStore) -> Serving:
    def serve(role: Role) -> TestClient:
        app: FastAPI = create_app(version="1.2.3", role=role)
        attach_service(app, scheduler=node.scheduler, store=store.views, clock=node.clock)
        return TestClient(app)

    return serve


@pytest.mark.parametrize(
    ("role", "runs_jobs", "serves_api"), [("all", True, True), ("api", False, True), ("worker", True, False)]
)
def test_a_role_says_what_a_node_does(role: str, runs_jobs: bool, serves_api: bool) -> None:
    assert (Role(role).runs_jobs, Role(role).serves_api) == (runs_jobs, serves_api)


@pytest.mark.parametrize("role", [Role.ALL, Role.API])
def test_a_node_with_the_api_serves_all_of_it(role: Role, serving: Serving) -> None:
    client = serving(role)

    assert client.post("/jobs", json=INTERVAL_JOB).status_code == 200
    for path in ("/jobs", "/functions", "/docs", "/openapi.json", "/healthz", "/readyz"):
        assert client.get(path).status_code == 200, path


@pytest.mark.parametrize(
    "path",
    ["/", "/jobs", "/runs", "/functions", "/docs", "/redoc", "/openapi.json", "/static-offline-docs/favicon.png"],
)
def test_a_worker_has_no_api_and_no_pages(path: str, serving: Serving) -> None:
    response = serving(Role.WORKER).get(path)

    assert (response.status_code, response.json()["detail"]) == (404, "Not Found")


def test_a_worker_takes_no_jobs(serving: Serving, store: SqlStore) -> None:
    assert serving(Role.WORKER).post("/jobs", json=INTERVAL_JOB).status_code == 404
    assert store.views.jobs_page(after=None, limit=1) == []


def test_a_worker_says_how_it_is(serving: Serving, node: Node) -> None:
    client = serving(Role.WORKER)

    assert client.get("/healthz").json()["node"] == str(node.scheduler.node)
    assert client.get("/readyz").json()["status"] == "ready"


def test_a_worker_says_that_its_database_is_away(
    serving: Serving, store: SqlStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail() -> None:
        raise StoreUnavailable("gone")

    client = serving(Role.WORKER)
    monkeypatch.setattr(store, "check", fail)

    assert client.get("/readyz").status_code == 503
    assert client.get("/healthz").status_code == 200
