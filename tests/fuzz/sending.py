"""Anything that the OpenAPI document allows, and anything that it does not, sent to every operation."""

import time
from collections import Counter
from typing import Any
from uuid import uuid4

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
from starlette.testclient import TestClient

from tests.api.icalendar_texts import THANKSGIVING, calendar_of
from tests.api.requests_and_answers import create

PAST_HOUR = {"from": "2026-01-01T11:00:00Z", "to": "2026-01-01T12:00:00Z"}
CHECKS = [not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance]

REVOKED = "a key to be revoked"

Seen = Counter[tuple[str, int]]
"""How often each operation gave each status."""


def send_anything(
    app: FastAPI,
    client: TestClient,
    *,
    mode: GenerationMode,
    examples: int,
    headers: dict[str, str] | None = None,
    most_seconds: float | None = None,
    is_random: bool = False,
) -> Seen:
    """So many requests to each operation, with these headers; raises for an answer that is not as documented.

    `client` makes what requests are about, and may do so. `most_seconds` is how long an answer may take.
    """
    seen: Seen = Counter()
    schema = schemathesis.openapi.from_asgi("/openapi.json", app, headers=headers or {})
    for found in schema.get_all_operations():
        assert isinstance(found, Ok)
        operation = found.ok()
        has_input = operation.body or operation.query or operation.path_parameters
        if mode is GenerationMode.NEGATIVE and not has_input:
            continue

        @given(case=operation.as_strategy(generation_mode=mode))
        @settings(
            max_examples=examples,
            derandomize=not is_random,
            deadline=None,
            database=None,
            suppress_health_check=list(HealthCheck),
        )
        def send(case: Case[Any]) -> None:
            for name in ("authorization", "x-api-key"):
                case.headers.pop(name, None)
            if mode is GenerationMode.POSITIVE:
                make_sensible(case, client)
            begun = time.perf_counter()
            response = case.call(headers=headers)
            seconds = time.perf_counter() - begun
            seen[case.operation.label, response.status_code] += 1
            assert most_seconds is None or seconds <= most_seconds, f"{case.operation.label} took {seconds:.1f} s"
            case.validate_response(response, checks=CHECKS)

        send()
    return seen


def make_sensible(case: Case[Any], client: TestClient) -> None:
    """What no schema says: which jobs, calendars and functions there are, that one schedule and a yes are wanted."""
    _name_what_is_there(case, client)
    if case.method == "DELETE":
        case.query["confirm"] = True
    if case.query:
        case.query.pop("cursor", None)
        case.query.pop("job_id", None)
    if case.headers:
        case.headers.pop("if-match", None)
    if isinstance(case.body, dict) and "/calendars" in case.path:
        case.body |= {"name": case.path_parameters.get("name", f"calendar-{uuid4()}"), "icalendar": None}
    elif isinstance(case.body, dict) and case.path.endswith("/backfill"):
        case.body |= PAST_HOUR
    elif isinstance(case.body, dict) and case.path.endswith("/keys"):
        case.body |= {"expires_at": None}
    elif isinstance(case.body, dict):
        case.body |= {"function_name": "note", "interval_seconds": 60, "cron_expression": None, "run_at": None}
        case.body |= {"timezone": "Europe/Berlin", "exclude_calendars": []}
    elif case.path.endswith("/import"):
        case.body = calendar_of(THANKSGIVING)


def _name_what_is_there(case: Case[Any], client: TestClient) -> None:
    named = case.path_parameters or {}
    if "job_id" in named:
        named["job_id"] = create(client)["id"]
    if "backfill_id" in named:
        # Of a paused job, so that it is not over before it is asked for.
        job = create(client, status="paused")
        named["backfill_id"] = client.post(f"/jobs/{job['id']}/backfill", json=PAST_HOUR).json()["id"]
    if "key_id" in named:
        # One for all, as no more than a thousand are kept; and not the one that requests are sent with.
        known = [key["id"] for key in client.get("/keys").json() if key["name"] == REVOKED]
        named["key_id"] = (
            known[0] if known else client.post("/keys", json={"name": REVOKED, "scope": "read"}).json()["id"]
        )
    if "name" in named:
        named["name"] = f"calendar-{uuid4()}"
        client.post("/calendars", json={"name": named["name"]})
