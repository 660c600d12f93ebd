"""Who is let in, and who may do what: every route by every scope."""

from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import pytest
from fastapi import FastAPI
from starlette.testclient import TestClient
from structlog.typing import EventDict

from api.access import SCOPES, Access
from api.application import attach_service, create_app
from api.limits import ATTEMPTS_WINDOW_SECONDS, MAX_FAILED_ATTEMPTS
from api.readiness import HOLDS_SECONDS
from engine.access import Scope, new_key_text
from engine.errors import StoreUnavailable
from engine.key_ring import FRESH_SECONDS, LOOK_AGAIN_SECONDS, KeyRing
from engine.nodes import Role
from store import SqlStore
from tests.api.requests_and_answers import INTERVAL_JOB, UNKNOWN_ID
from tests.fakes import Node

ELSEWHERE = ("192.0.2.7", 50_000)
ATTACKERS_NETWORK = "2001:db8:1:2:"


def access_to(keys: KeyRing, **how: bool) -> Access:
    return Access(keys, **({"requires_key": True, "serves_network": True, "shows_documentation": False} | how))


@pytest.fixture
def keys(store: SqlStore, node: Node) -> KeyRing:
    return KeyRing(store=store.keys, clock=node.clock, new_id=uuid4)


@pytest.fixture
def guarded(node: Node, store: SqlStore, keys: KeyRing) -> FastAPI:
    app = create_app(version="1.2.3")
    attach_service(app, scheduler=node.scheduler, store=store.views, clock=node.clock, access=access_to(keys))
    return app


@pytest.fixture
def stranger(guarded: FastAPI) -> Iterator[TestClient]:
    with TestClient(guarded, client=ELSEWHERE) as client:
        yield client


def bearer(text: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {text}"}


def requests_of(app: FastAPI) -> dict[str, tuple[str, str]]:
    """Method and path of each operation, with ids that exist nowhere."""
    return {
        operation["operationId"]: (method.upper(), _filled(path))
        for path, operations in app.openapi()["paths"].items()
        for method, operation in operations.items()
    }


def _filled(path: str) -> str:
    for name in ("job_id", "run_id", "backfill_id", "key_id"):
        path = path.replace(f"{{{name}}}", str(uuid4()))
    return path.replace("{name}", "holidays")


def test_every_route_says_which_scope_it_takes(guarded: FastAPI) -> None:
    assert requests_of(guarded).keys() == SCOPES.keys()


@pytest.mark.parametrize("name", sorted(SCOPES))
def test_a_route_serves_its_scope_and_those_above_it(
    guarded: FastAPI, stranger: TestClient, keys: KeyRing, name: str
) -> None:
    method, path = requests_of(guarded)[name]
    if name == "get_health":
        assert stranger.request(method, path).status_code == 200
        return
    assert stranger.request(method, path).status_code == 401
    for scope in Scope:
        _key, text = keys.create(f"a {scope} key", scope)
        answer = stranger.request(method, path, headers=bearer(text))
        is_refused = answer.status_code == 403
        assert is_refused is not scope.covers(SCOPES[name]), answer.text
        assert answer.status_code != 401
        if is_refused:
            assert f"scope {SCOPES[name]}" in answer.json()["detail"]


def test_a_job_is_told_on_the_short_way_to_whoever_may_see_it(stranger: TestClient, keys: KeyRing) -> None:
    _key, text = keys.create("all", Scope.ADMIN)
    job = stranger.post("/jobs", json=INTERVAL_JOB, headers=bearer(text)).json()
    assert stranger.get(f"/jobs/{job['id']}").status_code == 401
    _key, text = keys.create("reader", Scope.READ)
    assert stranger.get(f"/jobs/{job['id']}", headers=bearer(text)).json() == job


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Authorization": ""},
        {"Authorization": "Bearer"},
        {"Authorization": "Bearer "},
        {"Authorization": "Basic dXNlcjpwYXNz"},
        {"Authorization": "Bearer sched_00000000_" + "a" * 43},
        {"X-API-Key": "sched_00000000_" + "a" * 43},
        {"X-API-Key": ""},
        {"X-API-Key": "x" * 5_000},
        {"Authorization": "Bearer schlüssel".encode()},
        {"X-API-Key": b"\xff\xfe\x00"},
    ],
    ids=str,
)
def test_what_is_no_key_is_told_what_is_wanted(stranger: TestClient, headers: dict[str, Any]) -> None:
    answer = stranger.get("/jobs", headers=headers)
    assert answer.status_code == 401
    assert "API key" in answer.json()["detail"]
    assert answer.headers["WWW-Authenticate"].startswith("Bearer")


