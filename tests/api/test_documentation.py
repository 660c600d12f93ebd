"""The OpenAPI document is valid, complete and true."""

import re
from typing import Any

import pytest
from fastapi import FastAPI
from schemathesis.generation import GenerationMode
from schemathesis.specs.openapi.definitions import OPENAPI_31_VALIDATOR
from starlette.testclient import TestClient

from api.requests import CHANGE, CRON_JOB, INTERVAL_JOB
from tests.api import requests_and_answers as readme
from tests.api.requests_and_answers import create
from tests.fakes import Node
from tests.fuzz.sending import send_anything

GIVEN = {
    "create_job": {200, 400, 413, 422, 503},
    "list_jobs": {200, 422, 503},
    "get_job": {200, 400, 404, 503},
    "replace_job": {200, 400, 404, 412, 413, 422, 503},
    "change_job": {200, 400, 404, 412, 413, 422, 503},
    "delete_job": {200, 400, 404, 412, 422, 503},
    "delete_all_jobs": {200, 400, 422, 503},
    "pause_job": {200, 400, 404, 412, 413, 422, 503},
    "resume_job": {200, 400, 404, 412, 413, 422, 503},
    "pause_everything": {200, 400, 413, 422, 503},
    "resume_everything": {200, 400, 413, 422, 503},
    "get_pause": {200},
    "run_job_now": {200, 400, 404, 409, 422, 503},
    "cancel_run": {200, 400, 404, 409, 503},
    "list_runs_of_job": {200, 400, 404, 422, 503},
    "list_runs": {200, 400, 422, 503},
    "get_run": {200, 400, 404, 503},
    "get_run_logs": {200, 400, 404, 422, 503},
    "preview_schedule": {200, 400, 413, 422, 503},
    "preview_job": {200, 400, 404, 422, 503},
    "explain_slot": {200, 400, 404, 422, 503},
    "create_calendar": {200, 400, 409, 413, 422, 503},
    "list_calendars": {200, 503},
    "get_calendar": {200, 404, 422, 503},
    "replace_calendar": {200, 400, 404, 413, 422, 503},
    "delete_calendar": {200, 400, 404, 409, 422, 503},
    "import_calendar": {200, 404, 413, 422, 503},
    "create_backfill": {200, 400, 404, 409, 413, 422, 503},
    "list_backfills": {200, 400, 404, 503},
    "get_backfill": {200, 400, 404, 503},
    "list_runs_of_backfill": {200, 400, 404, 503},
    "cancel_backfill": {200, 400, 404, 409, 503},
    "list_functions": {200},
    "list_nodes": {200, 422, 503},
    "get_health": {200, 422, 503},
    "get_readiness": {200, 503},
    "create_key": {200, 400, 409, 413, 422, 503},
    "list_keys": {200, 503},
    "revoke_key": {200, 400, 404, 503},
}
BY_THE_DOOR = {401, 403, 414, 429, 431, 503}
READING = ("get_", "list_", "explain_", "preview_job")


def by_the_door(name: str) -> set[int]:
    """What is answered before the operation is asked."""
    if name == "get_health":
        return {421}
    return BY_THE_DOOR | ({421} if name.startswith(READING) else {415, 421})


DOCUMENTED = {name: given | by_the_door(name) for name, given in GIVEN.items()}


@pytest.fixture
def document(client: TestClient) -> dict[str, Any]:
    found: dict[str, Any] = client.get("/openapi.json").json()
    return found


def operations(document: dict[str, Any]) -> dict[str, dict[str, Any]]:
    found = [operation for path in document["paths"].values() for operation in path.values()]
    return {operation["operationId"]: operation for operation in found}


def test_the_document_is_valid_openapi(document: dict[str, Any]) -> None:
    assert document["openapi"].startswith("3.1")
    assert [error.message for error in OPENAPI_31_VALIDATOR.iter_errors(document)] == []


def test_every_operation_documents_exactly_the_answers_it_gives(document: dict[str, Any]) -> None:
    documented = {
        name: {int(status) for status in operation["responses"]} for name, operation in operations(document).items()
    }
    assert documented == DOCUMENTED


def test_every_answer_is_typed_and_every_operation_described(document: dict[str, Any]) -> None:
    for operation in operations(document).values():
        assert operation["summary"]
        assert operation["description"]
        assert set(operation["tags"]) <= {tag["name"] for tag in document["tags"]}
        for response in operation["responses"].values():
            assert response["description"]
            assert response["content"]["application/json"]["schema"]


