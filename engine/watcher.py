"""The watcher: a thread that looks at what other nodes have changed, when it is told to and now and then anyway."""

import threading
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from itertools import islice
from math import inf
from uuid import UUID

from engine.agenda import Agenda
from engine.backoff import Backoff
from engine.gate import StartGate
from engine.limits import (
    LOOK_AROUND_ALONE_SECONDS,
    MAX_NEAR_JOBS,
    MAX_WAITING_RECHECKED,
    NEAR_SECONDS,
    WAITING_RECHECK_SECONDS,
)
from engine.nouns import DueHint, JobStatus
from engine.pausing import Pausing
from engine.ports import Clock, Store
from engine.reading import read_jobs
from engine.reason_codes import ReasonCode
from engine.rhythm import Rhythm


class Watcher:
    """A daemon thread around `look`. `wake` may be called from any thread.

    What it finds late does no harm to what is on record (law 1): a claim goes by the row. It is what makes another
    node's pause, edit or cancellation felt here soon.
    """

    def __init__(  # noqa: PLR0913 - the parts that it joins, each once
        self,
        *,
        store: Store,
        clock: Clock,
        agenda: Agenda,
        gate: StartGate,
        pausing: Pausing,
        end_run: Callable[[UUID, str], None],
        node: UUID,
        rhythm: Rhythm,
        runs_jobs: bool,
    ) -> None:
        self._store = store
        self._clock = clock
        self._agenda = agenda
        self._gate = gate
        self._pausing = pausing
        self._end_run = end_run
        self._node = node
        self._interval_seconds = rhythm.look_around_seconds
        self._runs_jobs = runs_jobs
        self._waiting_seen_until: datetime | None = None
        self._window_seconds = rhythm.window_seconds
        self._is_alone = False
        self._condition = threading.Condition()
        self._is_woken = False
        self._is_stopping = False
        self._hints: Iterator[DueHint] = iter(())
        self._looked_ahead_at = clock.monotonic()
        self._looked_near_at = -inf
        self._rechecked_at = clock.monotonic()
        self._backoff = Backoff(
            clock=clock,
            condition=self._condition,
            is_stopping=lambda: self._is_stopping,
            failing="watcher failing",
            over="watcher works again",
        )
        self._thread = threading.Thread(target=self._run, name="scheduler-watcher", daemon=True)

    @property
    def is_alive(self) -> bool:
        """Whether the thread runs."""
        return self._thread.is_alive()

    @property
    def is_failing(self) -> bool:
        """Whether its last turn failed."""
        return self._backoff.is_pausing

    def horizon(self, now: datetime) -> datetime | None:
        """Up to when due times are read; None: to the end of time."""
        return None if self._window_seconds == inf else now + timedelta(seconds=self._window_seconds)

    def start(self) -> None:
        """Start the thread."""
        self._looked_ahead_at = self._rechecked_at = self._clock.monotonic()
        self._thread.start()

    def go_by_nodes(self, live: int) -> None:
        """How many nodes there are, this one included."""
        self._is_alone = live <= 1

    def wake(self) -> None:
        """Have it look now: somebody has changed something."""
        with self._condition:
            self._is_woken = True
            self._condition.notify_all()

    def stop(self, timeout_seconds: float) -> None:
        """End the thread."""
        with self._condition:
            self._is_stopping = True
            self._condition.notify_all()
        if self._thread.is_alive():
            self._thread.join(timeout_seconds)

    def look(self) -> None:
        """One turn, after the wait. The body of the loop; raises what the store raises."""
        self._pausing.follow()
        for run_id, reason in self._store.runs_to_end(self._node):
            self._end_run(run_id, reason)
        if not self._is_alone:
            self._look_at_claimed()
        if self._runs_jobs:
            self._look_for_work()

    def _look_for_work(self) -> None:
        now = self._clock.now()
        near = now + timedelta(seconds=NEAR_SECONDS)
        if not self._is_alone or self._clock.monotonic() - self._looked_near_at >= LOOK_AROUND_ALONE_SECONDS:
            # Alone it is told of its own commits only, many times a second.
            self._agenda.refresh(self._store.due_hints_until(near, limit=MAX_NEAR_JOBS))
            self._looked_near_at = self._clock.monotonic()
        # Once each, around the time at which it may start: what makes room for it later tells so itself.
        since = min(self._waiting_seen_until or now, now) - timedelta(seconds=NEAR_SECONDS)
        for hint in self._store.waiting_hints_due(since=since, until=near, limit=MAX_WAITING_RECHECKED):
            self._push_waiting(hint)
        self._waiting_seen_until = now
        self._look_ahead()
        if self._clock.monotonic() - self._rechecked_at >= WAITING_RECHECK_SECONDS:
            self.recheck_waiting()
            self._rechecked_at = self._clock.monotonic()

    def recheck_soon(self) -> None:
        """Have runs that wait looked at with the next look, which is now. From any thread."""
        self._rechecked_at = -inf
        self.wake()

    def recheck_waiting(self) -> None:
        """Have runs that wait looked at, some at each turn: whoever was to wake one may have died before it could."""
        hints = list(islice(self._hints, MAX_WAITING_RECHECKED))
        if len(hints) < MAX_WAITING_RECHECKED:
            self._hints = iter(self._store.waiting_hints())
            hints += islice(self._hints, MAX_WAITING_RECHECKED - len(hints))
        for hint in hints:
            self._push_waiting(hint)

    def _push_waiting(self, hint: DueHint) -> None:
        # One that is waiting by now, and whose last attempt's ticket is still to be taken, is woken by that.
        if hint.run_id is None or not self._gate.holds(hint.run_id):
            self._agenda.push(hint)

    def _look_at_claimed(self) -> None:
        """Keep runs from starting whose job was paused or deleted elsewhere after the claim."""
        claimed = self._gate.versions()
        if not claimed:
            return
        jobs, unreadable = read_jobs(self._store, list(claimed))
        for job_id in claimed.keys() - unreadable.keys():
            job = jobs.get(job_id)
            if job is None:
                self._gate.revoke(job_id, reason="the job was deleted before the run started", code=ReasonCode.DELETED)
            elif job.status is JobStatus.PAUSED:
                self._gate.revoke(
                    job_id,
                    reason="the job was paused before the run started",
                    code=ReasonCode.PAUSED,
                    below_version=job.version,
                )

    def _look_ahead(self) -> None:
        """Read what is due within the window, twice in its time."""
        is_time = self._clock.monotonic() - self._looked_ahead_at >= self._window_seconds / 2
        horizon = self.horizon(self._clock.now())
        if horizon is not None and is_time:
            self._agenda.look_ahead(self._store.due_hints_until(horizon), horizon=horizon)
            self._looked_ahead_at = self._clock.monotonic()

    def _run(self) -> None:
        while self._await_turn():
            self._backoff.attempt(self.look)

    def _await_turn(self) -> bool:
        """Wait to be woken, or for the interval; False when the watcher is to end."""
        with self._condition:
            if not self._is_stopping and not self._is_woken and not self._backoff.is_pausing:
                self._clock.wait(self._condition, self._interval_seconds)
            self._is_woken = False
            return not self._is_stopping