def test_a_key_may_come_in_either_header_but_not_two_in_both(stranger: TestClient, keys: KeyRing) -> None:
    _key, text = keys.create("all", Scope.ADMIN)
    _key, other = keys.create("another", Scope.ADMIN)
    assert stranger.get("/jobs", headers={"X-API-Key": text}).status_code == 200
    assert stranger.get("/jobs", headers={"authorization": f"bearer {text}"}).status_code == 200
    assert stranger.get("/jobs", headers=bearer(text) | {"X-API-Key": text}).status_code == 200
    assert stranger.get("/jobs", headers=bearer(text) | {"X-API-Key": other}).status_code == 401


def test_who_guesses_is_told_to_wait_and_who_has_a_key_is_not(
    stranger: TestClient, guarded: FastAPI, keys: KeyRing, node: Node
) -> None:
    _key, text = keys.create("all", Scope.ADMIN)
    for _ in range(MAX_FAILED_ATTEMPTS):
        assert stranger.get("/jobs", headers=bearer(new_key_text())).status_code == 401
    blocked = stranger.get("/jobs", headers=bearer(new_key_text()))
    assert blocked.status_code == 429
    assert 0 < int(blocked.headers["Retry-After"]) <= ATTEMPTS_WINDOW_SECONDS
    # Behind a proxy that nobody has told the server of, both come from one address.
    assert stranger.get("/jobs", headers=bearer(text)).status_code == 200

    other = TestClient(guarded, client=("192.0.2.8", 50_000))
    assert other.get("/jobs", headers=bearer(new_key_text())).status_code == 401

    node.advance(ATTEMPTS_WINDOW_SECONDS)
    assert stranger.get("/jobs", headers=bearer(new_key_text())).status_code == 401


def test_a_network_of_ipv6_is_one_address(guarded: FastAPI, keys: KeyRing) -> None:
    for number in range(MAX_FAILED_ATTEMPTS):
        client = TestClient(guarded, client=(f"{ATTACKERS_NETWORK}:{number + 1}", 50_000))
        assert client.get("/jobs", headers=bearer(new_key_text())).status_code == 401
    client = TestClient(guarded, client=(f"{ATTACKERS_NETWORK}:ffff", 50_000))
    assert client.get("/jobs", headers=bearer(new_key_text())).status_code == 429


def test_a_key_that_was_just_made_elsewhere_is_known(
    stranger: TestClient, keys: KeyRing, store: SqlStore, node: Node
) -> None:
    _key, text = keys.create("all", Scope.ADMIN)
    assert stranger.get("/jobs", headers=bearer(text)).status_code == 200
    elsewhere = KeyRing(store=store.keys, clock=node.clock, new_id=uuid4)
    _key, text = elsewhere.create("new", Scope.ADMIN)
    node.advance(LOOK_AGAIN_SECONDS)
    assert stranger.get("/jobs", headers=bearer(text)).status_code == 200


def test_requests_without_any_key_are_no_guesses(stranger: TestClient, keys: KeyRing) -> None:
    _key, text = keys.create("all", Scope.ADMIN)
    for _ in range(MAX_FAILED_ATTEMPTS + 1):
        assert stranger.get("/jobs").status_code == 401
    assert stranger.get("/jobs", headers=bearer(text)).status_code == 200


