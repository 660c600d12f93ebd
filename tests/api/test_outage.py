"""A database that goes away while requests come: the log tells of it once, and once that it is back."""

from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from starlette.testclient import TestClient
from structlog.typing import EventDict

from api.outage import SETTLED_SECONDS
from engine.errors import StoreUnavailable
from store import SqlStore
from store.views import Views
from tests.fakes import Node

EVENTS = ("request not served", "requests served again")


@dataclass
class Database:
    """Goes away for some of the store's verbs, and comes back; `checks` counts how often it is asked after that."""

    patch: pytest.MonkeyPatch
    checks: int = 0

    def go_away(self, *verbs: str) -> None:
        for verb in verbs:
            self.patch.setattr(Views if hasattr(Views, verb) else SqlStore, verb, self._fail)

    def come_back(self) -> None:
        self.patch.undo()
        self.count_checks()

    def count_checks(self) -> None:
        check = SqlStore.check

        def counted(store: SqlStore) -> None:
            self.checks += 1
            check(store)

        self.patch.setattr(SqlStore, "check", counted)

    def _fail(self, *arguments: object, **options: object) -> None:
        raise StoreUnavailable("gone")


@pytest.fixture
def database(client: TestClient, monkeypatch: pytest.MonkeyPatch) -> Iterator[Database]:
    with monkeypatch.context() as patch:
        yield Database(patch)


def told(logs: list[EventDict]) -> list[tuple[str, str]]:
    return [(line["log_level"], line["event"]) for line in logs if line["event"] in EVENTS]


WARNED, DEBUGGED = ("warning", "request not served"), ("debug", "request not served")
OVER = ("info", "requests served again")


def test_an_outage_is_told_once_and_its_end_once(
    client: TestClient, node: Node, database: Database, logs: list[EventDict]
) -> None:
    database.go_away("jobs_page", "check")
    assert [client.get("/jobs").status_code for _ in range(3)] == [503] * 3
    node.advance(SETTLED_SECONDS)
    database.come_back()
    assert [client.get("/jobs").status_code for _ in range(3)] == [200] * 3

    assert told(logs) == [WARNED, DEBUGGED, DEBUGGED, OVER]
    assert database.checks == 1


def test_the_next_outage_is_news_again(
    client: TestClient, node: Node, database: Database, logs: list[EventDict]
) -> None:
    for _ in range(2):
        database.go_away("jobs_page")
        client.get("/jobs")
        node.advance(SETTLED_SECONDS)
        database.come_back()
        client.get("/jobs")

    assert told(logs) == [WARNED, OVER] * 2


def test_reads_that_are_served_between_changes_that_are_not_do_not_end_it(
    client: TestClient, node: Node, database: Database, logs: list[EventDict]
) -> None:
    database.go_away("delete_all_jobs")
    for _ in range(3):
        assert client.delete("/jobs?confirm=true").status_code == 503
        assert client.get("/jobs").status_code == 200
        node.advance(SETTLED_SECONDS - 1)

    assert told(logs) == [WARNED, DEBUGGED, DEBUGGED]


def test_what_is_served_without_the_database_does_not_end_it(
    client: TestClient, node: Node, database: Database, logs: list[EventDict]
) -> None:
    database.go_away("jobs_page", "check")
    client.get("/jobs")
    for _ in range(2):
        node.advance(SETTLED_SECONDS)
        assert client.get("/functions").status_code == 200

    assert told(logs) == [WARNED]


def test_asking_whether_the_process_lives_asks_nothing_of_the_database(
    client: TestClient, node: Node, database: Database
) -> None:
    database.go_away("jobs_page")
    client.get("/jobs")
    node.advance(SETTLED_SECONDS)
    database.come_back()

    assert client.get("/healthz").status_code == 200
    assert database.checks == 0
    assert client.get("/functions").status_code == 200
    assert database.checks == 1
