"""Claims: a job moves on to its next slot and the run of the slot it leaves appears, together (law 3)."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, Interval, bindparam, func, literal, select, update

from engine.errors import JobNotFound
from engine.nodes import Claimant
from engine.nouns import Advance, JobStatus, Run, RunState, Trigger
from engine.reason_codes import ReasonCode, superseded_reason
from store.batches import BatchUpdate, OneOf
from store.columns import AnyRow
from store.crowds import Crowd, crowds_of, holder_of_key, loads_of_keys
from store.json_rows import RowsInOneStep
from store.node_rows import see_claimant
from store.outcomes import NOT_COUNTED, lock_jobs
from store.overlaps import Rules, Verdict, decide
from store.run_rows import insert_runs
from store.tables import IS_RUNNING, IS_SCHEDULED, IS_WAITING, jobs, runs

RULES = (jobs.c.overlap_policy, jobs.c.max_instances, jobs.c.concurrency_key, jobs.c.concurrency_limit)
"""The columns of a job that decide on its overlaps."""

_MOVABLE = RowsInOneStep(
    [jobs.c.id, jobs.c.version, jobs.c.status, jobs.c.last_run_at, jobs.c.run_count, jobs.c.max_runs, *RULES],
    OneOf(jobs.c.id, "job_ids"),
    IS_SCHEDULED,
    # A job that another node is claiming is left to it. On SQLite the write lock is held already.
    locking=lambda query: query.with_for_update(skip_locked=True),
)
EARLY_SECONDS = 0.005
"""How early by the database's clock a claim may be: what a node's idea of that clock may be wrong by."""

# On PostgreSQL that clock decides, whatever the node that claims takes the time for. A slot that is claimed ahead
# starts by the clock of its node: then that one must not be ahead of the database's.
_MOVABLE_IF_DUE = _MOVABLE.by_rows.where(
    func.least(jobs.c.next_run_at, bindparam("claimed_at", type_=jobs.c.next_run_at.type))
    <= func.clock_timestamp() + literal(timedelta(seconds=EARLY_SECONDS), Interval)
)
_MOVE = BatchUpdate(
    jobs,
    keys=[jobs.c.id, jobs.c.version],  # law 1
    sets=[jobs.c.status, jobs.c.next_run_at, jobs.c.last_run_at, jobs.c.last_scheduled_for, jobs.c.run_count],
    also='version = "jobs".version + 1',
)
_LOCK = select(jobs.c.id, *RULES).where(jobs.c.id == bindparam("job_id")).with_for_update()
_STARTED = update(jobs).where(jobs.c.id == bindparam("job_id")).values(last_run_at=bindparam("started_at"))
_THESE = runs.c.id.in_(bindparam("run_ids", expanding=True))
_ASK_TO_END = update(runs).where(_THESE, IS_RUNNING).values(cancel_reason=bindparam("why"))
_END_ALL_WAITING = (
    update(runs)
    .where(IS_WAITING)
    .values(
        state=bindparam("ended_as"),
        finished_at=bindparam("at"),
        due_at=None,
        reason=bindparam("why"),
        reason_code=bindparam("code"),
    )
)
_END_WAITING = _END_ALL_WAITING.where(_THESE)
_JOBS_OF = select(runs.c.job_id).where(_THESE)
_NEVER_TO_START = (
    select(runs.c.job_id)
    .where(_THESE, runs.c.state == RunState.QUEUED, runs.c.trigger == Trigger.SCHEDULE)
    .order_by(runs.c.id)
    .with_for_update()
)


def advance_jobs(
    connection: Connection, advances: Sequence[Advance], ended: Collection[UUID], *, by: Claimant | None = None
) -> dict[UUID, Run | None]:
    """Apply the advances whose job is still at its version; returns what was recorded for each of those."""
    recorded = _advance(connection, advances, ended, by)
    see_claimant(connection, by)
    return recorded


def _advance(
    connection: Connection, advances: Sequence[Advance], ended: Collection[UUID], by: Claimant | None
) -> dict[UUID, Run | None]:
    asked = {advance.job_id: advance for advance in advances}
    stored = {row.id: row for row in _movable(connection, list(asked), by)}
    moves = [asked[job_id] for job_id, row in stored.items() if row.version == asked[job_id].expected_version]
    if not moves:
        return {}
    verdicts = _verdicts(connection, moves, stored, ended)
    moves = [advance for advance in moves if advance.job_id in verdicts]
    if not moves:
        return {}
    recorded = {job_id: None if verdict is None else verdict.run for job_id, verdict in verdicts.items()}
    _MOVE.execute(connection, [_move(advance, stored[advance.job_id], verdicts[advance.job_id]) for advance in moves])
    insert_runs(connection, [*recorded.values(), *(row for advance in moves for row in advance.rows)])
    return recorded


def add_manual_run(
    connection: Connection,
    run: Run,
    ended: Collection[UUID],
    *,
    by: Claimant | None = None,
    is_forced: bool = False,
) -> UUID | None:
    """Keep a manual run unless a run of the job is in the way, which is returned; raises JobNotFound."""
    in_the_way = _add_manual_run(connection, run, ended, is_forced=is_forced)
    see_claimant(connection, by)
    return in_the_way


def _add_manual_run(connection: Connection, run: Run, ended: Collection[UUID], *, is_forced: bool) -> UUID | None:
    job = connection.execute(_LOCK, {"job_id": run.job_id}).first()
    if job is None:
        raise JobNotFound
    if not is_forced:
        in_the_way = _in_the_way(connection, run, Rules.of(job), ended)
        if in_the_way is not None:
            return in_the_way
    insert_runs(connection, [run])
    if run.started_at is not None:
        connection.execute(_STARTED, {"job_id": run.job_id, "started_at": run.started_at})
    return None


def end_waiting(
    connection: Connection,
    run_ids: Collection[UUID],
    state: RunState,
    *,
    at: datetime,
    why: str,
    code: ReasonCode | None = None,
) -> int:
    """End those of the runs that wait; returns how many did. A slot that never started does not count as a run."""
    if not run_ids:
        return 0
    lock_jobs(connection, connection.execute(_JOBS_OF, {"run_ids": list(run_ids)}).scalars().all())
    never_to_start = connection.execute(_NEVER_TO_START, {"run_ids": list(run_ids)}).scalars().all()
    ended = _end_waiting(connection, run_ids, state, at=at, why=why, code=code)
    if never_to_start:
        connection.execute(NOT_COUNTED, [{"job_id": job_id} for job_id in never_to_start])
    return ended


def end_all_waiting(connection: Connection, job_id: UUID | None, *, at: datetime) -> None:
    """Cancel what waits of a job that is deleted; None stands for all jobs."""
    statement = _END_ALL_WAITING if job_id is None else _END_ALL_WAITING.where(runs.c.job_id == job_id)
    connection.execute(
        statement, {"ended_as": RunState.CANCELLED, "at": at, "why": "the job was deleted", "code": ReasonCode.DELETED}
    )


def ask_to_end(connection: Connection, run_ids: Collection[UUID], *, why: str) -> int:
    """Write down of those of the runs that are running that they are to end; returns how many are."""
    parameters = {"run_ids": list(run_ids), "why": why}
    return connection.execute(_ASK_TO_END, parameters).rowcount if run_ids else 0


def _movable(connection: Connection, job_ids: list[UUID], by: Claimant | None) -> Iterable[AnyRow]:
    if by is not None and connection.dialect.name == "postgresql":
        return connection.execute(_MOVABLE_IF_DUE, {"job_ids": job_ids, "claimed_at": by.at})
    return _MOVABLE.read(connection, {"job_ids": job_ids})


def _verdicts(
    connection: Connection, moves: Sequence[Advance], stored: dict[UUID, AnyRow], ended: Collection[UUID]
) -> dict[UUID, Verdict | None]:
    claimed = [advance.job_id for advance in moves if advance.run and advance.run.state is RunState.RUNNING]
    rules = {job_id: Rules.of(stored[job_id]) for job_id in claimed}
    crowds = crowds_of(connection, claimed, ended)
    keys = {each.concurrency_key for each in rules.values() if each.concurrency_key is not None}
    loads = loads_of_keys(connection, keys, ended)
    verdicts: dict[UUID, Verdict | None] = {}
    for advance in moves:
        run = advance.run
        if run is None or advance.job_id not in rules:
            verdicts[advance.job_id] = None if run is None else Verdict(run)
            continue
        crowd = crowds[advance.job_id]
        verdict = decide(run, rules[advance.job_id], crowd, loads, is_caught_up=bool(advance.queued))
        if advance.is_ahead and verdict.run.state is not RunState.RUNNING:
            continue
        verdicts[advance.job_id] = verdict
        if verdict.supersedes:
            _supersede(connection, crowd, by=verdict.run)
    return verdicts


def _end_waiting(
    connection: Connection,
    run_ids: Collection[UUID],
    state: RunState,
    *,
    at: datetime,
    why: str,
    code: ReasonCode | None,
) -> int:
    parameters = {"run_ids": list(run_ids), "ended_as": state, "at": at, "why": why, "code": code}
    return connection.execute(_END_WAITING, parameters).rowcount if run_ids else 0


def _supersede(connection: Connection, crowd: Crowd, *, by: Run) -> None:
    """End what is not over of the job: at once if it only waits."""
    why, at = superseded_reason(by.id), by.due_at or by.scheduled_for
    # What they had counted, the move of the job takes back.
    _end_waiting(connection, crowd.queued, RunState.SKIPPED, at=at, why=why, code=ReasonCode.OVERLAP)
    _end_waiting(connection, crowd.retrying, RunState.CANCELLED, at=at, why=why, code=None)
    ask_to_end(connection, crowd.going, why=why)


def _in_the_way(connection: Connection, run: Run, rules: Rules, ended: Collection[UUID]) -> UUID | None:
    """A manual run does not wait for others: whatever would make a slot skip, queue or cancel is in its way."""
    # One that is to wait for a node all the same is judged as if it started.
    run = replace(run, state=RunState.RUNNING)
    crowd = crowds_of(connection, [run.job_id], ended)[run.job_id]
    loads = loads_of_keys(connection, {rules.concurrency_key} if rules.concurrency_key else set(), ended)
    if decide(run, rules, crowd, loads, is_caught_up=False).run.state is RunState.RUNNING:
        return None
    others = [*crowd.going, *crowd.retrying, *crowd.queued]
    return others[0] if others else holder_of_key(connection, rules.concurrency_key, ended)


def _move(advance: Advance, stored: AnyRow, verdict: Verdict | None) -> tuple[Any, ...]:
    """The values of _MOVE."""
    recorded = None if verdict is None else verdict.run
    is_started = recorded is not None and recorded.state is RunState.RUNNING
    started = sum(run is not None and run.state in _TO_RUN for run in (recorded, *advance.queued))
    run_count = max(stored.run_count + started - (0 if verdict is None else verdict.never_to_start), 0)
    # The row decides and not the engine, which may have made its plan while a start was taken back (store.outcomes).
    is_last = bool(started) and stored.max_runs is not None and run_count >= stored.max_runs
    next_run_at = None if is_last else advance.next_run_at
    return (
        advance.job_id,
        advance.expected_version,
        JobStatus.COMPLETED if next_run_at is None else stored.status,
        next_run_at,
        recorded.started_at if recorded is not None and is_started else stored.last_run_at,
        advance.last_scheduled_for,
        run_count,
    )


_TO_RUN = frozenset({RunState.RUNNING, RunState.QUEUED})
"""What counts for `max_runs`: a run that is going, or is to go."""
