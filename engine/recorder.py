"""Writing outcomes: one thread, in batches, again and again until the store has taken them."""

import threading
from collections import deque
from collections.abc import Callable
from dataclasses import replace
from uuid import UUID

import structlog

from engine.backoff import Backoff
from engine.errors import StoreUnavailable
from engine.limits import MAX_OUTCOME_BATCH
from engine.nouns import Outcome, RunError
from engine.ports import Clock, Store

log = structlog.get_logger("scheduler.recorder")


class Recorder:
    """Outcomes wait here, bounded by the permits they hold, until they are on record; then `recorded` is called.

    `put` may be called from any thread; `recorded` is called by the recorder's thread.
    """

    def __init__(self, *, store: Store, clock: Clock, recorded: Callable[[Outcome], None]) -> None:
        self._store = store
        self._recorded = recorded
        self._condition = threading.Condition()
        self._waiting: deque[Outcome] = deque()
        self._being_written: list[Outcome] = []
        self._is_stopping = False
        self._backoff = Backoff(
            clock=clock, condition=self._condition, failing="recorder failing", over="recorder works again"
        )
        self._thread = threading.Thread(target=self._run, name="scheduler-recorder", daemon=True)

    def __len__(self) -> int:
        return len(self._waiting) + len(self._being_written)

    @property
    def is_alive(self) -> bool:
        """Whether outcomes are being taken care of."""
        return self._thread.is_alive()

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def put(self, outcome: Outcome) -> None:
        """Have the outcome recorded."""
        with self._condition:
            self._waiting.append(outcome)
            self._condition.notify_all()

    def waiting_run_ids(self) -> set[UUID]:
        """The runs that are over and not yet on record."""
        with self._condition:
            return {outcome.run_id for outcome in (*self._waiting, *self._being_written)}

    def stop(self, timeout_seconds: float) -> bool:
        """Write what waits and end the thread; says whether all of it was written in time."""
        with self._condition:
            self._is_stopping = True
            self._condition.notify_all()
        if self._thread.is_alive():
            self._thread.join(timeout_seconds)
        return not len(self)

    def write_once(self) -> None:
        """Take a batch and write it. The body of the loop."""
        self._take()
        try:
            self._write(self._being_written)
        except StoreUnavailable as error:
            # Kept for the next try: a finished run that is not recorded would be called lost.
            self._backoff.fail(error)
            return
        self._backoff.succeed()
        with self._condition:
            self._being_written = []

    def _run(self) -> None:
        while self._has_work():
            try:
                self.write_once()
            # Law 9. What is left here is a mistake of ours; the batch is kept and tried again.
            except Exception as error:  # noqa: BLE001 - a loop outlives what it calls
                self._backoff.fail(error)

    def _has_work(self) -> bool:
        with self._condition:
            while not self._waiting and not self._being_written and not self._is_stopping:
                self._condition.wait()
            return bool(self._waiting or self._being_written)

    def _take(self) -> None:
        with self._condition:
            while self._waiting and len(self._being_written) < MAX_OUTCOME_BATCH:
                self._being_written.append(self._waiting.popleft())

    def _write(self, batch: list[Outcome]) -> None:
        try:
            late = self._store.finish(batch)
        except StoreUnavailable:
            raise
        # One outcome that the database will not take must not hold the others.
        except Exception:
            log.exception("outcome batch refused", outcomes=len(batch))
            late = {run_id for outcome in batch for run_id in self._write_alone(outcome)}
        for outcome in batch:
            if outcome.run_id in late:
                log.warning(
                    "late outcome ignored",
                    run_id=str(outcome.run_id),
                    job_id=str(outcome.job_id),
                    state=outcome.state.value,
                )
            self._recorded(outcome)

    def _write_alone(self, outcome: Outcome) -> set[UUID]:
        try:
            return self._store.finish([outcome])
        except StoreUnavailable:
            raise
        except Exception:
            log.exception("outcome refused", run_id=str(outcome.run_id), job_id=str(outcome.job_id))
        return self._store.finish([_bare(outcome)])


def _bare(outcome: Outcome) -> Outcome:
    """The outcome without the user's texts, which are all that a database may dislike."""
    error = outcome.error and RunError(type="unknown", message="not storable", traceback="")
    return replace(outcome, error=error, result_json=None, reason="its texts could not be stored")
