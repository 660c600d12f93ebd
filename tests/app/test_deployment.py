"""Starting, stopping and starting again, with and without a server that speaks lifespan."""

import atexit
import math
import os
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

from api.application import create_app
from app import VERSION
from app.deployment import Deployment, StartWithFirstRequest
from app.settings import Settings
from engine.errors import StoreRefused, StoreUnavailable
from engine.nodes import Presence, Role
from engine.scheduler import Scheduler
from registry import FunctionRegistry
from store import open_store
from store.key_rows import StoredKeys

JOB = {"name": "a job", "function_name": "nothing", "interval_seconds": 3_600}


@pytest.fixture
def deployment(tmp_path: Path) -> Deployment:
    functions = FunctionRegistry()
    functions.register("nothing", lambda job_id: None)
    settings = Settings(database_url=f"sqlite:///{tmp_path}/scheduler.db", stop_grace_seconds=0)
    return Deployment(settings=settings, functions=functions, flush_logs=lambda: None)


@pytest.fixture
def app(deployment: Deployment) -> Iterator[FastAPI]:
    made = create_app(version="1.2.3", lifespan=deployment.lifespan)
    made.add_middleware(StartWithFirstRequest, deployment=deployment)
    yield made
    atexit.unregister(deployment.stop)
    deployment.stop()


def test_one_application_can_be_started_again_and_finds_its_jobs(app: FastAPI, deployment: Deployment) -> None:
    with TestClient(app) as client:
        job = client.post("/jobs", json=JOB).json()
    assert not deployment.is_started

    with TestClient(app) as client:
        assert client.get("/jobs").json() == [job]
        assert client.get("/readyz").json()["scheduled_jobs"] == 1


def test_a_client_that_runs_no_lifespan_starts_the_service_with_its_first_request(app: FastAPI) -> None:
    client = TestClient(app)

    assert client.post("/jobs", json=JOB).status_code == 200
    assert client.get("/readyz").json()["status"] == "ready"


def test_a_node_tells_the_others_what_it_is(tmp_path: Path) -> None:
    database_url = f"sqlite:///{tmp_path}/scheduler.db"
    settings = Settings(database_url=database_url, stop_grace_seconds=0, role=Role.WORKER)
    worker = Deployment(settings=settings, functions=FunctionRegistry(), flush_logs=lambda: None)
    worker.start(create_app(version=VERSION, role=Role.WORKER))
    worker.stop()

    store = open_store(database_url)
    [record] = store.views.latest_nodes(limit=10)
    store.close()
    assert record.presence == Presence(Role.WORKER, VERSION, socket.gethostname(), os.getpid())


def test_a_stop_lets_go_of_the_database(app: FastAPI, tmp_path: Path) -> None:
    with TestClient(app):
        pass

    open_store(f"sqlite:///{tmp_path}/scheduler.db", lock_wait_seconds=0).close()


def test_a_start_that_is_refused_raises_and_can_be_tried_again(
    app: FastAPI, deployment: Deployment, tmp_path: Path
) -> None:
    database = tmp_path / "scheduler.db"
    database.write_text("no database")
    with pytest.raises(StoreRefused), TestClient(app):
        pass
    assert not deployment.is_started

    database.unlink()
    with TestClient(app) as client:
        assert client.get("/jobs").json() == []


def test_a_start_that_fails_half_way_lets_go_of_the_database(
    deployment: Deployment, app: FastAPI, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_: Scheduler) -> None:
        raise StoreUnavailable("the database went away")

    monkeypatch.setattr(Scheduler, "start", fail)
    with pytest.raises(StoreUnavailable):
        deployment.start(app)

    open_store(f"sqlite:///{tmp_path}/scheduler.db", lock_wait_seconds=0).close()


def test_a_start_waits_for_a_database_that_goes_away_meanwhile(
    app: FastAPI, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    start, failures = Scheduler.start, [StoreUnavailable("the database went away") for _ in range(2)]

    def start_at_last(scheduler: Scheduler) -> None:
        if failures:
            raise failures.pop()
        start(scheduler)

    monkeypatch.setattr(Scheduler, "start", start_at_last)
    settings = Settings(database_url=f"sqlite:///{tmp_path}/scheduler.db", stop_grace_seconds=0)
    patient = Deployment(
        settings=settings, functions=FunctionRegistry(), flush_logs=lambda: None, patience_seconds=math.inf
    )
    patient.start(app)
    patient.stop()

    assert not failures


def test_the_first_start_that_asks_for_keys_makes_one_and_shows_it_once(tmp_path: Path) -> None:
    shown: list[str] = []
    settings = Settings(database_url=f"sqlite:///{tmp_path}/scheduler.db", stop_grace_seconds=0, auth="required")
    for _ in range(2):
        guarded = Deployment(
            settings=settings, functions=FunctionRegistry(), flush_logs=lambda: None, show_key=shown.append
        )
        with TestClient(create_app(version="1.2.3", lifespan=guarded.lifespan)) as client:
            assert client.get("/jobs").status_code == 401
            assert client.get("/jobs", headers={"X-API-Key": shown[0]}).status_code == 200
    assert len(shown) == 1
    assert shown[0].encode() not in (tmp_path / "scheduler.db").read_bytes()


def test_the_first_key_is_shown_also_if_the_answer_to_its_commit_is_lost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown: list[str] = []
    add, failures = StoredKeys.add, [StoreUnavailable("no answer")]

    def add_unheard(keys: StoredKeys, *given: Any, **options: Any) -> bool:
        is_kept = add(keys, *given, **options)
        if failures:
            raise failures.pop()
        return is_kept

    monkeypatch.setattr(StoredKeys, "add", add_unheard)
    guarded = Deployment(
        settings=Settings(database_url=f"sqlite:///{tmp_path}/scheduler.db", stop_grace_seconds=0, auth="required"),
        functions=FunctionRegistry(),
        flush_logs=lambda: None,
        show_key=shown.append,
        patience_seconds=math.inf,
    )
    with TestClient(create_app(version="1.2.3", lifespan=guarded.lifespan)) as client:
        (key,) = shown
        assert client.get("/keys", headers={"X-API-Key": key}).status_code == 200
    assert not failures


def test_without_keys_none_is_made(app: FastAPI, tmp_path: Path) -> None:
    with TestClient(app) as client:
        assert client.get("/keys").json() == []


def test_stopping_what_is_not_started_does_nothing(deployment: Deployment) -> None:
    deployment.stop()
    deployment.begin_stop()
    assert not deployment.is_started


def test_a_stop_that_begins_makes_the_service_unready_at_once(app: FastAPI, deployment: Deployment) -> None:
    with TestClient(app) as client:
        deployment.begin_stop()
        assert client.get("/readyz").status_code == 503
