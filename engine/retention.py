"""Retention: a thread that deletes history that is too old, or more than is kept of a job, in small batches."""

import threading
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

import structlog

from engine.backoff import Backoff
from engine.limits import (
    FIRST_RETENTION_SECONDS,
    HEARTBEAT_SECONDS_AT_STOP,
    MIN_NODES_KEPT,
    RETENTION_BATCH,
    RETENTION_JOBS,
    RETENTION_PAUSE_SECONDS,
    RETENTION_SECONDS,
)
from engine.past import Position
from engine.ports import Clock, Store

log = structlog.get_logger("scheduler.retention")

_BEFORE_ALL_IDS = UUID(int=0)


@dataclass(frozen=True, slots=True)
class HistoryLimits:
    """How much history is kept: for how many days, and how many runs of each job. 0 keeps it for ever."""

    days: float = 0
    runs_per_job: int = 0

    @property
    def keeps_everything(self) -> bool:
        """Whether there is nothing to delete, ever."""
        return not self.days and not self.runs_per_job


@dataclass(slots=True)
class Forgotten:
    """What one pass has deleted so far."""

    runs: int = 0
    pauses: int = 0
    nodes: int = 0

    def __bool__(self) -> bool:
        return bool(self.runs or self.pauses or self.nodes)


class Retention:
    """A daemon thread that makes a pass a minute after the start, and then each hour after the last one.

    A pass is a row of steps, each one read and at most one transaction that deletes RETENTION_BATCH rows, with a pause
    between them. Runs that are not over, or stuck, stay whatever their age. A pass that fails begins anew.
    """

    def __init__(self, *, store: Store, clock: Clock, limits: HistoryLimits) -> None:
        self._store = store
        self._clock = clock
        self._limits = limits
        self._condition = threading.Condition()
        self._is_stopping = False
        self._backoff = Backoff(
            clock=clock,
            condition=self._condition,
            is_stopping=lambda: self._is_stopping,
            failing="retention failing",
            over="retention works again",
        )
        self._thread = threading.Thread(target=self._run, name="scheduler-retention", daemon=True)

    @property
    def is_alive(self) -> bool:
        """Whether the thread runs; also where there is nothing for it to do."""
        return self._limits.keeps_everything or self._thread.is_alive()

    def start(self) -> None:
        """Start the thread, unless everything is kept."""
        if not self._limits.keeps_everything:
            self._thread.start()

    def stop(self) -> None:
        """End it after the batch that it is in."""
        with self._condition:
            self._is_stopping = True
            self._condition.notify_all()
        if self._thread.is_alive():
            self._thread.join(HEARTBEAT_SECONDS_AT_STOP)

    def make_pass(self) -> None:
        """Delete all that is to go, batch by batch, until that is done or the thread is to end.

        Raises what the store raises; what is deleted by then stays so.
        """
        forgotten = Forgotten()
        try:
            for _ in self._steps(forgotten):
                if not self._rest(RETENTION_PAUSE_SECONDS):
                    return
        finally:
            if forgotten:
                log.info("history deleted", runs=forgotten.runs, pauses=forgotten.pauses, nodes=forgotten.nodes)

    def _run(self) -> None:
        goes_on = self._rest(FIRST_RETENTION_SECONDS)
        while goes_on:
            is_done = self._backoff.attempt(self.make_pass)
            goes_on = self._rest(RETENTION_SECONDS if is_done else 0.0)

    def _rest(self, seconds: float) -> bool:
        """Wait; False when the thread is to end."""
        until = self._clock.monotonic() + seconds
        with self._condition:
            # A wait may return early, for nothing; an hour must not become a second by that.
            while not self._is_stopping and (left := until - self._clock.monotonic()) > 0:
                self._clock.wait(self._condition, left)
            return not self._is_stopping

    def _steps(self, forgotten: Forgotten) -> Iterator[None]:
        """The pass; between two of its steps is time for others."""
        if self._limits.days:
            before = self._clock.now() - timedelta(days=self._limits.days)
            yield from self._forget_old(before, forgotten)
        if self._limits.runs_per_job:
            yield from self._forget_surplus(forgotten)

    def _forget_old(self, before: datetime, forgotten: Forgotten) -> Iterator[None]:
        # By their slots, which have an index: none is later than the end of its run.
        until = (before, _BEFORE_ALL_IDS)
        yield from self._forget_runs(None, until, forgotten, ended_before=before)
        while deleted := self._store.forget_pauses(ended_before=before, limit=RETENTION_BATCH):
            forgotten.pauses += deleted
            yield
        while deleted := self._store.forget_nodes(seen_before=before, keep=MIN_NODES_KEPT, limit=RETENTION_BATCH):
            forgotten.nodes += deleted
            yield

    def _forget_surplus(self, forgotten: Forgotten) -> Iterator[None]:
        after: UUID | None = None
        while True:
            crowded, after = self._store.crowded_jobs(
                newest=self._limits.runs_per_job, after=after, limit=RETENTION_JOBS
            )
            for job in crowded:
                yield from self._forget_runs(job.job_id, job.surplus, forgotten)
            if after is None:
                return
            yield

    def _forget_runs(
        self, job_id: UUID | None, until: Position, forgotten: Forgotten, *, ended_before: datetime | None = None
    ) -> Iterator[None]:
        """Page by page, from the oldest on; what must stay is looked at once in a pass and not in each batch."""
        after: Position | None = None
        while page := self._store.history_page(job_id=job_id, until=until, after=after, limit=RETENTION_BATCH):
            after = page[-1].position
            over = [entry for entry in page if not entry.is_going]
            if ended_before is not None:
                over = [entry for entry in over if entry.ended_at < ended_before]
            forgotten.runs += self._store.forget_runs([entry.run_id for entry in over]) if over else 0
            yield