def test_errors_are_documented_with_their_own_bodies(document: dict[str, Any]) -> None:
    responses = operations(document)["run_job_now"]["responses"]

    assert responses["404"]["content"]["application/json"]["schema"]["$ref"].endswith("/ErrorView")
    assert "Retry-After" in responses["503"]["headers"]
    assert not {"HTTPValidationError", "ValidationError"} & document["components"]["schemas"].keys()


def test_limits_are_documented(document: dict[str, Any]) -> None:
    fields = document["components"]["schemas"]["JobCreate"]["properties"]

    assert fields["name"]["maxLength"] == 200
    assert fields["interval_seconds"]["anyOf"][0] == {"type": "number", "minimum": 0.1, "maximum": 10**11}
    assert fields["cron_expression"]["anyOf"][0]["maxLength"] == 256
    assert fields["run_at"]["anyOf"][0] == {"type": "string", "format": "date-time"}
    assert fields["max_runs"]["anyOf"][0] == {"type": "integer", "minimum": 1, "maximum": 10**9}
    assert fields["jitter_seconds"]["anyOf"][0] == {"type": "number", "minimum": 0, "maximum": 86_400}
    assert fields["exclude_calendars"]["anyOf"][0]["maxItems"] == 16


def test_the_examples_are_those_of_the_readme() -> None:
    assert (INTERVAL_JOB, CRON_JOB) == (readme.INTERVAL_JOB, readme.CRON_JOB)
    assert CHANGE == {"interval_seconds": 15, "status": "paused"}


def examples_of(document: dict[str, Any], operation: str) -> list[dict[str, Any]]:
    content = operations(document)[operation]["requestBody"]["content"]["application/json"]
    schema = document["components"]["schemas"][content["schema"]["$ref"].rpartition("/")[2]]
    return [*schema["examples"], *(shown["value"] for shown in content["examples"].values())]


@pytest.mark.parametrize(
    ("operation", "method", "path", "count"),
    [
        ("create_job", "POST", "/jobs", 4),
        ("replace_job", "PUT", "/jobs/{job_id}", 4),
        ("change_job", "PATCH", "/jobs/{job_id}", 2),
        ("create_calendar", "POST", "/calendars", 2),
        ("replace_calendar", "PUT", "/calendars/a", 2),
    ],
)
def test_every_example_works_when_sent(
    client: TestClient, document: dict[str, Any], operation: str, method: str, path: str, count: int
) -> None:
    examples = examples_of(document, operation)

    for example in examples:
        client.delete(f"/calendars/{example.get('name')}?confirm=true")
        client.post("/calendars", json={"name": "a"})
        response = client.request(method, path.replace("{job_id}", create(client)["id"]), json=example)
        assert response.status_code == 200, response.text
        assert {field: response.json()[field] for field in example} == example
    assert len(examples) == count


def test_every_example_of_a_preview_has_slots(client: TestClient, document: dict[str, Any]) -> None:
    for example in examples_of(document, "preview_schedule"):
        assert client.post("/schedules/preview", json=example).json()["slots"]


def test_a_dry_run_is_documented_beside_the_job(document: dict[str, Any]) -> None:
    for name in ("create_job", "replace_job", "change_job"):
        operation = operations(document)[name]
        schema = operation["responses"]["200"]["content"]["application/json"]["schema"]
        assert [each["$ref"].rpartition("/")[2] for each in schema["anyOf"]] == ["JobView", "PreviewView"]
        assert "dry_run" in [parameter["name"] for parameter in operation["parameters"]]


def test_an_import_is_documented_as_a_text(document: dict[str, Any]) -> None:
    assert operations(document)["import_calendar"]["requestBody"]["content"].keys() == {"text/calendar"}


@pytest.mark.once
@pytest.mark.parametrize("mode", [GenerationMode.POSITIVE, GenerationMode.NEGATIVE], ids=["fitting", "unfitting"])
def test_whatever_is_sent_the_answer_is_as_documented(
    app: FastAPI, client: TestClient, node: Node, mode: GenerationMode
) -> None:
    seen = send_anything(app, client, mode=mode, examples=25)
    if mode is GenerationMode.POSITIVE:
        assert {name for name, status in seen if status == 200} == {
            f"{method.upper()} {path}" for path, methods in app.openapi()["paths"].items() for method in methods
        } - {"GET /runs/{run_id}", "GET /runs/{run_id}/logs", "POST /runs/{run_id}/cancel"}


@pytest.mark.parametrize("page", ["/docs", "/redoc"])
def test_the_pages_load_nothing_from_outside(client: TestClient, page: str) -> None:
    html = client.get(page).text
    loaded = re.findall(r'(?:src|href)="([^"]+)"', html)

    assert loaded
    for url in loaded:
        assert url.startswith("/static-offline-docs/")
        assert client.get(url).status_code == 200
