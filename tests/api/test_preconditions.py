"""ETag and If-Match: two clients that change one job do not overwrite each other unseen."""

from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import pytest
from starlette.testclient import TestClient

from api.preconditions import etag_of, instants_of
from tests.api.requests_and_answers import create, interval_job
from tests.factories import make_job
from tests.fakes import Node

CHANGES: dict[str, tuple[str, str, Any]] = {
    "replace": ("PUT", "/jobs/{id}", interval_job(name="replaced")),
    "change": ("PATCH", "/jobs/{id}", {"name": "changed"}),
    "pause": ("POST", "/jobs/{id}/pause", {"note": "why"}),
    "resume": ("POST", "/jobs/{id}/resume", None),
    "delete": ("DELETE", "/jobs/{id}?confirm=true", None),
}
FAR = datetime(9999, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC)


def send(client: TestClient, change: str, job_id: str, if_match: str | None) -> Any:
    method, path, body = CHANGES[change]
    headers = {} if if_match is None else {"If-Match": if_match}
    return client.request(method, path.format(id=job_id), json=body, headers=headers)


def test_every_answer_that_is_a_job_has_its_tag(client: TestClient, node: Node) -> None:
    made = client.post("/jobs", json=interval_job())
    job_id, tag = made.json()["id"], made.headers["ETag"]
    assert client.get(f"/jobs/{job_id}").headers["ETag"] == tag
    tags = {tag}
    for change in ("replace", "change", "pause", "resume"):
        node.advance(0.001)
        answer = send(client, change, job_id, None)
        assert client.get(f"/jobs/{job_id}").headers["ETag"] == answer.headers["ETag"]
        tags.add(answer.headers["ETag"])
    assert len(tags) == 5


def test_a_run_leaves_the_tag_as_it_is(client: TestClient, node: Node) -> None:
    job = create(client, interval_seconds=1)
    tag = client.get(f"/jobs/{job['id']}").headers["ETag"]
    node.advance(1)
    node.settle()
    answer = client.get(f"/jobs/{job['id']}")
    assert answer.json()["run_count"] == 1
    assert answer.headers["ETag"] == tag


@pytest.mark.parametrize("change", CHANGES)
def test_what_is_as_the_client_knows_it_is_changed(client: TestClient, change: str) -> None:
    job = create(client)
    tag = client.get(f"/jobs/{job['id']}").headers["ETag"]
    assert send(client, change, job["id"], f'"other", {tag}').status_code == 200


@pytest.mark.parametrize("change", CHANGES)
def test_what_somebody_has_changed_since_is_left_alone(client: TestClient, node: Node, change: str) -> None:
    job = create(client)
    tag = client.get(f"/jobs/{job['id']}").headers["ETag"]
    node.advance(0.001)
    theirs = client.patch(f"/jobs/{job['id']}", json={"name": "theirs"}).json()

    refused = send(client, change, job["id"], tag)
    assert refused.status_code == 412
    assert "read it again" in refused.json()["detail"]
    assert client.get(f"/jobs/{job['id']}").json() == theirs


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("if_match", [None, "*", " * "])
def test_who_does_not_ask_changes_whatever_is_there(client: TestClient, change: str, if_match: str | None) -> None:
    job = create(client)
    assert send(client, change, job["id"], if_match).status_code == 200


@pytest.mark.parametrize(
    "if_match",
    [
        "",
        "nonsense",
        '""',
        '"nonsense"',
        '"ffffffffffffffff"',
        '"-ffffffffffffffff"',
        "é".encode("latin-1"),
        '"é"'.encode("latin-1"),
    ],
)
def test_what_is_no_tag_of_ours_matches_nothing(client: TestClient, if_match: Any) -> None:
    job = create(client)
    answer = client.patch(f"/jobs/{job['id']}", json={"name": "new"}, headers={"If-Match": if_match})
    assert answer.status_code == 412


def test_a_weak_tag_matches_nothing(client: TestClient) -> None:
    job = create(client)
    tag = client.get(f"/jobs/{job['id']}").headers["ETag"]
    assert send(client, "change", job["id"], f"W/{tag}").status_code == 412


@pytest.mark.parametrize("change", CHANGES)
def test_a_job_that_is_gone_is_not_found(client: TestClient, change: str) -> None:
    assert send(client, change, str(uuid4()), '"0"').status_code == 404


@pytest.mark.parametrize("instant", [FAR, datetime(1970, 1, 1, tzinfo=UTC), datetime(1, 1, 1, tzinfo=UTC)])
def test_a_tag_is_read_as_it_was_written(instant: datetime) -> None:
    assert instants_of(etag_of(make_job(updated_at=instant))) == {instant}