def test_no_body_is_read_for_a_stranger(stranger: TestClient) -> None:
    assert stranger.post("/jobs", content=b"x" * 10_000_000).status_code == 401


def test_a_wrong_key_is_logged_without_its_text(stranger: TestClient, logs: list[EventDict]) -> None:
    text = new_key_text()
    stranger.get("/jobs", headers=bearer(text))
    (line,) = [line for line in logs if line["event"] == "wrong key"]
    assert line["client"] == ELSEWHERE[0]
    assert text not in str(logs)


def test_without_its_database_nobody_is_let_in_on_old_keys(
    stranger: TestClient,
    keys: KeyRing,
    store: SqlStore,
    node: Node,
    logs: list[EventDict],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    _key, text = keys.create("all", Scope.ADMIN)
    assert stranger.get("/functions", headers=bearer(text)).status_code == 200

    def fail() -> None:
        raise StoreUnavailable("away")

    monkeypatch.setattr(store.keys, "all", fail)
    node.advance(FRESH_SECONDS)
    for _ in range(2):
        answer = stranger.get("/functions", headers=bearer(text))
        assert answer.status_code == 503
        assert answer.headers["Retry-After"]
    assert [line["log_level"] for line in logs if line["event"] == "request not served"] == ["warning", "debug"]


# The pages about the API


@pytest.mark.parametrize("path", ["/docs", "/redoc", "/openapi.json"])
def test_the_pages_are_open_in_development_and_take_a_key_otherwise(
    guarded: FastAPI, stranger: TestClient, keys: KeyRing, path: str
) -> None:
    _key, text = keys.create("reader", Scope.READ)
    assert stranger.get(path).status_code == 401
    assert stranger.get(path, headers=bearer(text)).status_code == 200
    guarded.state.access = access_to(keys, shows_documentation=True)
    assert stranger.get(path).status_code == 200
    assert stranger.get("/jobs").status_code == 401


def test_a_path_that_only_begins_like_a_page_takes_a_key(guarded: FastAPI, keys: KeyRing) -> None:
    guarded.state.access = access_to(keys, shows_documentation=True)
    stranger = TestClient(guarded, client=ELSEWHERE)
    assert stranger.get("/docsanything").status_code == 401
    assert stranger.get("/docs/../jobs").status_code == 401


# Without keys


@pytest.mark.parametrize(
    ("client", "server", "is_served"),
    [
        (("127.0.0.1", 1), "127.0.0.1", True),
        (("::1", 1), "[::1]", True),
        (("127.0.0.1", 1), "localhost", True),
        (("192.0.2.7", 1), "192.0.2.1", False),
        # Through a proxy on this machine that says for whom it asks, or that it won't say.
        (("192.0.2.7", 1), "127.0.0.1", False),
        (("unknown", 1), "127.0.0.1", False),
        (("127.0.0.1", 1), "192.0.2.1", False),
        (("::ffff:192.0.2.7", 1), "[::1]", False),
        (("::ffff:127.0.0.1", 1), "[::1]", True),
    ],
)
def test_without_keys_only_this_machine_is_served(
    guarded: FastAPI, keys: KeyRing, client: tuple[str, int], server: str, is_served: bool
) -> None:
    guarded.state.access = access_to(keys, requires_key=False, serves_network=False)
    http = TestClient(guarded, client=client, base_url=f"http://{server}:8000")
    answer = http.get("/jobs")
    assert answer.status_code == (200 if is_served else 403)
    assert is_served or "AUTH=required" in answer.json()["detail"]
    assert http.get("/healthz").status_code == 200


def test_everybody_is_served_without_keys_if_that_is_wanted(guarded: FastAPI, keys: KeyRing) -> None:
    guarded.state.access = access_to(keys, requires_key=False)
    stranger = TestClient(guarded, client=ELSEWHERE, base_url="http://192.0.2.1:8000")
    assert stranger.post("/jobs", json=INTERVAL_JOB).status_code == 200
    assert stranger.get("/keys").json() == []


# The routes of keys


def test_a_key_is_made_shown_once_listed_and_revoked(stranger: TestClient, keys: KeyRing) -> None:
    _key, text = keys.create("all", Scope.ADMIN)
    admin = bearer(text)
    made = stranger.post(
        "/keys", json={"name": "pipeline", "scope": "write", "expires_at": "2026-06-30T00:00:00Z"}, headers=admin
    )
    assert made.status_code == 200
    assert made.headers["Cache-Control"] == "no-store"
    key = made.json()
    text = key.pop("key")
    assert key | {"id": "", "prefix": ""} == {
        "id": "", "name": "pipeline", "prefix": "", "scope": "write", "created_at": "2026-01-01T12:00:00Z",
        "expires_at": "2026-06-30T00:00:00Z", "revoked_at": None, "last_used_at": None,
    }  # fmt: skip
    assert stranger.get("/jobs", headers=bearer(text)).status_code == 200

    listed = stranger.get("/keys", headers=admin)
    assert key["id"] in [each["id"] for each in listed.json()]
    assert text not in listed.text

    revoked = stranger.post(f"/keys/{key['id']}/revoke", headers=admin).json()
    assert revoked["revoked_at"] == "2026-01-01T12:00:00Z"
    assert stranger.get("/jobs", headers=bearer(text)).status_code == 401
    again = stranger.post(f"/keys/{key['id']}/revoke", headers=admin).json()
    assert again["revoked_at"] == revoked["revoked_at"]


@pytest.mark.parametrize(
    ("body", "at"),
    [
        ({"name": "a", "scope": "everything"}, "scope"),
        ({"scope": "read"}, "name"),
        ({"name": " ", "scope": "read"}, "name"),
        ({"name": "a", "scope": "read", "expires_at": "2026-01-01T12:00:00Z"}, "expires_at"),
        ({"name": "a", "scope": "read", "expires_at": "2027-01-01T12:00:00"}, "expires_at"),
    ],
)
def test_a_key_that_cannot_be_is_refused(stranger: TestClient, keys: KeyRing, body: dict[str, Any], at: str) -> None:
    _key, text = keys.create("all", Scope.ADMIN)
    answer = stranger.post("/keys", json=body, headers=bearer(text))
    assert answer.status_code == 422
    assert answer.json()["detail"][0]["loc"] == ["body", at]
    assert len(keys.all()) == 1


@pytest.mark.parametrize(("key_id", "status"), [("nonsense", 400), (UNKNOWN_ID, 404)])
def test_a_key_that_is_not_there_cannot_be_revoked(
    stranger: TestClient, keys: KeyRing, key_id: str, status: int
) -> None:
    _key, text = keys.create("all", Scope.ADMIN)
    assert stranger.post(f"/keys/{key_id}/revoke", headers=bearer(text)).status_code == status


# Probes


def test_a_probe_without_a_key_can_ask_for_readiness(guarded: FastAPI, stranger: TestClient, node: Node) -> None:
    assert stranger.get("/healthz?ready=true").status_code == 200
    node.scheduler.begin_stop()
    # It is looked at once a second, however often somebody asks.
    assert stranger.get("/healthz?ready=true").status_code == 200
    node.clock.advance_to_next(node.clock.monotonic() + HOLDS_SECONDS)
    assert stranger.get("/healthz?ready=true").status_code == 503
    assert stranger.get("/healthz").status_code == 200


def test_a_worker_asks_for_keys_too(node: Node, store: SqlStore, keys: KeyRing) -> None:
    app = create_app(version="1.2.3", role=Role.WORKER)
    attach_service(app, scheduler=node.scheduler, store=store.views, clock=node.clock, access=access_to(keys))
    client = TestClient(app, client=ELSEWHERE)
    assert client.get("/healthz").status_code == 200
    assert client.get("/readyz").status_code == 401
