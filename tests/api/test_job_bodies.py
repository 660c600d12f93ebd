"""The limits of a job's fields at their edges, and bodies that nobody in his right mind sends."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from starlette.testclient import TestClient

from tests.api.requests_and_answers import INTERVAL_JOB, create, fault, interval_job, send_raw, with_raw_field

NASTY_VALUES = [
    *("null", "true", "false", "0", "-0", "-1", "1.5", "1e2", "NaN", "Infinity", "-Infinity", "1e999", "-1e999"),
    *("9223372036854775807", "9223372036854775808", "-9223372036854775809", "1e308", "9" * 4_000, "9" * 5_000),
    *('""', '" "', '"\\u0000"', '"a\\u0000b"', '"\\ud800"', '"\\udfff x"', '"\\n"', '"\\u202e"', '"\\ud83d\\ude00"'),
    *('"10"', '"1e999"', '"NaN"', f'"{"9" * 5_000}"', f'"{"x" * 10_000}"', '"* * * * *"', '"active"', '"Active"'),
    *("[]", "[[]]", "[null]", "{}", '{"a": NaN}', '{"a": 1e999}', '{"\\ud800": 1}', '{"a": "\\ud800"}'),
    *('{"a": "\\u0000"}', '{"\\u0000": 1}', '{"": ""}', '{"a": 1, "a": 2}', '{"a": [{"b": [true, null, -0.0]}]}'),
    *("[" * 900 + "]" * 900, '{"a":' * 900 + "1" + "}" * 900),
]
FIELDS = [*INTERVAL_JOB, "cron_expression"]


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


@pytest.mark.parametrize("name", [" ", "\u2003", "a\x00", "a\nb", "\t", "\x1b[31m", "\x7f", "\x85"])
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


@pytest.mark.parametrize(("given", "shown"), [(1, 1), ("10", 10), (10.0, 10), (" 7 ", 7), ("7.0", 7)])
def test_an_interval_is_whole_seconds_however_they_are_written(client: TestClient, given: object, shown: int) -> None:
    interval = create(client, interval_seconds=given)["interval_seconds"]

    assert interval == shown
    assert isinstance(interval, int)


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH"])
@pytest.mark.parametrize("given", [0, -1, 0.5, 1.5, "x", "", True, False, [], {}, 2**63, 10**11 + 1, "9" * 5_000])
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
    assert fault(client.post("/jobs", json=interval_job(job_metadata=nested(33))))["type"] == "too_deep"


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


def test_of_a_key_that_comes_twice_the_last_value_counts(client: TestClient) -> None:
    body = with_raw_field(INTERVAL_JOB, "job_metadata", '{"a": 1, "a": 2}')

    assert send_raw(client, "POST", "/jobs", body).json()["job_metadata"] == {"a": 2}


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
    assert too_large.json() == {"detail": "Request body too large: at most 262144 bytes are taken"}
    assert too_large.headers["connection"] == "close"
    assert len(client.get("/jobs").json()) == 1
