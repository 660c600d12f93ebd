"""The OpenAPI document: its head, what FastAPI writes into it too often, and what goes for every route."""

from collections.abc import Callable
from typing import Any

from fastapi import FastAPI

DESCRIPTION = """Runs registered Python functions by interval, by cron expression, or once at an instant.

A *job* names a function and a schedule; each *slot* of the schedule leaves a *run*, which says how it went or why it
did not start. All instants are UTC."""

TAGS = [
    {"name": "jobs", "description": "What is to run, and when"},
    {"name": "schedules", "description": "What a schedule will do"},
    {"name": "calendars", "description": "The days on which jobs do not run"},
    {"name": "runs", "description": "What ran, and how it went"},
    {"name": "backfills", "description": "Making up for slots that are past"},
    {"name": "functions", "description": "What jobs may name"},
    {"name": "keys", "description": "Who may use the API"},
    {"name": "service", "description": "How the service is"},
]

OPEN_OPERATION = "get_health"
"""What is served to everybody."""

SECURITY_SCHEMES = {
    "bearer": {"type": "http", "scheme": "bearer", "description": "An API key, where the service asks for one"},
    "header": {"type": "apiKey", "in": "header", "name": "X-API-Key", "description": "The same, in another header"},
}

REFUSALS = {
    "401": "No API key that opens anything was sent",
    "403": "The key is not good for this; another site asked for it; or, without keys, another machine",
    "414": "The address is too long",
    "429": "Too many wrong keys came from this address, or too many requests with this key",
    "431": "The headers are too large",
    "503": "The database does not answer, or too many requests are being served",
}
"""What the door may answer on behalf of every other route."""

REFUSED_HOST = {"421": "The service does not go by this host name"}
REFUSED_FORM = {"415": "Forms are not taken"}

AUTOMATIC_SCHEMAS = ("HTTPValidationError", "ValidationError")


def document_what_happens(app: FastAPI) -> None:
    """Tell of the keys, and leave out the 422 that FastAPI adds to each route with a parameter: ours are documented
    where they happen."""
    write = app.openapi

    def write_all() -> dict[str, Any]:
        if app.openapi_schema is None:
            app.openapi_schema = _completed(_pruned(write))
        return app.openapi_schema

    app.openapi = write_all  # type: ignore[method-assign]  # FastAPI's own way to change the document


def _pruned(write: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    document = write()
    for operations in document["paths"].values():
        for operation in operations.values():
            if _is_automatic(operation["responses"].get("422")):
                del operation["responses"]["422"]
    for name in AUTOMATIC_SCHEMAS:
        document["components"]["schemas"].pop(name, None)
    return document


def _is_automatic(response: dict[str, Any] | None) -> bool:
    return response is not None and AUTOMATIC_SCHEMAS[0] in str(response["content"])


def _completed(document: dict[str, Any]) -> dict[str, Any]:
    document["components"]["securitySchemes"] = SECURITY_SCHEMES
    document["security"] = [{name: []} for name in SECURITY_SCHEMES]
    for operations in document["paths"].values():
        for method, operation in operations.items():
            if operation["operationId"] == OPEN_OPERATION:
                operation["security"] = []
                refusals = REFUSED_HOST
            else:
                refusals = REFUSALS | REFUSED_HOST | (REFUSED_FORM if method != "get" else {})
            operation["responses"] = {**_responses(refusals), **operation["responses"]}
    return document


def _responses(refusals: dict[str, str]) -> dict[str, Any]:
    content = {"application/json": {"schema": {"$ref": "#/components/schemas/ErrorView"}}}
    return {status: {"description": meaning, "content": content} for status, meaning in refusals.items()}
