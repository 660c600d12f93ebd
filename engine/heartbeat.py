"""The heartbeat: a thread that writes down that its node is there, and sees which of the others are not any more."""

import threading
from collections.abc import Callable
from datetime import datetime
from uuid import UUID

import structlog

from engine.backoff import Backoff
from engine.gate import Refusal, StartGate
from engine.limits import HEARTBEAT_SECONDS_AT_STOP, MAX_HEARTBEAT_BACKOFF_SECONDS
from engine.nodes import Load, Neighbours, NodeRecord, Presence
from engine.nouns import Finished, Run, RunState
from engine.ports import Clock, Store
from engine.recovery import lose_abandoned_runs, lose_strays
from engine.rhythm import Rhythm

log = structlog.get_logger("scheduler.heartbeat")


class Heartbeat:
    """A daemon thread around `beat`. Started first and stopped last, from the scheduler's thread.

    A node that is killed writes nothing more: the last instant at which it was seen stands, and the others declare it
    lost. One that only seemed dead finds that out here: what it had claimed and not started is not its own any more,
    and it comes back once none of its runs is on record as running.

    `live_nodes` is told which nodes there are, `finished` what the loss of runs came to, `orphaned` of each run that
    goes on though it was lost.
    """

    def __init__(  # noqa: PLR0913 - the parts that it joins, each once
        self,
        *,
        store: Store,
        clock: Clock,
        gate: StartGate,
        node: UUID,
        presence: Presence,
        load: Callable[[], Load],
        live_nodes: Callable[[list[NodeRecord]], None],
        finished: Callable[[Finished], None],
        orphaned: Callable[[Run], None],
        rhythm: Rhythm,
    ) -> None:
        self._store = store
        self._clock = clock
        self._gate = gate
        self._node = node
        self._presence = presence
        self._load = load
        self._live_nodes = live_nodes
        self._finished = finished
        self._orphaned = orphaned
        self._interval_seconds = rhythm.heartbeat_seconds
        self._neighbours = Neighbours(me=node, lease_seconds=rhythm.lease_seconds, gap_seconds=rhythm.gap_seconds)
        self.runs_lost = 0
        self._condition = threading.Condition()
        self._is_stopping = False
        self._claims_ended_at: datetime | None = None
        self._backoff = Backoff(
            clock=clock,
            condition=self._condition,
            is_stopping=lambda: self._is_stopping,
            most_seconds=MAX_HEARTBEAT_BACKOFF_SECONDS,
            failing="heartbeat failing",
            over="heartbeat works again",
        )
        self._thread = threading.Thread(target=self._run, name="scheduler-heartbeat", daemon=True)

    @property
    def is_alive(self) -> bool:
        """Whether the thread runs."""
        return self._thread.is_alive()

    @property
    def is_failing(self) -> bool:
        """Whether its last turn failed."""
        return self._backoff.is_pausing

    def enter(self) -> list[NodeRecord]:
        """Write down that the node is there, and lose those whose process is gone; returns the others that are live.

        Raises StoreUnavailable.
        """
        begun = self._adjust_clock()
        self._store.node_started(self._record())
        self._gate.trust(begun)
        return self._look_at_others()

    def start(self) -> None:
        """Start the thread."""
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
        begun = self._adjust_clock()
        if self._store.node_seen(self._node, self._clock.now(), self._load()):
            self._gate.trust(begun)
            self._lose_strays()
        else:
            self._come_back(begun)
        self._look_at_others()

    def _adjust_clock(self) -> float:
        """Ask the database for the time; returns when that began, on the monotonic clock.

        From then on others may count: the instant that the node writes down is no earlier than that, and may not be any
        later, as an answer that took long was true at any moment of the asking.
        """
        begun = self._clock.monotonic()
        self._clock.adjust(self._store.time)
        return begun

    def _come_back(self, begun: float) -> None:
        """The others took this node for dead; or its row is gone, as after a copy of the database was put back."""
        refusal = Refusal("the other nodes took its node for dead before it started", RunState.LOST)
        # First the gate: from here on nothing starts that was claimed in the life before.
        entered = self._gate.revoke_all(refusal)
        self._lose_runs()
        for run in entered:
            self._orphaned(run)
        if self._store.node_back(self._record()):
            self._gate.trust(begun)
            log.warning("node back", node=str(self._node), runs_orphaned=len(entered))

    def _look_at_others(self) -> list[NodeRecord]:
        live = self._store.live_nodes()
        now = self._store.time() if self._neighbours.is_new else None
        lapsed = self._neighbours.observe(live, now=now, monotonic=self._clock.monotonic())
        others = [record for record in live if record.id != self._node]
        gone = self._store.gone_nodes([record.id for record in others]) if others else set()
        dead = [record for record in others if record.id in gone or record in lapsed]
        lost = {record.id for record in dead if self._lose(record)}
        # Also where nobody was lost just now: it may have stopped, and whoever lost it may have died before this.
        self._store.clear_stuck()
        self._lose_runs()
        left = [record for record in live if record.id not in lost]
        self._live_nodes(left)
        return [record for record in left if record.id != self._node]

    def _lose(self, record: NodeRecord) -> bool:
        # Its beats as they were seen: if it has moved since, it is not dead.
        is_lost = self._store.lose_node(record.id, beats=record.beats, at=self._clock.now())
        if is_lost:
            log.warning("node lost", node=str(self._node), lost_node=str(record.id), host=record.presence.host)
        return is_lost

    def _lose_runs(self) -> None:
        lost, results = lose_abandoned_runs(self._store, now=self._clock.now())
        self.runs_lost += lost
        for finished in results:
            self._finished(finished)

    def _lose_strays(self) -> None:
        # A commit may come long after its connection was given up: a stalled disk holds it, and nothing that is read.
        # The gate is asked after the store: a ticket is opened before its claim, and closed after its outcome.
        running = self._store.running_runs(self._node)
        strays = [run for run in running if not self._gate.holds(run.id)]
        if strays:
            self._finished(lose_strays(self._store, strays, now=self._clock.now()))

    def _record(self) -> NodeRecord:
        now = self._clock.now()
        return NodeRecord(self._node, self._presence, started_at=now, seen_at=now, beats=0, load=self._load())

    def _run(self) -> None:
        while self._await_turn():
            self._backoff.attempt(self.beat)
        self._leave()

    def _await_turn(self) -> bool:
        """Wait for the next beat; False when the heartbeat is to end."""
        with self._condition:
            if not self._is_stopping and not self._backoff.is_pausing:
                self._clock.wait(self._condition, self._interval_seconds)
            return not self._is_stopping

    def _leave(self) -> None:
        now = self._clock.now()
        try:
            self._store.node_stopped(self._node, now, since=self._claims_ended_at or now)
        except Exception as error:  # noqa: BLE001 - then it is as if it had been killed: its last heartbeat stands
            self._backoff.fail(error)
