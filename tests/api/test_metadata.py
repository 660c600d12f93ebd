"""What a function may be given: any JSON object within the limits, and back it comes as it was sent."""

import json
from typing import Any

import pytest
from starlette.testclient import TestClient

from tests.api.requests_and_answers import INTERVAL_JOB, create, fault, interval_job, send_raw, with_raw_field


def test_metadata_comes_back_as_it_was_sent(client: TestClient) -> None:
    metadata = {
        "text": "Grüße 😀 \\u0000 \u2028 \x7f",
        "numbers": [0, -1, 1.5, 1e-9, 1e308, 2**53, 2**63, -(2**63), 10**30],
        "rest": [True, None, {}, [], {"": {"deep": [[["x"]]]}}],
    }

    job = create(client, job_metadata=metadata)

    assert job["job_metadata"] == metadata
    assert client.get(f"/jobs/{job['id']}").json()["job_metadata"] == metadata
    assert client.get("/jobs").json()[0]["job_metadata"] == metadata


@pytest.mark.parametrize("character", ["x", "é", "😀"])
def test_metadata_may_be_as_large_as_its_limit_in_bytes(client: TestClient, character: str) -> None:
    overhead, size = len('{"a":""}'), len(character.encode())
    text = character * ((65_536 - overhead) // size) + "x" * ((65_536 - overhead) % size)

    assert create(client, job_metadata={"a": text})["job_metadata"] == {"a": text}
    found = fault(client.post("/jobs", json=interval_job(job_metadata={"a": f"{text}x"})))
    assert found["msg"] == "Metadata should have at most 65536 bytes as UTF-8 JSON, not 65537"


def test_metadata_may_be_as_deep_as_its_limit(client: TestClient) -> None:
    def nested(levels: int) -> dict[str, Any]:
        value: Any = {"end": 1}
        for level in range(levels - 1):
            value = [value] if 0 < level < levels - 2 else {"a": value}
        return {"a": value} if isinstance(value, list) else value

    assert json.dumps(nested(32)).count("{") + json.dumps(nested(32)).count("[") == 32
    assert create(client, job_metadata=nested(32))["job_metadata"] == nested(32)
    answer = client.post("/jobs", json=interval_job(job_metadata=nested(33)))
    assert answer.status_code == 422
    assert "levels deep" in answer.text


@pytest.mark.parametrize("raw", ["NaN", "-Infinity", "[1e999]", '"\\u0000"', '["\\ud800"]'])
@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH"])
def test_metadata_that_is_not_json_or_not_storable_is_refused(client: TestClient, method: str, raw: str) -> None:
    path = "/jobs" if method == "POST" else f"/jobs/{create(client)['id']}"

    found = fault(send_raw(client, method, path, with_raw_field(INTERVAL_JOB, "job_metadata", f'{{"a": {raw}}}')))

    assert found["loc"] == ["body", "job_metadata"]


@pytest.mark.parametrize("key", ["\\u0000", "\\udc00"])
def test_keys_of_metadata_are_held_to_the_same_rules(client: TestClient, key: str) -> None:
    body = with_raw_field(INTERVAL_JOB, "job_metadata", f'{{"a": {{"{key}": 1}}}}')

    assert fault(send_raw(client, "POST", "/jobs", body))["loc"] == ["body", "job_metadata"]


@pytest.mark.parametrize("given", [[], "{}", 1, True])
def test_metadata_that_is_no_object_is_refused(client: TestClient, given: object) -> None:
    assert fault(client.post("/jobs", json=interval_job(job_metadata=given)))["type"] == "dict_type"


def test_a_key_that_comes_twice_is_refused(client: TestClient) -> None:
    body = with_raw_field(INTERVAL_JOB, "job_metadata", '{"a": 1, "a": 2}')

    assert send_raw(client, "POST", "/jobs", body).status_code == 422
