"""Nodes of one host, each seen to live as long as its process does; across a network nothing can be seen."""

import signal
import subprocess
from collections.abc import Iterator
from uuid import UUID, uuid4

import pytest

from engine.errors import StoreUnavailable
from store import SqlStore, open_store
from tests.store.test_locks import waiting_process

HOLD_AND_WAIT = """
import sys
from uuid import UUID
from store import open_store
store = open_store(sys.argv[1])
store.hold_node(UUID(int=1))
print("there", flush=True)
sys.stdin.read()
"""
OTHER = UUID(int=1)


@pytest.fixture
def observer(sqlite_url: str) -> Iterator[SqlStore]:
    store = open_store(sqlite_url)
    yield store
    store.close()


def test_the_node_of_a_living_process_is_not_gone(sqlite_url: str, observer: SqlStore) -> None:
    unknown = uuid4()
    with waiting_process(HOLD_AND_WAIT, sqlite_url):
        for _ in range(3):
            assert observer.gone_nodes([OTHER, unknown]) == {unknown}


def test_a_node_is_gone_once_its_process_was_killed(sqlite_url: str, observer: SqlStore) -> None:
    with waiting_process(HOLD_AND_WAIT, sqlite_url) as process:
        process.send_signal(signal.SIGKILL)
        process.wait()
        assert observer.gone_nodes([OTHER]) == {OTHER}


def test_a_node_whose_process_is_frozen_is_not_gone(sqlite_url: str, observer: SqlStore) -> None:
    with waiting_process(HOLD_AND_WAIT, sqlite_url) as process:
        process.send_signal(signal.SIGSTOP)
        assert observer.gone_nodes([OTHER]) == set()
        process.send_signal(signal.SIGCONT)


def test_nodes_of_this_process_are_gone_when_their_store_closes(sqlite_url: str, observer: SqlStore) -> None:
    mine, its = uuid4(), uuid4()
    observer.hold_node(mine)
    neighbour = open_store(sqlite_url)
    neighbour.hold_node(its)
    for store in (observer, neighbour):
        assert store.gone_nodes([mine, its]) == set()
    neighbour.close()
    assert observer.gone_nodes([mine, its]) == {its}


def test_looking_at_a_node_does_not_let_it_go(sqlite_url: str, observer: SqlStore) -> None:
    mine = uuid4()
    observer.hold_node(mine)
    observer.hold_node(mine)
    assert observer.gone_nodes([mine]) == set()
    with waiting_process(SHOW_IF_GONE.format(node=mine), sqlite_url) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"set()\n"


SHOW_IF_GONE = """
import sys
from uuid import UUID
from store import open_store
store = open_store(sys.argv[1])
print("there", flush=True)
print(store.gone_nodes([UUID("{node}")]), flush=True)
sys.stdin.read()
"""


def test_a_node_is_not_gone_because_its_process_has_read_the_lock_file(sqlite_url: str, observer: SqlStore) -> None:
    """As a job does that copies the folder of the database."""
    with waiting_process(HOLD_AND_READ, sqlite_url):
        assert observer.gone_nodes([OTHER]) == set()


HOLD_AND_READ = """
import sys
from uuid import UUID
from store import open_store
store = open_store(sys.argv[1])
store.hold_node(UUID(int=1))
open(sys.argv[1].removeprefix("sqlite:///") + ".lock").close()
print("there", flush=True)
sys.stdin.read()
"""


def test_nobody_is_called_gone_once_the_lock_file_was_removed(sqlite_url: str, observer: SqlStore) -> None:
    subprocess.run(["rm", sqlite_url.removeprefix("sqlite:///") + ".lock"], check=True)
    assert observer.gone_nodes([uuid4()]) == set()


def test_a_closed_store_knows_of_no_nodes(sqlite_url: str) -> None:
    store = open_store(sqlite_url)
    store.close()
    with pytest.raises(StoreUnavailable, match="the store is closed"):
        store.hold_node(OTHER)
    with pytest.raises(StoreUnavailable, match="the store is closed"):
        store.gone_nodes([OTHER])


def test_a_postgresql_server_does_not_tell_of_nodes(postgres_store: SqlStore) -> None:
    postgres_store.hold_node(OTHER)
    assert postgres_store.gone_nodes([OTHER, uuid4()]) == set()
