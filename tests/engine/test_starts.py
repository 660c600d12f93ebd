"""Starts that fail half way: nothing of them stays, and the next one finds all as it was."""

import threading
from typing import Any

import pytest

from engine.errors import StoreUnavailable
from engine.nouns import RunState
from store import SqlStore
from tests.engine.interference import Interference, away, once
from tests.fakes import Node


class Listener(Interference):
    """Notes which verbs are called by the thread that starts the node."""

    def __init__(self, store: SqlStore) -> None:
        super().__init__(store)
        self.called: set[str] = set()

    def __getattr__(self, name: str) -> Any:
        if threading.current_thread() is threading.main_thread():
            self.called.add(name)
        return super().__getattr__(name)


def verbs_of_a_start(store: SqlStore, before: Node) -> set[str]:
    listener = Listener(store)
    node = Node(listener, before.clock)
    node.scheduler.start()
    called = set(listener.called)
    node.stop()
    return called


def test_a_start_that_the_database_fails_anywhere_leaves_no_thread_and_can_be_made_again(store: SqlStore) -> None:
    before = Node(store).start()
    job = before.add()
    before.stop()
    threads = set(threading.enumerate())
    failed = set()

    for verb in sorted(verbs_of_a_start(store, before)):
        chaos = Interference(store)
        chaos.before[verb] = once(away)
        try:
            Node(chaos, before.clock).scheduler.start()
        except StoreUnavailable:
            failed.add(verb)
        else:
            pytest.fail(f"a start does not need {verb}")
        assert set(threading.enumerate()) <= threads, verb

    assert {"node_started", "live_nodes", "due_hints", "scheduled_jobs"} <= failed
    after = Node(store, before.clock).start()
    after.advance(10)
    after.stop()
    assert [run.state for run in after.runs(job)] == [RunState.SUCCEEDED]
