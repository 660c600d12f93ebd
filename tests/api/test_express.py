"""The short way to one job gives the same answer as the route, and leaves to the route what is not plain."""

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from pydantic import BaseModel
from starlette.testclient import TestClient

from store import SqlStore
from store.views import Views
from tests.api.requests_and_answers import UNKNOWN_ID, create
from tests.fakes import Node


class Typed(BaseModel):
    number: int


class Asked:
    """Counts which of the two is asked for a job."""

    def __init__(self, store: SqlStore, patch: pytest.MonkeyPatch) -> None:
        self.at_once = self.in_a_thread = 0
        ask = Views.job

        def counted(views: Views, job_id: UUID) -> Any:
            if views is store.views.at_once:
                self.at_once += 1
            else:
                self.in_a_thread += 1
            return ask(views, job_id)

        patch.setattr(Views, "job", counted)


@pytest.fixture
def asked(store: SqlStore, monkeypatch: pytest.MonkeyPatch) -> Asked:
    return Asked(store, monkeypatch)


def test_a_job_is_told_without_the_route(client: TestClient, asked: Asked) -> None:
    job = create(client)

    response = client.get(f"/jobs/{job['id']}")

    assert response.json() == job
    assert (asked.at_once, asked.in_a_thread) == (1, 0)


def test_the_short_way_and_the_route_give_the_same_bytes(client: TestClient) -> None:
    job = create(client, job_metadata={"text": "naïve \u2028", "numbers": [1.0, 2, 1e300]})

    same = {"X-Request-ID": "the-same"}
    short = client.get(f"/jobs/{job['id']}", headers=same)
    by_route = client.get(f"/jobs/{job['id'].upper()}", headers=same)

    assert (short.content, short.headers) == (by_route.content, by_route.headers)


def test_another_process_that_writes_does_not_send_it_to_a_thread(
    client: TestClient, asked: Asked, tmp_path: Path
) -> None:
    job = create(client)
    client.get(f"/jobs/{job['id']}")

    (database,) = tmp_path.glob("*.db")
    with closing(sqlite3.connect(database, isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        assert client.get(f"/jobs/{job['id']}").json() == job
    assert (asked.at_once, asked.in_a_thread) == (2, 0)


@pytest.mark.parametrize("path", [f"/jobs/{UNKNOWN_ID}", "/jobs/no-id", "/jobs/1/2"])
def test_what_is_not_found_is_told_by_the_route(client: TestClient, path: str) -> None:
    expected = {f"/jobs/{UNKNOWN_ID}": 404, "/jobs/no-id": 400, "/jobs/1/2": 404}

    assert client.get(path).status_code == expected[path]


def test_another_method_is_left_to_its_route(client: TestClient) -> None:
    job = create(client)

    assert client.request("HEAD", f"/jobs/{job['id']}").status_code == 405
    assert client.delete(f"/jobs/{job['id']}").status_code == 400


def test_metadata_is_checked_by_its_authors_code_in_a_thread(client: TestClient, node: Node, asked: Asked) -> None:
    def typed(job_id: str, job_metadata: Typed) -> None:
        """Do nothing."""

    node.functions.register("typed", typed)
    job = create(client, function_name="typed", job_metadata={"number": 1})

    assert client.get(f"/jobs/{job['id']}").json() == job
    assert asked.in_a_thread == 1


def test_below_a_prefix_the_route_answers(client: TestClient, asked: Asked) -> None:
    job = create(client)

    prefixed = TestClient(client.app, root_path="/api")

    assert prefixed.get(f"/jobs/{job['id']}").json() == job
    assert (asked.at_once, asked.in_a_thread) == (0, 1)
