"""Runs that wait, for their turn or for another attempt: which may start, and starting them. Inside a transaction."""

from collections.abc import Collection, Iterable, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, bindparam, literal_column, or_, select, update

from engine.backfills import hint_priority
from engine.nodes import Claimant
from engine.nouns import DueHint, Job, JobStatus, Run, RunState, WaitingStart
from engine.policies import OverlapPolicy
from store.backfill_rows import (
    HINT_COLUMNS,
    loads_of_backfills,
    next_in_line,
    waiting_backfill_ids_for,
    waiting_backfill_ids_of,
)
from store.batches import OneOf
from store.claims import RULES
from store.columns import AnyRow
from store.crowds import Crowd, crowds_of, loads_of_keys
from store.job_rows import JOB_COLUMNS, job_of
from store.node_rows import see_claimant
from store.outcomes import Freed
from store.overlaps import Rules
from store.run_rows import run_of
from store.tables import IS_WAITING, jobs, runs

HINTS_PER_RELEASE = 200
"""Waiting runs that are looked at when some run is over; the next one that is over has the others looked at."""

# Of the queued runs of a backfill only the next ones are looked at (store.backfill_rows.next_in_line).
_IS_LOOKED_AT = or_(runs.c.backfill_id.is_(None), runs.c.state == literal_column("'retrying'"))
_HINT = select(*HINT_COLUMNS).join(jobs, jobs.c.id == runs.c.job_id).where(IS_WAITING, _IS_LOOKED_AT)
_ALL_HINTS = _HINT.order_by(runs.c.id).limit(bindparam("limit"))
_ALL_HINTS_AFTER = _ALL_HINTS.where(runs.c.id > bindparam("after"))
_DUE = _HINT.where(runs.c.due_at > bindparam("since"), runs.c.due_at <= bindparam("until")).limit(bindparam("limit"))
_HINTS_OF_JOB = _HINT.where(runs.c.job_id == bindparam("job_id")).order_by(runs.c.scheduled_for)
# The slots of backfills are the oldest, and must not keep the others from being looked at.
_RELEASED = _HINT.order_by(runs.c.backfill_id.is_not(None), runs.c.scheduled_for).limit(bindparam("limit"))
_HINTS_OF_JOBS = _RELEASED.where(OneOf(runs.c.job_id, "among"))
_HINTS_OF_KEYS = _RELEASED.where(OneOf(runs.c.concurrency_key, "among"))
_WAITING = select(runs).where(OneOf(runs.c.id, "run_ids"), IS_WAITING)
_JOBS = select(*JOB_COLUMNS).where(OneOf(jobs.c.id, "job_ids"))
_TO_START = _WAITING.order_by(runs.c.scheduled_for, runs.c.id).with_for_update(skip_locked=True)
_JOBS_TO_START = (
    select(jobs.c.id, jobs.c.version, jobs.c.status, *RULES)
    .where(OneOf(jobs.c.id, "job_ids"))
    # One that somebody holds is left for the next look: who is frozen with it must not hold all others as well.
    .with_for_update(skip_locked=True)
)
_START = (
    update(runs)
    .where(runs.c.id == bindparam("run_id"), IS_WAITING)
    .values(
        state=RunState.RUNNING,
        node=bindparam("new_node"),
        claim_id=bindparam("new_claim"),
        attempt=bindparam("new_attempt"),
        started_at=bindparam("at"),
        finished_at=None,
        duration_ms=None,
        due_at=None,
        error_type=None,
        error_message=None,
        error_traceback=None,
        reason=None,
        cancel_reason=None,
    )
)
_STARTED = update(jobs).where(jobs.c.id == bindparam("job_id")).values(last_run_at=bindparam("started_at"))


def page_of_waiting_hints(connection: Connection, after: UUID | None, limit: int) -> list[DueHint]:
    statement = _ALL_HINTS if after is None else _ALL_HINTS_AFTER
    return _hints(connection.execute(statement, {"after": after, "limit": limit}))


def hints_due(connection: Connection, since: datetime, until: datetime, limit: int) -> list[DueHint]:
    """Of runs that may start, or begin to wait, after one instant and up to the other."""
    return _hints(connection.execute(_DUE, {"since": since, "until": until, "limit": limit}))


def hints_of_job(connection: Connection, job_id: UUID) -> list[DueHint]:
    hints = _hints(connection.execute(_HINTS_OF_JOB, {"job_id": job_id}))
    return hints + hints_of_backfills(connection, waiting_backfill_ids_of(connection, job_id))


def hints_of_backfills(connection: Connection, backfill_ids: Collection[UUID]) -> list[DueHint]:
    """Of each backfill those of its runs whose turn it is."""
    return _hints(next_in_line(connection, backfill_ids))


def find_waiting(connection: Connection, run_ids: Collection[UUID]) -> list[tuple[Run, Job]]:
    """Those of the runs that wait, each with its job."""
    found = [run_of(row) for row in connection.execute(_WAITING, {"run_ids": list(run_ids)})]
    of_jobs = {run.job_id for run in found}
    known = {job.id: job for job in map(job_of, connection.execute(_JOBS, {"job_ids": list(of_jobs)}))} if found else {}
    return [(run, known[run.job_id]) for run in found if run.job_id in known]


