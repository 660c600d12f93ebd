"""What another site's page can have a browser do here: nothing."""

from collections.abc import Callable
from uuid import uuid4

import pytest
from fastapi import FastAPI
from starlette.testclient import TestClient

from api.access import Access
from api.application import attach_service, create_app
from engine.key_ring import KeyRing
from store import SqlStore
from tests.api.requests_and_answers import INTERVAL_JOB, create
from tests.fakes import Node

Make = Callable[..., TestClient]
EVIL = "https://evil.example"
FRIEND = "https://dashboard.example"


@pytest.fixture
def make(node: Node, store: SqlStore) -> Make:
    """A client of a service on http://127.0.0.1:8000, which asks for keys or does not."""

    def make_one(*, requires_key: bool = False, **options: tuple[str, ...]) -> TestClient:
        app = create_app(version="1.2.3", **options)  # type: ignore[arg-type]
        keys = KeyRing(store=store.keys, clock=node.clock, new_id=uuid4)
        access = Access(keys, requires_key=requires_key, serves_network=False, shows_documentation=True)
        attach_service(app, scheduler=node.scheduler, store=store.views, clock=node.clock, access=access)
        return TestClient(app, base_url="http://127.0.0.1:8000", client=("127.0.0.1", 50_000))

    return make_one


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": EVIL},
        {"Origin": "null"},
        {"Origin": "http://127.0.0.1:9000"},
        {"Origin": "http://127.0.0.1.evil.example:8000"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
    ],
    ids=str,
)
@pytest.mark.parametrize("content_type", ["application/x-www-form-urlencoded", "text/plain", "application/json", ""])
def test_another_sites_page_changes_nothing(make: Make, headers: dict[str, str], content_type: str) -> None:
    client = make()
    job = create(client, **INTERVAL_JOB)
    sent = headers | ({"Content-Type": content_type} if content_type else {})
    for method, path in [
        ("POST", f"/jobs/{job['id']}/run"),
        ("POST", f"/jobs/{job['id']}/pause"),
        ("POST", "/pause"),
        ("DELETE", "/jobs?confirm=true"),
    ]:
        assert client.request(method, path, headers=sent).status_code == 403
    assert client.get("/jobs").json() == [job]


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Origin": "http://127.0.0.1:8000"},
        {"Origin": "http://127.0.0.1:8000", "Sec-Fetch-Site": "same-origin"},
        {"Sec-Fetch-Site": "none"},
        # What curl says of every body.
        {"Content-Type": "application/x-www-form-urlencoded"},
    ],
    ids=str,
)
def test_the_services_own_pages_and_programs_are_served(make: Make, headers: dict[str, str]) -> None:
    client = make()
    job = create(client, **INTERVAL_JOB)
    assert client.post(f"/jobs/{job['id']}/pause", headers=headers).status_code == 200


def test_a_form_with_files_is_refused(make: Make) -> None:
    assert make().post("/pause", files={"a": b"b"}).status_code == 415


@pytest.mark.parametrize("host", ["evil.example", "evil.example:8000", "EVIL.example.", "127.0.0.1.evil.example"])
def test_a_name_of_the_internet_is_not_taken_where_no_key_is_asked_for(make: Make, host: str) -> None:
    assert make().get("/jobs", headers={"Host": host}).status_code == 421
    assert make(requires_key=True).get("/jobs", headers={"Host": host}).status_code == 401
    assert make(allowed_hosts=("evil.example",)).get("/jobs", headers={"Host": "evil.example:80"}).status_code == 200


@pytest.mark.parametrize("host", ["127.0.0.1:8000", "[::1]:8000", "localhost", "scheduler", "scheduler:8000"])
def test_addresses_and_local_names_are_taken(make: Make, host: str) -> None:
    assert make().get("/jobs", headers={"Host": host}).status_code == 200
    assert make(allowed_hosts=("scheduler.example",)).get("/jobs", headers={"Host": host}).status_code == 200


def test_a_list_of_hosts_goes_for_requests_with_keys_too(make: Make) -> None:
    client = make(requires_key=True, allowed_hosts=("scheduler.example",))
    assert client.get("/jobs", headers={"Host": "evil.example"}).status_code == 421
    assert client.get("/jobs", headers={"Host": "scheduler.example"}).status_code == 401


def test_there_is_no_cors_unless_it_is_configured(client: TestClient, app: FastAPI) -> None:
    asked = {"Origin": FRIEND, "Access-Control-Request-Method": "POST"}
    assert "Access-Control-Allow-Origin" not in client.options("/jobs", headers=asked).headers
    assert "Access-Control-Allow-Origin" not in client.get("/jobs", headers={"Origin": FRIEND}).headers


def test_pages_of_configured_origins_are_served(make: Make) -> None:
    client = make(cors_origins=(FRIEND,))
    asked = {"Origin": FRIEND, "Access-Control-Request-Method": "POST"}
    assert client.options("/jobs", headers=asked).headers["Access-Control-Allow-Origin"] == FRIEND
    made = client.post("/jobs", json=INTERVAL_JOB, headers={"Origin": FRIEND, "Sec-Fetch-Site": "cross-site"})
    assert made.status_code == 200
    assert made.headers["Access-Control-Allow-Origin"] == FRIEND
    assert client.post("/pause", headers={"Origin": EVIL}).status_code == 403
