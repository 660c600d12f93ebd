"""How much may be asked at once, and how often."""

import asyncio
from collections.abc import Callable
from uuid import uuid4

import pytest
from fastapi import FastAPI
from starlette.testclient import TestClient
from starlette.types import Message, Receive, Scope, Send

from api.access import Access
from api.application import attach_service, create_app
from api.limits import MAX_HEADER_BYTES, MAX_URL_BYTES
from api.traffic import BURST_SECONDS, Crowd, TrafficLimits
from engine.access import Scope as KeyScope
from engine.key_ring import KeyRing
from store import SqlStore
from tests.fakes import Node

Make = Callable[[TrafficLimits], TestClient]


@pytest.fixture
def keys(store: SqlStore, node: Node) -> KeyRing:
    return KeyRing(store=store.keys, clock=node.clock, new_id=uuid4)


@pytest.fixture
def make(node: Node, store: SqlStore, keys: KeyRing) -> Make:
    def make_one(limits: TrafficLimits) -> TestClient:
        app = create_app(version="1.2.3", traffic=limits)
        access = Access(keys, requires_key=True, serves_network=True, shows_documentation=True)
        attach_service(app, scheduler=node.scheduler, store=store.views, clock=node.clock, access=access)
        return TestClient(app)

    return make_one


def test_a_key_is_served_as_often_as_it_may_be(make: Make, keys: KeyRing, node: Node) -> None:
    client = make(TrafficLimits(requests_per_second=2.0))
    _key, text = keys.create("busy", KeyScope.READ)
    _key, other = keys.create("other", KeyScope.READ)
    statuses = [client.get("/functions", headers={"X-API-Key": text}).status_code for _ in range(2 * BURST_SECONDS + 1)]
    assert statuses == [200] * 2 * BURST_SECONDS + [429]
    refused = client.get("/functions", headers={"X-API-Key": text})
    assert refused.headers["Retry-After"] == "1"
    assert client.get("/functions", headers={"X-API-Key": other}).status_code == 200
    assert client.get("/healthz").status_code == 200

    node.advance(0.5)
    assert client.get("/functions", headers={"X-API-Key": text}).status_code == 200
    assert client.get("/functions", headers={"X-API-Key": text}).status_code == 429


def test_a_key_is_served_as_often_as_it_likes_unless_that_is_limited(make: Make, keys: KeyRing) -> None:
    client = make(TrafficLimits())
    _key, text = keys.create("busy", KeyScope.READ)
    statuses = {client.get("/functions", headers={"X-API-Key": text}).status_code for _ in range(200)}
    assert statuses == {200}


def test_addresses_and_headers_have_a_limit(client: TestClient) -> None:
    assert client.get("/jobs", params={"x": "y" * (MAX_URL_BYTES - 100)}).status_code == 200
    assert client.get("/jobs", params={"x": "y" * MAX_URL_BYTES}).status_code == 414
    assert client.get("/jobs", headers={"X-Long": "y" * (MAX_HEADER_BYTES - 1_000)}).status_code == 200
    assert client.get("/jobs", headers={"X-Long": "y" * MAX_HEADER_BYTES}).status_code == 431


def test_no_more_requests_are_served_at_once_than_may_be() -> None:
    """By hand: a test client sends one after the other."""

    async def scenario() -> tuple[list[int], list[int]]:
        goes_on, all_are_served = asyncio.Event(), asyncio.Event()
        served_at_once = 0

        async def slow(_scope: Scope, _receive: Receive, send: Send) -> None:
            nonlocal served_at_once
            served_at_once += 1
            if served_at_once == 4:
                all_are_served.set()
            await goes_on.wait()
            await send({"type": "http.response.start", "status": 200, "headers": []})

        crowd = Crowd(slow, at_most=2, unconcerned="/healthz")

        async def asked(path: str) -> int:
            answers: list[Message] = []

            async def keep(message: Message) -> None:
                answers.append(message)

            async def nothing() -> Message:
                return {"type": "http.request"}

            scope = {"type": "http", "path": path, "raw_path": path.encode(), "query_string": b"", "headers": []}
            await crowd(scope, nothing, keep)
            return int(answers[0]["status"])

        waiting = [asyncio.create_task(asked(path)) for path in ("/jobs", "/jobs", "/runs/1/logs", "/healthz")]
        await all_are_served.wait()
        refused = await asked("/jobs")
        goes_on.set()
        served = [await task for task in waiting]
        return [refused, await asked("/jobs")], served

    assert asyncio.run(scenario()) == ([503, 200], [200] * 4)


def test_the_crowd_does_not_grow_by_requests_that_fail(app: FastAPI) -> None:
    async def fail(_scope: Scope, _receive: Receive, _send: Send) -> None:
        raise RuntimeError

    async def scenario() -> int:
        crowd = Crowd(fail, at_most=1, unconcerned="/healthz")
        scope = {"type": "http", "path": "/", "raw_path": b"/", "query_string": b"", "headers": []}
        failures = 0
        for _ in range(3):
            try:
                await crowd(scope, None, None)  # type: ignore[arg-type]
            except RuntimeError:
                failures += 1
        return failures

    assert asyncio.run(scenario()) == 3
