"""The limits of a job's fields at their edges, and bodies that nobody in his right mind sends."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from starlette.testclient import TestClient

from tests.api.requests_and_answers import INTERVAL_JOB, create, fault, interval_job, send_raw, with_raw_field


@pytest.mark.parametrize("length", [1, 200])
@pytest.mark.parametrize("field", ["name", "function_name"])
def test_texts_may_be_as_long_as_their_limit(client: TestClient, field: str, length: int) -> None:
    response = client.post("/jobs", json=interval_job(**{field: "é" * length}))

    assert response.status_code == (200 if field == "name" else 400), response.text


@pytest.mark.parametrize("length", [0, 201])
@pytest.mark.parametrize("field", ["name", "function_name"])
@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH"])
def test_texts_beyond_their_limits_are_refused(client: TestClient, method: str, field: str, length: int) -> None:
    path = "/jobs" if method == "POST" else f"/jobs/{create(client)['id']}"

    found = fault(client.request(method, path, json=INTERVAL_JOB | {field: "x" * length}))

    assert found["loc"] == ["body", field]


@pytest.mark.parametrize("name", ["Ünï", "a b", " padded ", "日本", "😀", "'; DROP TABLE jobs;--", "<script>", "٣"])
def test_a_name_comes_back_as_it_was_sent(client: TestClient, name: str) -> None:
    assert client.get(f"/jobs/{create(client, name=name)['id']}").json()["name"] == name


@pytest.mark.parametrize("name", [" ", "\u2003", "a\x00", "a\nb", "a\t", "\x1b[31m", "a\x7f", "a\x85b"])
def test_a_name_without_visible_text_or_with_control_characters_is_refused(client: TestClient, name: str) -> None:
    assert fault(client.post("/jobs", json=interval_job(name=name)))["loc"] == ["body", "name"]


@pytest.mark.parametrize("field", ["name", "function_name", "cron_expression", "status"])
@pytest.mark.parametrize("text", ['"\\ud800"', '"a\\udc00b"'])
def test_half_a_surrogate_pair_is_refused_and_shown_escaped(client: TestClient, field: str, text: str) -> None:
    body = with_raw_field(interval_job(interval_seconds=None), field, text)
    response = send_raw(client, "POST", "/jobs", body)

    assert response.status_code == 422
    found = next(entry for entry in response.json()["detail"] if entry["loc"] == ["body", field])
    assert "\\ud" in found["input"]


@pytest.mark.parametrize(
    ("given", "shown"), [(1, 1), ("10", 10), (10.0, 10), (" 7 ", 7), ("7.0", 7), (0.1, 0.1), (1.5, 1.5), ("0.25", 0.25)]
)
@pytest.mark.parametrize("field", ["interval_seconds", "jitter_seconds"])
def test_whole_seconds_are_shown_whole_however_they_are_written(
    client: TestClient, field: str, given: object, shown: float
) -> None:
    created = create(client, **{field: given})
    stored = client.get(f"/jobs/{created['id']}").json()

    for job in (created, stored):
        assert job[field] == shown
        assert type(job[field]) is type(shown)


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH"])
@pytest.mark.parametrize("given", [0, -1, 0.05, "x", "", True, False, [], {}, 2**63, 10**11 + 1, "9" * 5_000])
def test_an_interval_that_is_no_such_number_is_refused(client: TestClient, method: str, given: object) -> None:
    path = "/jobs" if method == "POST" else f"/jobs/{create(client)['id']}"

    found = fault(client.request(method, path, json=INTERVAL_JOB | {"interval_seconds": given}))

    assert found["loc"] == ["body", "interval_seconds"]


def test_the_longest_interval_is_taken(client: TestClient) -> None:
    assert create(client, interval_seconds=10**11)["interval_seconds"] == 10**11


def test_a_cron_expression_may_be_as_long_as_its_limit(client: TestClient) -> None:
    longest = "0 0 1 10 " + ",".join(["mon"] * 62)
    assert len(longest) == 256

    assert create(client, interval_seconds=None, cron_expression=longest)["cron_expression"] == longest
    body = interval_job(interval_seconds=None, cron_expression=f"{longest} ")
    assert fault(client.post("/jobs", json=body))["type"] == "string_too_long"


def padded_job(size: int) -> bytes:
    body = json.dumps(INTERVAL_JOB).encode()
    return body + b" " * (size - len(body))


def chunks(body: bytes) -> Iterator[bytes]:
    for start in range(0, len(body), 10_000):
        yield body[start : start + 10_000]


@pytest.mark.parametrize("is_chunked", [False, True], ids=["declared", "chunked"])
def test_a_body_may_be_as_large_as_its_limit(client: TestClient, is_chunked: bool) -> None:
    def post(body: bytes) -> Any:
        return client.post("/jobs", content=chunks(body) if is_chunked else body)

    largest, too_large = post(padded_job(262_144)), post(padded_job(262_145))

    assert ("content-length" in largest.request.headers) is not is_chunked
    assert largest.status_code == 200
    assert too_large.status_code == 413
    assert too_large.json()["detail"] == "Request body too large: at most 262144 bytes are taken"
    assert too_large.headers["connection"] == "close"
    assert len(client.get("/jobs").json()) == 1
