"""The heartbeat: a thread that writes down that its node is there, and wakes runs that nobody else woke."""

import threading
from collections.abc import Iterator
from datetime import datetime
from itertools import islice
from uuid import UUID

from engine.agenda import Agenda
from engine.backoff import Backoff
from engine.gate import StartGate
from engine.limits import (
    HEARTBEAT_SECONDS_AT_STOP,
    MAX_WAITING_RECHECKED,
    WAITING_RECHECK_SECONDS,
)
from engine.nouns import DueHint
from engine.ports import Clock, Store


class Heartbeat:
    """A daemon thread around `beat`. Started last and stopped last, from the scheduler's thread.

    A node that is killed writes nothing more: the last instant at which it was seen stands.
    """

    def __init__(
        self, *, store: Store, clock: Clock, agenda: Agenda, gate: StartGate, node: UUID, interval_seconds: float
    ) -> None:
        self._store = store
        self._clock = clock
        self._agenda = agenda
        self._gate = gate
        self._node = node
        self._interval_seconds = interval_seconds
        self._condition = threading.Condition()
        self._is_stopping = False
        self._claims_ended_at: datetime | None = None
        self._hints: Iterator[DueHint] = iter(())
        self._rechecked_at = clock.monotonic()
        self._backoff = Backoff(
            clock=clock,
            condition=self._condition,
            is_stopping=lambda: self._is_stopping,
            failing="heartbeat failing",
            over="heartbeat works again",
        )
        self._thread = threading.Thread(target=self._run, name="scheduler-heartbeat", daemon=True)

    @property
    def is_alive(self) -> bool:
        """Whether the thread runs."""
        return self._thread.is_alive()

    def enter(self, at: datetime) -> None:
        """Write down that the node is there since `at`. Raises StoreUnavailable."""
        self._store.node_started(self._node, at)

    def start(self) -> None:
        """Start the thread."""
        self._rechecked_at = self._clock.monotonic()
        self._thread.start()

    def stop(self, *, claims_ended_at: datetime) -> None:
        """Write down that the node has gone, if the database answers soon, and end the thread."""
        with self._condition:
            self._claims_ended_at = claims_ended_at
            self._is_stopping = True
            self._condition.notify_all()
        if self._thread.is_alive():
            self._thread.join(HEARTBEAT_SECONDS_AT_STOP)

    def beat(self) -> None:
        """One turn, after the wait. The body of the loop; raises what the store raises."""
        now = self._clock.now()
        # Where its row is gone, from a copy of the database that was put back, say, it is there since now.
        if not self._store.node_seen(self._node, now):
            self._store.node_started(self._node, now)
        if self._clock.monotonic() - self._rechecked_at >= WAITING_RECHECK_SECONDS:
            self._recheck_waiting()
            self._rechecked_at = self._clock.monotonic()

    def _run(self) -> None:
        while self._await_turn():
            try:
                self.beat()
            except Exception as error:  # noqa: BLE001 - a loop outlives what it calls (law 9)
                self._backoff.fail(error)
            else:
                self._backoff.succeed()
        self._leave()

    def _await_turn(self) -> bool:
        """Wait for the next beat; False when the heartbeat is to end."""
        with self._condition:
            if not self._is_stopping and not self._backoff.is_pausing:
                self._clock.wait(self._condition, self._interval_seconds)
            return not self._is_stopping

    def _recheck_waiting(self) -> None:
        """Have runs that wait looked at, some at each turn: whoever was to wake one may have died before it could."""
        hints = list(islice(self._hints, MAX_WAITING_RECHECKED))
        if len(hints) < MAX_WAITING_RECHECKED:
            self._hints = iter(self._store.waiting_hints())
            hints += islice(self._hints, MAX_WAITING_RECHECKED - len(hints))
        for hint in hints:
            # One that is waiting by now, and whose last attempt's ticket is still to be taken, is woken by that.
            if hint.run_id is None or not self._gate.holds(hint.run_id):
                self._agenda.push(hint)

    def _leave(self) -> None:
        now = self._clock.now()
        try:
            self._store.node_stopped(self._node, now, since=self._claims_ended_at or now)
        except Exception as error:  # noqa: BLE001 - then it is as if it had been killed: its last heartbeat stands
            self._backoff.fail(error)
