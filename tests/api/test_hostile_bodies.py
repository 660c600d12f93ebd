"""Bodies that nobody in his right mind sends: the fault is always the client's."""

import json
from dataclasses import fields

import pytest
from starlette.testclient import TestClient

from engine.timing import Timing
from tests.api.requests_and_answers import INTERVAL_JOB, create, interval_job, send_raw, with_raw_field

NASTY_VALUES = [
    *("null", "true", "false", "0", "-0", "-1", "1.5", "1e2", "NaN", "Infinity", "-Infinity", "1e999", "-1e999"),
    *("9223372036854775807", "9223372036854775808", "-9223372036854775809", "1e308", "9" * 4_000, "9" * 5_000),
    *('""', '" "', '"\\u0000"', '"a\\u0000b"', '"\\ud800"', '"\\udfff x"', '"\\n"', '"\\u202e"', '"\\ud83d\\ude00"'),
    *('"10"', '"1e999"', '"NaN"', f'"{"9" * 5_000}"', f'"{"x" * 10_000}"', '"* * * * *"', '"active"', '"Active"'),
    *('"2026-12-01T09:00:00Z"', '"9999-12-31T23:59:59Z"', '"0001-01-01T00:00:00Z"', '"UTC"', '["UTC"]', "[1, 2]"),
    *("[]", "[[]]", "[null]", "{}", '{"a": NaN}', '{"a": 1e999}', '{"\\ud800": 1}', '{"a": "\\ud800"}'),
    *('{"a": "\\u0000"}', '{"\\u0000": 1}', '{"": ""}', '{"a": 1, "a": 2}', '{"a": [{"b": [true, null, -0.0]}]}'),
    *("[" * 900 + "]" * 900, '{"a":' * 900 + "1" + "}" * 900),
]

TIMING_FIELDS = [field.name for field in fields(Timing)]
FIELDS = [*INTERVAL_JOB, *(name for name in TIMING_FIELDS if name not in INTERVAL_JOB)]


@pytest.mark.parametrize("field", FIELDS)
@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH"])
def test_no_value_of_any_field_is_a_server_error(client: TestClient, method: str, field: str) -> None:
    job = create(client, status="paused")
    path = "/jobs" if method == "POST" else f"/jobs/{job['id']}"

    for raw in NASTY_VALUES:
        body = with_raw_field(interval_job(interval_seconds=None), field, raw)
        response = send_raw(client, method, path, body)
        assert response.status_code in (200, 400, 422), (raw[:50], response.text)
        assert response.status_code == 200 or response.json()["detail"]
        assert len(response.content) < 10_000
    assert client.get("/jobs").status_code == 200


BODIES_THAT_ARE_NO_JOB = {
    "empty": b"",
    "no JSON": b"name=x",
    "half a JSON": b'{"name": "x"',
    "not UTF-8": b'{"name": "\xff\xfe"}',
    "NUL": b"\x00",
    "array": b"[]",
    "string": b'"x"',
    "number": b"1",
    "null": b"null",
    "NaN": b"NaN",
    "deep array": b"[" * 100_000,
    "deep object": b'{"a":' * 40_000,
    "deep and whole": b"[" * 100_000 + b"]" * 100_000,
    "long number": b"9" * 200_000,
    "many keys": json.dumps({str(number): number for number in range(10_000)}).encode(),
    "raw surrogate": b'{"name": "\xed\xa0\x80", "function_name": "note", "interval_seconds": 1}',
}


@pytest.mark.parametrize("body", BODIES_THAT_ARE_NO_JOB.values(), ids=BODIES_THAT_ARE_NO_JOB.keys())
@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH"])
def test_a_body_that_is_no_job_is_the_clients_fault(client: TestClient, method: str, body: bytes) -> None:
    job = create(client)
    path = "/jobs" if method == "POST" else f"/jobs/{job['id']}"

    response = send_raw(client, method, path, body)

    if method == "PATCH" and body.startswith(b'{"0"'):
        assert response.status_code == 200, "only unknown fields, so nothing changes"
    else:
        assert response.status_code in (400, 422)
        assert response.json()["detail"]
        assert len(response.content) < 10_000
    assert client.get("/jobs").json() == [job]
