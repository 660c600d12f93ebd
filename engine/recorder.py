"""Writing outcomes: one thread, in batches, again and again until the store has taken them."""

import threading
from collections import deque
from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from math import inf
from uuid import UUID

import structlog

from engine.backoff import Backoff
from engine.errors import StoreUnavailable
from engine.limits import FIRST_BACKOFF_SECONDS, MAX_BACKOFF_SECONDS, MAX_OUTCOME_BATCH
from engine.nouns import CallOver, Finished, Outcome, RunError
from engine.ports import Clock, Store
from engine.rhythm import REGULAR, Rhythm

log = structlog.get_logger("scheduler.recorder")

Item = Outcome | CallOver
"""What is recorded: how a run ended, or that what a stuck one had called has returned."""


class Recorder:
    """Outcomes wait here, bounded by the permits they hold, until they are on record; then `recorded` is called.

    `put` may be called from any thread; `recorded`, and `finished` with what a batch came to, are called by the
    recorder's thread. An outcome that the database refuses is set aside, so that it holds none of the others, and tried
    again when there is nothing else to write.
    """

    def __init__(
        self,
        *,
        store: Store,
        clock: Clock,
        recorded: Callable[[Sequence[Item]], None],
        finished: Callable[[Finished], None],
        rhythm: Rhythm = REGULAR,
    ) -> None:
        self._store = store
        self._clock = clock
        self._recorded = recorded
        self._finished = finished
        self._rhythm = rhythm
        self._wrote_at = -inf
        self._is_idle = False
        self._condition = threading.Condition()
        self._waiting: deque[Item] = deque()
        self._being_written: deque[Item] = deque()
        self._refused: deque[Item] = deque()
        self._told_of: set[UUID] = set()
        self._is_second_try = False
        self._is_stopping = False
        self._is_over = False
        self._backoff = Backoff(
            clock=clock,
            condition=self._condition,
            is_stopping=lambda: self._is_stopping,
            seconds_when_stopping=FIRST_BACKOFF_SECONDS,
            failing="recorder failing",
            over="recorder works again",
        )
        self._thread = threading.Thread(target=self._run, name="scheduler-recorder", daemon=True)

    def __len__(self) -> int:
        return len(self._waiting) + len(self._being_written) + len(self._refused)

    @property
    def is_alive(self) -> bool:
        """Whether outcomes are being taken care of."""
        return self._thread.is_alive()

    @property
    def is_failing(self) -> bool:
        """Whether its last try to write failed."""
        return self._backoff.is_pausing

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def put(self, outcome: Item) -> None:
        """Have the outcome recorded. After the recorder's end, the caller's thread makes one try of its own."""
        with self._condition:
            if not self._is_over:
                self._waiting.append(outcome)
                # Not while it writes or collects: it looks by itself then, and each wake-up costs the runs their turn.
                if self._is_idle:
                    self._condition.notify_all()
                return
        self._write_at_last(outcome)

    def ended_claims(self) -> set[UUID]:
        """The claims of runs that are over and about to be on record; not those whose outcome the database refuses.

        A job of which such a run is left does not run again, or the refused ones would take permit after permit.
        """
        with self._condition:
            # Not those whose call is over after all: such a run may be about to be tried again.
            return {
                item.claim_id
                for item in (*self._waiting, *self._being_written)
                if isinstance(item, Outcome) and item.makes_room and item.claim_id is not None
            }

    def run_ids_with_outcome(self) -> set[UUID]:
        """The runs with an outcome that is not on record yet, also if they are to be tried again, or are stuck."""
        with self._condition:
            items = (*self._waiting, *self._being_written, *self._refused)
            return {item.run_id for item in items if isinstance(item, Outcome)}

    def stop(self, timeout_seconds: float) -> bool:
        """Write what waits and end the thread, at the time-out after its next try; says whether all was written."""
        with self._condition:
            self._is_stopping = True
            self._condition.notify_all()
        if self._thread.is_alive():
            self._thread.join(timeout_seconds)
        with self._condition:
            self._is_over = True
            self._condition.notify_all()
        return not len(self)

    def write_once(self) -> None:
        """Take a batch and write it. The body of the loop; raises what the store raises, and then keeps the batch."""
        self._take()
        self._wrote_at = self._clock.monotonic()
        try:
            self._write()
        except StoreUnavailable:
            # Perhaps it was written: then the next try finds these runs ended, and ended by us.
            self._is_second_try = True
            raise
        self._is_second_try = False

    def _run(self) -> None:
        while self._await_work():
            self._backoff.attempt(self.write_once)

    def _await_work(self) -> bool:
        """Wait until there is something to write; False when the recorder is to end."""
        with self._condition:
            # Asked first: what the store did not take until now, the next start will call lost.
            while not self._is_over:
                if self._waiting or self._being_written:
                    self._gather()
                    return True
                if self._refused:
                    pause = FIRST_BACKOFF_SECONDS if self._is_stopping else MAX_BACKOFF_SECONDS
                    self._be_idle(pause)
                    return True
                if self._is_stopping:
                    self._is_over = True
                else:
                    self._be_idle(self._rhythm.max_wait_seconds)
            return False

    def _be_idle(self, seconds: float) -> None:
        self._is_idle = True
        self._clock.wait(self._condition, seconds)
        self._is_idle = False

    def _gather(self) -> None:
        """Let a moment pass since the last transaction, so that this one holds more, unless it would be full."""
        seconds = self._wrote_at + self._rhythm.gather_seconds - self._clock.monotonic()
        if seconds > 0 and not self._is_stopping and len(self._waiting) < MAX_OUTCOME_BATCH:
            self._clock.wait(self._condition, seconds)

    def _take(self) -> None:
        with self._condition:
            source = self._waiting or self._refused
            while source and len(self._being_written) < MAX_OUTCOME_BATCH:
                self._being_written.append(source.popleft())

    def _write(self) -> None:
        batch = list(self._being_written)
        try:
            finished = self._finish(batch)
        except StoreUnavailable:
            raise
        # A mistake in one of them: which, writing one by one will show.
        except Exception:  # noqa: BLE001 - told below, of the outcome that raises it
            for item in batch:
                self._write_alone(item)
        else:
            self._conclude(batch, late=finished.late)
            self._tell(finished)

    def _finish(self, items: Sequence[Item]) -> Finished:
        outcomes = [item for item in items if isinstance(item, Outcome)]
        overs = [item for item in items if isinstance(item, CallOver)]
        return self._store.finish(outcomes, overs=overs)

    def _write_alone(self, item: Item) -> None:
        try:
            finished = self._finish_somehow(item)
        except StoreUnavailable:
            raise
        except Exception as error:  # noqa: BLE001 - one outcome of many
            self._set_aside(item, error)
        else:
            self._conclude([item], late=finished.late)
            self._tell(finished)

    def _finish_somehow(self, item: Item) -> Finished:
        try:
            return self._finish([item])
        except StoreUnavailable:
            raise
        # The texts of a user's function are what a database may dislike.
        except Exception as error:
            if isinstance(item, CallOver):
                raise
            finished = self._finish([_bare(item)])
            log.warning("outcome cut", run_id=str(item.run_id), job_id=str(item.job_id), exc_info=error)
            return finished

    def _tell(self, finished: Finished) -> None:
        try:
            self._finished(finished)
        # What follows from it is looked at again by the next one that finishes, or at the next start.
        except Exception as error:  # noqa: BLE001 - it is on record, and the recorder must go on
            log.error("nothing followed from outcomes", error=str(error))  # noqa: TRY400 - one line will do

    def _set_aside(self, outcome: Item, error: Exception) -> None:
        if outcome.run_id not in self._told_of:
            self._told_of.add(outcome.run_id)
            log.error("outcome refused", run_id=str(outcome.run_id), job_id=str(outcome.job_id), exc_info=error)
        with self._condition:
            self._being_written.popleft()
            self._refused.append(outcome)

    def _conclude(self, items: Sequence[Item], *, late: Collection[UUID]) -> None:
        for item in items:
            if item.run_id in late and isinstance(item, Outcome) and not self._is_second_try:
                _tell_late(item)
            self._told_of.discard(item.run_id)
        # First the permits, then the list: at no moment does a run seem to be going and not waiting here.
        self._recorded(items)
        with self._condition:
            for _ in items:
                self._being_written.popleft()

    def _write_at_last(self, outcome: Item) -> None:
        if isinstance(outcome, CallOver):
            # The next start knows that by itself.
            self._recorded([outcome])
            return
        try:
            self._finish([outcome])
        # The next start will call the run lost.
        except Exception:
            log.exception("outcome not recorded", run_id=str(outcome.run_id), job_id=str(outcome.job_id))
        self._recorded([outcome])


def _tell_late(outcome: Outcome) -> None:
    log.warning(
        "late outcome ignored", run_id=str(outcome.run_id), job_id=str(outcome.job_id), state=outcome.state.value
    )


def _bare(outcome: Outcome) -> Outcome:
    """The outcome without the user's texts, which are all that a database may dislike."""
    error = outcome.error and RunError(type="unknown", message="not storable", traceback="")
    return replace(outcome, error=error, result_json=None, log=None, reason="its texts could not be stored")
