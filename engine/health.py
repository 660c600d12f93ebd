"""What a node knows of itself."""

from uuid import UUID

from engine.agenda import Agenda
from engine.errors import StoreUnavailable
from engine.gate import StartGate
from engine.heartbeat import Heartbeat
from engine.limits import MAX_LOOP_HELD_SECONDS, MAX_TICK_AGE_SECONDS
from engine.pausing import Pausing
from engine.ports import Clock, Store
from engine.requests import Health, LaneRoom
from engine.retention import Retention
from engine.runner import Runner
from engine.timer import Timer
from engine.watcher import Watcher
from registry import Lane


class HealthCheck:
    """Looks at the parts of a node. May be used from any thread; asks the database, so not for a tight loop."""

    def __init__(  # noqa: PLR0913 - the parts it looks at, each once
        self,
        *,
        node: UUID,
        store: Store,
        clock: Clock,
        agenda: Agenda,
        gate: StartGate,
        timer: Timer,
        runner: Runner,
        pausing: Pausing,
        heartbeat: Heartbeat,
        watcher: Watcher,
        runs_jobs: bool,
        retention: Retention,
    ) -> None:
        self._node = node
        self._store = store
        self._clock = clock
        self._agenda = agenda
        self._gate = gate
        self._timer = timer
        self._runner = runner
        self._pausing = pausing
        self._heartbeat = heartbeat
        self._watcher = watcher
        self._runs_jobs = runs_jobs
        self._retention = retention

    def look(self) -> Health:
        """How the node is at this moment."""
        latency_ms = self._store_latency_ms()
        answers = latency_ms is not None
        scheduled_jobs = self._scheduled_jobs() if answers else 0
        stuck = self._runner.live_runs.stuck
        seconds_since_tick = self._timer.seconds_since_tick
        checks = {
            "the scheduler is stopping": self._agenda.is_stopped,
            "the timer thread is not alive": self._runs_jobs and not self._timer.is_alive,
            "the timer has not ticked recently": (seconds_since_tick or 0.0) > MAX_TICK_AGE_SECONDS,
            "slots cannot be claimed": self._timer.is_failing,
            "outcomes cannot be recorded": self._runner.recorder.is_failing,
            "the recorder thread is not alive": not self._runner.recorder.is_alive,
            "the heartbeat thread is not alive": not self._heartbeat.is_alive,
            "no heartbeat got through for too long: nothing starts": answers and not self._gate.is_trusted,
            # While the database is away, that says it all.
            "other nodes are not looked at": answers and self._heartbeat.is_failing,
            "what other nodes change is not looked at": not self._watcher.is_alive
            or (answers and self._watcher.is_failing),
            "old history is not deleted": not self._retention.is_alive,
            "the database does not answer": not answers,
            "time-outs are not watched": not self._runner.deadlines.is_alive,
            "every thread of the pool is stuck in a run that is over": stuck >= self._agenda.permits[Lane.THREAD],
            "a coroutine holds the loop": self._loop_seconds() > MAX_LOOP_HELD_SECONDS,
        }
        return Health(
            problems=tuple(problem for problem, applies in checks.items() if applies),
            node=self._node,
            is_stopping=self._agenda.is_stopped,
            is_timer_alive=self._timer.is_alive,
            seconds_since_tick=seconds_since_tick,
            is_recorder_alive=self._runner.recorder.is_alive,
            is_store_reachable=answers,
            store_latency_ms=latency_ms,
            scheduled_jobs=scheduled_jobs,
            permits=self._agenda.permits[Lane.THREAD],
            permits_free=self._agenda.free_permits(Lane.THREAD),
            running_runs=len(self._gate),
            outcomes_waiting=len(self._runner.recorder),
            stuck_runs=stuck,
            lanes={lane.value: LaneRoom(self._agenda.permits[lane], self._agenda.free_permits(lane)) for lane in Lane},
            is_paused=self._pausing.current is not None,
        )

    def _scheduled_jobs(self) -> int:
        try:
            return self._store.scheduled_jobs()
        except StoreUnavailable:
            return 0

    def _loop_seconds(self) -> float:
        """How long ago the loop of coroutines last came round."""
        loop = self._runner.lanes.loop
        return 0.0 if loop is None else loop.seconds_since_turn()

    def _store_latency_ms(self) -> float | None:
        begun = self._clock.monotonic()
        try:
            self._store.check()
        except StoreUnavailable:
            return None
        return round((self._clock.monotonic() - begun) * 1_000, 3)
