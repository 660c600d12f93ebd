"""The OpenAPI document is valid, complete and true."""

import re
from typing import Any

import pytest
import schemathesis
from fastapi import FastAPI
from hypothesis import HealthCheck, given, settings
from schemathesis import Case
from schemathesis.checks import not_a_server_error
from schemathesis.core.result import Ok
from schemathesis.generation import GenerationMode
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)
from schemathesis.specs.openapi.definitions import OPENAPI_31_VALIDATOR
from starlette.testclient import TestClient

from api.requests import CHANGE, CRON_JOB, INTERVAL_JOB
from tests.api import requests_and_answers as readme
from tests.api.requests_and_answers import create
from tests.fakes import Node

DOCUMENTED = {
    "create_job": {200, 400, 413, 422, 503},
    "list_jobs": {200, 503},
    "get_job": {200, 400, 404, 503},
    "replace_job": {200, 400, 404, 413, 422, 503},
    "change_job": {200, 400, 404, 413, 422, 503},
    "delete_job": {200, 400, 404, 422, 503},
    "delete_all_jobs": {200, 400, 422, 503},
    "pause_job": {200, 400, 404, 503},
    "resume_job": {200, 400, 404, 422, 503},
    "run_job_now": {200, 400, 404, 409, 503},
    "list_runs_of_job": {200, 400, 404, 422, 503},
    "list_runs": {200, 400, 422, 503},
    "get_run": {200, 400, 404, 503},
    "list_functions": {200},
    "get_health": {200},
    "get_readiness": {200, 503},
}
CHECKS = [not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance]


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
    assert fields["interval_seconds"]["anyOf"][0] == {"type": "integer", "minimum": 1, "maximum": 10**11}
    assert fields["cron_expression"]["anyOf"][0]["maxLength"] == 256


def test_the_examples_are_those_of_the_readme() -> None:
    assert (INTERVAL_JOB, CRON_JOB) == (readme.INTERVAL_JOB, readme.CRON_JOB)
    assert CHANGE == {"interval_seconds": 15, "status": "paused"}


def test_every_example_works_when_sent(client: TestClient, document: dict[str, Any]) -> None:
    sent = 0
    for name, method in (("create_job", "POST"), ("replace_job", "PUT"), ("change_job", "PATCH")):
        content = operations(document)[name]["requestBody"]["content"]["application/json"]
        schema = document["components"]["schemas"][content["schema"]["$ref"].rpartition("/")[2]]
        for example in [*schema["examples"], *(shown["value"] for shown in content["examples"].values())]:
            path = "/jobs" if method == "POST" else f"/jobs/{create(client)['id']}"
            response = client.request(method, path, json=example)
            assert response.status_code == 200, response.text
            assert {field: response.json()[field] for field in example} == example
            sent += 1
    assert sent == 10


@pytest.mark.parametrize("mode", [GenerationMode.POSITIVE, GenerationMode.NEGATIVE], ids=["fitting", "unfitting"])
def test_whatever_is_sent_the_answer_is_as_documented(
    app: FastAPI, client: TestClient, node: Node, mode: GenerationMode
) -> None:
    seen: set[tuple[str, int]] = set()
    schema = schemathesis.openapi.from_asgi("/openapi.json", app)
    for found in schema.get_all_operations():
        assert isinstance(found, Ok)
        operation = found.ok()
        has_input = operation.body or operation.query or operation.path_parameters
        if mode is GenerationMode.NEGATIVE and not has_input:
            continue

        @given(case=operation.as_strategy(generation_mode=mode))
        @settings(
            max_examples=25, derandomize=True, deadline=None, database=None, suppress_health_check=list(HealthCheck)
        )
        def send(case: Case[Any]) -> None:
            if mode is GenerationMode.POSITIVE:
                make_sensible(case, client)
            response = case.call()
            seen.add((case.operation.label, response.status_code))
            case.validate_response(response, checks=CHECKS)

        send()
    if mode is GenerationMode.POSITIVE:
        assert {name for name, status in seen if status == 200} == {
            f"{method.upper()} {path}" for path, methods in schema.raw_schema["paths"].items() for method in methods
        } - {"GET /runs/{run_id}"}


def make_sensible(case: Case[Any], client: TestClient) -> None:
    """What no schema says: which jobs and functions there are, that one schedule is wanted, and a confirmation."""
    if "job_id" in (case.path_parameters or {}):
        case.path_parameters["job_id"] = create(client)["id"]
    if case.method == "DELETE":
        case.query["confirm"] = True
    if case.query:
        case.query.pop("cursor", None)
        case.query.pop("job_id", None)
    if isinstance(case.body, dict):
        case.body.pop("cron_expression", None)
        case.body |= {"function_name": "note", "interval_seconds": 60}


@pytest.mark.parametrize("page", ["/docs", "/redoc"])
def test_the_pages_load_nothing_from_outside(client: TestClient, page: str) -> None:
    html = client.get(page).text
    loaded = re.findall(r'(?:src|href)="([^"]+)"', html)

    assert loaded
    for url in loaded:
        assert url.startswith("/static-offline-docs/")
        assert client.get(url).status_code == 200
