"""The limit on request bodies, as it is counted."""

import json
from typing import Any

import pytest
from fastapi import FastAPI
from starlette.testclient import TestClient
from starlette.types import Message, Scope

from api.body_limit import BodyLimit
from tests.api.requests_and_answers import UNKNOWN_ID


@pytest.mark.parametrize("path", ["/jobs", f"/jobs/{UNKNOWN_ID}/pause", "/nope"])
def test_a_declared_length_over_the_limit_is_refused_on_every_path(client: TestClient, path: str) -> None:
    response = client.post(path, content=b"x" * 300 * 1024)

    assert response.status_code == 413
    assert isinstance(response.json()["detail"], str)


@pytest.mark.anyio
@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_a_body_without_end_is_refused_as_soon_as_it_is_too_large(app: FastAPI) -> None:
    received, sent = 0, []

    async def receive() -> Message:
        nonlocal received
        received += 1
        return {"type": "http.request", "body": b"x" * 65_536, "more_body": True}

    async def send(message: Message) -> None:
        sent.append(message)

    await app(_request_to("/jobs"), receive, send)

    assert received == 5
    assert sent[0]["status"] == 413
    assert isinstance(json.loads(sent[1]["body"])["detail"], str)


@pytest.mark.anyio
@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_a_body_that_is_declared_too_large_is_not_read_at_all() -> None:
    sent = []

    async def unreachable(*arguments: Any) -> Any:
        raise AssertionError

    async def send(message: Message) -> None:
        sent.append(message)

    await BodyLimit(unreachable)(_request_to("/jobs", length=262_145), unreachable, send)

    assert sent[0]["status"] == 413


def _request_to(path: str, *, length: int | None = None) -> Scope:
    headers = [(b"content-type", b"application/json")]
    return {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": "POST",
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "root_path": "",
        "headers": headers if length is None else [*headers, (b"content-length", str(length).encode())],
        "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 8000),
    }
