"""The system's clock, where the real one is read; time-machine and freezegun stand in for the machine's."""

import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
import time_machine
from freezegun import freeze_time

from engine.clock import SystemClock
from store import SqlStore
from tests.fakes import NOON, REAL_SECONDS, Node


@pytest.fixture
def real_time_node(store: SqlStore) -> Iterator[Node]:
    """An engine with the system's clock: its waits are real, so only time that is moved is waited for."""
    node = Node(store, SystemClock())  # type: ignore[arg-type]  # what moves it is time-machine, not the test
    node.scheduler.start()
    yield node
    node.scheduler.stop(grace_seconds=REAL_SECONDS)


def test_now_is_aware_and_in_utc() -> None:
    with time_machine.travel(NOON, tick=False):
        assert SystemClock().now() == NOON
        assert SystemClock().now().tzinfo is UTC


def test_freezegun_stops_now_as_well() -> None:
    with freeze_time("2026-03-29T01:30:00Z"):
        assert SystemClock().now() == datetime(2026, 3, 29, 1, 30, tzinfo=UTC)


def test_monotonic_never_goes_back_when_the_wall_clock_does() -> None:
    clock = SystemClock()
    with time_machine.travel(NOON, tick=False) as machine:
        before = clock.monotonic()
        machine.shift(-3_600)
        assert clock.monotonic() >= before


@pytest.mark.parametrize("seconds", [0.0, -5.0])
def test_a_wait_of_no_time_returns_at_once(seconds: float) -> None:
    condition = threading.Condition()
    with condition:
        SystemClock().wait(condition, seconds)


def test_a_wait_of_centuries_is_capped_to_what_the_platform_takes_and_ends_when_notified() -> None:
    condition, clock, woken = threading.Condition(), SystemClock(), threading.Event()
    waiting = threading.Event()

    def sleep() -> None:
        with condition:
            waiting.set()
            clock.wait(condition, 1e12)
        woken.set()

    threading.Thread(target=sleep, daemon=True).start()
    assert waiting.wait(REAL_SECONDS)
    with condition:
        condition.notify_all()
    assert woken.wait(REAL_SECONDS)


def test_a_wall_clock_that_jumps_an_hour_makes_a_slot_due_as_soon_as_the_timer_looks(real_time_node: Node) -> None:
    called = threading.Event()
    real_time_node.functions.register("tell", lambda job_id: called.set())
    with time_machine.travel(NOON, tick=False) as machine:
        job = real_time_node.add(function_name="tell", interval_seconds=3_600.0)
        machine.shift(timedelta(hours=1))
        # Neither tool wakes a condition: without a nudge the timer would look when its capped wait is over.
        real_time_node.scheduler._agenda.hasten(job.id)
        assert called.wait(REAL_SECONDS)
        real_time_node.scheduler._agenda.wait_until_idle(REAL_SECONDS)

    (run,) = real_time_node.runs(job)
    assert run.scheduled_for == NOON + timedelta(hours=1)
