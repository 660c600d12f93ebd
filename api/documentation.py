"""The OpenAPI document: what stands at its head, and what FastAPI writes into it too often."""

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
    {"name": "service", "description": "How the service is"},
]

AUTOMATIC_SCHEMAS = ("HTTPValidationError", "ValidationError")


def document_only_what_happens(app: FastAPI) -> None:
    """Leave out the 422 that FastAPI adds to each route with a parameter: ours are documented where they happen."""
    write = app.openapi

    def write_and_prune() -> dict[str, Any]:
        return app.openapi_schema or _pruned(write)

    app.openapi = write_and_prune  # type: ignore[method-assign]  # FastAPI's own way to change the document


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
