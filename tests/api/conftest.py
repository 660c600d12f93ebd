"""The real application over a real engine and a real SQLite file; only time stands still."""

from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest
from fastapi import FastAPI
from starlette.testclient import TestClient
from structlog.testing import capture_logs
from structlog.typing import EventDict

from api.access import Access
from api.application import attach_service, create_app
from engine.key_ring import KeyRing
from store import SqlStore
from tests.databases import open_new_store
from tests.fakes import Node, running


@pytest.fixture(autouse=True)
def logs() -> Iterator[list[EventDict]]:
    """What is logged, kept as facts: a traceback made readable takes seconds."""
    with capture_logs() as captured:
        yield captured


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SqlStore]:
    opened = open_new_store(tmp_path)
    yield opened
    opened.close()


@pytest.fixture
def node(store: SqlStore) -> Iterator[Node]:
    node = Node(store)
    for name in ("dummy_number_crunch", "print_hello", "log_time"):
        node.functions.register(name, _do_nothing)
    with running(node):
        yield node


@pytest.fixture
def app(node: Node, store: SqlStore) -> FastAPI:
    app = create_app(version="1.2.3")
    keys = KeyRing(store=store.keys, clock=node.clock, new_id=uuid4)
    access = Access(keys, requires_key=False, serves_network=True, shows_documentation=True)
    attach_service(app, scheduler=node.scheduler, store=store.views, clock=node.clock, access=access)
    return app


@pytest.fixture
def client(app: FastAPI) -> Iterator[TestClient]:
    with TestClient(app) as client:
        yield client


def _do_nothing(job_id: str) -> None:
    """Do nothing at all.

    And say so.
    """
