"""Making up for slots that are past: counted, queued in one transaction, and cancelled."""

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

import structlog

from engine.agenda import Agenda
from engine.backfill_slots import BackfillSlots, require_past, slots_to_backfill
from engine.backfills import Backfill, BackfillCount, BackfillProgress, BackfillRequest, BackfillState
from engine.cancellation import Cancellation
from engine.dispatcher import waiting_hint
from engine.edits import require_function
from engine.errors import InvalidBackfill, StoreUnavailable
from engine.nouns import Job, JobStatus, Run, RunState, Trigger
from engine.pausing import Pausing
from engine.ports import Clock, Ids, Store
from engine.reading import calendars_of, existing_job
from engine.run_path import as_text
from registry import JobFunction

log = structlog.get_logger("scheduler.engine")


@dataclass(frozen=True, slots=True)
class CancelledBackfill:
    """What a cancellation came to: runs that waited and are over, and runs in a call that were asked to end."""

    cancelled: int
    asked_to_end: int
    progress: BackfillProgress


class Backfilling:
    """Counts, creates and cancels backfills. May be used from any thread.

    Of the runs of a backfill the agenda knows those for which there is room, and hears of the next ones when one of
    them is over: a thousand hints would be as many claims, nearly all for nothing.
    """

    def __init__(
        self,
        *,
        store: Store,
        clock: Clock,
        agenda: Agenda,
        cancellation: Cancellation,
        pausing: Pausing,
        functions: Mapping[str, JobFunction],
        node: UUID,
        new_id: Ids,
    ) -> None:
        self._store = store
        self._clock = clock
        self._agenda = agenda
        self._cancellation = cancellation
        self._pausing = pausing
        self._functions = functions
        self._node = node
        self._new_id = new_id
        # Listing slots is all computation: two at once would keep the interpreter from the timer thread.
        self._one_at_a_time = threading.Lock()

    def count(self, job_id: UUID, request: BackfillRequest) -> BackfillCount:
        """What the backfill would run; changes nothing. Raises what `create` raises, but for a range without slots."""
        _, found = self._found(job_id, request)
        slots = found.slots
        ends = (slots[0], slots[-1]) if slots else (None, None)
        return BackfillCount(len(slots), found.excluded_count, *ends)

    def create(self, job_id: UUID, request: BackfillRequest) -> BackfillProgress:
        """Queue a run for each slot of the range.

        Raises JobNotFound, UnknownFunction, InvalidBackfill, BackfillTooLarge, InvalidSchedule, TooManyBackfills,
        StoreUnavailable.
        """
        job, found = self._found(job_id, request)
        if not found.slots:
            raise _nothing_to_run(found)
        now = self._clock.now()
        backfill = Backfill(
            id=self._new_id(),
            job_id=job.id,
            from_at=request.from_at,
            to_at=request.to_at,
            slot_count=len(found.slots),
            concurrency=request.concurrency,
            created_at=now,
        )
        runs = [self._queued(job, backfill, slot) for slot in found.slots]
        try:
            self._store.add_backfill(backfill, runs)
        except StoreUnavailable:
            # Perhaps it is on record: then it must not wait for the next start. If it is not, nobody minds the hints.
            self._wake(job, runs[: backfill.concurrency])
            raise
        self._wake(job, runs[: backfill.concurrency])
        log.info(
            "backfill created",
            **_keys(backfill),
            slot_count=backfill.slot_count,
            first=as_text(found.slots[0]),
            last=as_text(found.slots[-1]),
            concurrency=backfill.concurrency,
        )
        return BackfillProgress(backfill, {RunState.QUEUED: backfill.slot_count})

    def cancel(self, backfill_id: UUID) -> CancelledBackfill:
        """End what waits of it, and have end what is in a call, as far as its lane can; does not wait for that.

        Raises BackfillNotFound, BackfillIsOver, StoreUnavailable.
        """
        reason = f"backfill {backfill_id} was cancelled by request"
        ending, progress = self._store.cancel_backfill(backfill_id, at=self._clock.now(), reason=reason)
        for run_id in ending.going:
            self._cancellation.end(run_id, reason)
        asked = len(ending.going)
        log.info("backfill cancelled", **_keys(progress.backfill), cancelled=ending.cancelled, asked_to_end=asked)
        return CancelledBackfill(ending.cancelled, asked, progress)

    def hold_ups(self, progresses: Sequence[BackfillProgress]) -> dict[UUID, str]:
        """Why no run of these starts at the moment, by backfill, where there is such a reason."""
        running = [each.backfill for each in progresses if each.state is BackfillState.RUNNING]
        jobs = {job.id: job for job in self._store.jobs_by_id({each.job_id for each in running})} if running else {}
        reasons = {each.id: self._hold_up(jobs.get(each.job_id)) for each in running}
        return {backfill_id: reason for backfill_id, reason in reasons.items() if reason is not None}

    def _hold_up(self, job: Job | None) -> str | None:
        if self._pausing.current is not None:
            return "everything is paused: its runs wait until that ends"
        if job is not None and job.status is JobStatus.PAUSED:
            return "the job is paused: its runs wait until the job is resumed"
        if job is not None and job.function_name not in self._functions:
            return f"function {job.function_name} is not registered: its runs wait until it is"
        return None

    def _found(self, job_id: UUID, request: BackfillRequest) -> tuple[Job, BackfillSlots]:
        require_past(request.from_at, request.to_at, now=self._clock.now())
        job = existing_job(self._store, job_id)
        require_function(self._functions, job.function_name)
        calendars = calendars_of(self._store, [job])
        with self._one_at_a_time:
            return job, slots_to_backfill(job, calendars, from_at=request.from_at, to_at=request.to_at)

    def _queued(self, job: Job, backfill: Backfill, slot: datetime) -> Run:
        return Run(
            id=self._new_id(),
            job_id=job.id,
            function_name=job.function_name,
            trigger=Trigger.BACKFILL,
            scheduled_for=slot,
            state=RunState.QUEUED,
            node=self._node,
            due_at=backfill.created_at,
            reason=f"waits for its turn in backfill {backfill.id}",
            concurrency_key=job.policies.concurrency_key,
            backfill_id=backfill.id,
        )

    def _wake(self, job: Job, runs: Sequence[Run]) -> None:
        for run in runs:
            self._agenda.push(waiting_hint(run, job))


def _nothing_to_run(found: BackfillSlots) -> InvalidBackfill:
    if found.excluded_count:
        return InvalidBackfill("from", f"all {found.excluded_count} slots of the range are on days off: none would run")
    return InvalidBackfill("from", "the job has no slot in this range: a range with at least one is wanted")


def _keys(backfill: Backfill) -> dict[str, str]:
    return {"backfill_id": str(backfill.id), "job_id": str(backfill.job_id)}