def released_hints(connection: Connection, freed: Freed) -> list[DueHint]:
    """Hints of waiting runs for which there may be room now."""
    found: dict[UUID, DueHint] = {}
    for page, values in ((_HINTS_OF_JOBS, freed.job_ids), (_HINTS_OF_KEYS, freed.keys)):
        if values:
            hints = _hints(connection.execute(page, {"among": list(values), "limit": HINTS_PER_RELEASE}))
            found |= {hint.key: hint for hint in hints}
    lines = freed.backfill_ids.union(waiting_backfill_ids_for(connection, freed.keys))
    return [*found.values(), *hints_of_backfills(connection, lines)]


def start_waiting(
    connection: Connection, starts: Sequence[WaitingStart], ended: Collection[UUID], *, by: Claimant | None = None
) -> dict[UUID, Run]:
    """Start those for which there is room; returns them, and as they wait those for which there is none.

    A run that is missing there does not wait any more, or its job was edited meanwhile, or is held by somebody.
    """
    found = _start_waiting(connection, starts, ended)
    see_claimant(connection, by)
    return found


def _start_waiting(connection: Connection, starts: Sequence[WaitingStart], ended: Collection[UUID]) -> dict[UUID, Run]:
    asked = {start.run_id: start for start in starts}
    job_ids = sorted({start.job_id for start in starts})
    stored_jobs = {row.id: row for row in connection.execute(_JOBS_TO_START, {"job_ids": job_ids})}
    waiting = [run_of(row) for row in connection.execute(_TO_START, {"run_ids": list(asked)})]
    ours = [
        run
        for run in waiting
        if run.job_id in stored_jobs and stored_jobs[run.job_id].version == asked[run.id].job_version
    ]
    # Where both want the same concurrency key, no backfill takes it from a slot.
    ours.sort(key=lambda run: run.backfill_id is not None)
    room = Room(connection, ours, stored_jobs, ended)
    started = {run.id: _started(run, asked[run.id]) for run in ours if room.takes(run, asked[run.id].at)}
    if started:
        connection.execute(_START, [_start(run) for run in started.values()])
        # A backfill makes up for what was: when the job ran last, it does not change.
        told = [run for run in started.values() if run.backfill_id is None]
        if told:
            connection.execute(_STARTED, [{"job_id": run.job_id, "started_at": run.started_at} for run in told])
    return {run.id: started.get(run.id, run) for run in ours}


class Room:
    """What there is room for at this moment; each run that it takes makes it smaller."""

    def __init__(
        self, connection: Connection, waiting: Sequence[Run], stored_jobs: dict[UUID, AnyRow], ended: Collection[UUID]
    ) -> None:
        self._jobs = stored_jobs
        self._crowds = crowds_of(connection, [*{run.job_id for run in waiting}], ended)
        keys = {run.concurrency_key for run in waiting if run.concurrency_key is not None}
        self._loads = loads_of_keys(connection, keys, ended)
        self._backfills = loads_of_backfills(connection, {run.backfill_id for run in waiting if run.backfill_id})

    def takes(self, run: Run, now: datetime) -> bool:
        """Whether the run starts; if so, it is counted from here on."""
        job, crowd = self._jobs[run.job_id], self._crowds[run.job_id]
        rules = Rules.of(job)
        is_held = job.status is JobStatus.PAUSED and not run.is_request
        if is_held or not self._is_its_turn(run, rules, crowd, now):
            return False
        key = run.concurrency_key
        if key is not None:
            if self._loads[key] >= rules.concurrency_limit:
                return False
            self._loads[key] += 1
        self._count(run, crowd)
        return True

    def _is_its_turn(self, run: Run, rules: Rules, crowd: Crowd, now: datetime) -> bool:
        is_retry = run.state is RunState.RETRYING
        if is_retry and (run.is_stuck or run.due_at is None or run.due_at > now):
            return False
        if run.backfill_id is not None:
            going, concurrency = self._backfills.get(run.backfill_id, (0, 0))
            return is_retry or going < concurrency
        if rules.overlap_policy is OverlapPolicy.ALLOW:
            return True
        if is_retry:
            # It has kept its place. But another run may go beyond the limit: one that was forced, or that was let in by
            # a node that knew this one's attempt to be over, and died before that was on record.
            return len(crowd.going) < rules.max_instances
        has_room = len(crowd.going) + len(crowd.retrying) < rules.max_instances
        return has_room and crowd.queued[:1] == [run.id]

    def _count(self, run: Run, crowd: Crowd) -> None:
        if run.backfill_id is not None:
            going, concurrency = self._backfills.get(run.backfill_id, (0, 0))
            # One that is tried again has its place already.
            self._backfills[run.backfill_id] = (going + (run.state is RunState.QUEUED), concurrency)
            return
        for waiting in (crowd.queued, crowd.retrying):
            if run.id in waiting:
                waiting.remove(run.id)
        crowd.going.append(run.id)


def _started(run: Run, start: WaitingStart) -> Run:
    return run.started_again(node=start.node, claim_id=start.claim_id, at=start.at)


def _start(run: Run) -> dict[str, Any]:
    return {
        "run_id": run.id,
        "new_node": run.node,
        "new_claim": run.claim_id,
        "new_attempt": run.attempt,
        "at": run.started_at,
    }


def _hints(rows: Iterable[AnyRow]) -> list[DueHint]:
    return [
        DueHint(
            job_id=row.job_id,
            due_at=row.due_at or row.scheduled_for,
            version=0,
            run_id=row.id,
            function_name=row.function_name,
            priority=hint_priority(row.priority, row.backfill_id),
        )
        for row in rows
    ]
