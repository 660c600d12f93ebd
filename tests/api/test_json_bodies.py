"""JSON, read strictly."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.testclient import TestClient

from api.json_bodies import depth_of, read_json
from api.limits import MAX_JSON_DEPTH
from engine.limits import MAX_METADATA_DEPTH
from tests.api.requests_and_answers import interval_job, send_raw

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda children: st.lists(children, max_size=4) | st.dictionaries(st.text(), children, max_size=4),
    max_leaves=40,
)


def real_depth(value: Any) -> int:
    if isinstance(value, dict):
        return 1 + max(map(real_depth, value.values()), default=0)
    return 1 + max(map(real_depth, value), default=0) if isinstance(value, list) else 0


@given(JSON)
def test_what_is_not_too_deep_is_read_as_it_was_written(value: Any) -> None:
    body = json.dumps(value).encode()
    assert read_json(body) == value


@given(JSON, st.integers(MAX_JSON_DEPTH, 3 * MAX_JSON_DEPTH))
def test_the_depth_of_a_body_is_that_of_its_value(value: Any, around: int) -> None:
    # With so many brackets none of them can be left uncounted; those in texts are none.
    for _ in range(around):
        value = [value, '[{"\\']
    assert depth_of(json.dumps(value).encode()) == real_depth(value)


@pytest.mark.parametrize(
    "body",
    [b"[" * 100_000, b'{"a":' * 40_000, b'"' + b"[" * 200, b'"\\' * 100, b"]" * 100 + b"[" * 100, b"\xff[" * 100],
)
def test_the_depth_of_what_is_no_json_is_some_number(body: bytes) -> None:
    assert depth_of(body) >= 0


def nested(levels: int) -> str:
    return '{"a":' * levels + "1" + "}" * levels


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH"])
def test_a_body_that_is_too_deep_is_refused_whatever_is_in_it(client: TestClient, method: str) -> None:
    job = client.post("/jobs", json=interval_job()).json()
    path = "/jobs" if method == "POST" else f"/jobs/{job['id']}"
    deepest = json.dumps(interval_job(job_metadata=0)).replace(": 0", f": {nested(MAX_METADATA_DEPTH)}")
    assert send_raw(client, method, path, deepest.encode()).status_code == 200
    deeper = json.dumps(interval_job(unknown=0)).replace(": 0", f": {nested(MAX_METADATA_DEPTH + 1)}")
    answer = send_raw(client, method, path, deeper.encode())
    assert answer.status_code == 422
    assert "levels deep" in answer.text


@pytest.mark.parametrize(
    "body",
    ['{"name": "a", "name": "b"}', '{"unknown": {"x": 1, "x": 1}}', '{"unknown": [{"x": 1, "\\u0078": 2}]}'],
)
def test_a_name_that_stands_twice_is_refused(client: TestClient, body: str) -> None:
    answer = send_raw(client, "POST", "/jobs", body.encode())
    assert answer.status_code == 422
    assert "stands twice" in answer.text
