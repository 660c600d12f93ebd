"""Who is going and who waits, of a job and of a concurrency key: what overlaps are decided by. Inside a transaction."""

from collections import Counter, defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from uuid import UUID

from sqlalchemy import Connection, bindparam, func, literal_column, or_, select, union_all

from engine.nouns import RunState
from store.batches import OneOf
from store.tables import IS_RUNNING, IS_WAITING, runs

_OF_JOBS = OneOf(runs.c.job_id, "job_ids")
# A backfill has a concurrency of its own.
_COUNTS = runs.c.backfill_id.is_(None)
_COLUMNS = (runs.c.job_id, runs.c.id, runs.c.state, runs.c.scheduled_for, runs.c.claim_id)
# Three questions, each with an index of its own, that nearly always find nothing.
_CROWD = union_all(
    select(*_COLUMNS).where(_OF_JOBS, IS_RUNNING, _COUNTS),
    select(*_COLUMNS).where(_OF_JOBS, IS_WAITING, _COUNTS),
    select(*_COLUMNS).where(_OF_JOBS, runs.c.is_stuck, runs.c.state != literal_column("'retrying'"), _COUNTS),
)
_HOLDING = select(runs.c.concurrency_key, runs.c.id, runs.c.claim_id).where(
    runs.c.concurrency_key.in_(bindparam("keys", expanding=True)), or_(IS_RUNNING, runs.c.is_stuck)
)
_LOCK_KEY = select(func.pg_advisory_xact_lock(func.hashtextextended(bindparam("key"), 0)))


@dataclass(slots=True)
class Crowd:
    """The runs of one job that are not over, the oldest first, by what they do.

    `going` are in a call, also if they timed out and did not return; `retrying` wait for another attempt; `queued` wait
    for their turn.
    """

    going: list[UUID] = field(default_factory=list)
    retrying: list[UUID] = field(default_factory=list)
    queued: list[UUID] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.going) + len(self.retrying) + len(self.queued)


def crowds_of(connection: Connection, job_ids: Sequence[UUID], ended: Collection[UUID]) -> Mapping[UUID, Crowd]:
    """Of each of the jobs. What runs by a claim in `ended` is over and only waits for its outcome's row.

    By the claim and not by the run, which may be going by another claim: elsewhere, after it was taken for lost here.
    """
    crowds: defaultdict[UUID, Crowd] = defaultdict(Crowd)
    if not job_ids:
        return crowds
    found = connection.execute(_CROWD, {"job_ids": list(job_ids)}).all()
    for job_id, run_id, state, _, claim_id in sorted(found, key=lambda row: (row.scheduled_for, row.id)):
        if state is RunState.RUNNING and claim_id in ended:
            continue
        crowd = crowds[job_id]
        match state:
            case RunState.QUEUED:
                crowd.queued.append(run_id)
            case RunState.RETRYING:
                crowd.retrying.append(run_id)
            case _:
                crowd.going.append(run_id)
    return crowds


def loads_of_keys(connection: Connection, keys: Collection[str], ended: Collection[UUID]) -> Counter[str]:
    """How many runs of each key are going; until the transaction ends, nobody else counts those keys."""
    if connection.dialect.name == "postgresql":
        # Two jobs of one key are two rows: each could be claimed while the other is, and both find room. SQLite has one
        # writer anyway. In one order, and after the rows of jobs, so that nobody waits in a circle.
        for key in sorted(keys):
            connection.execute(_LOCK_KEY, {"key": key})
    return Counter(key for key, _ in _holders(connection, keys, ended))


def holder_of_key(connection: Connection, key: str | None, ended: Collection[UUID]) -> UUID | None:
    """One of the runs of the key that are going."""
    holders = _holders(connection, [] if key is None else [key], ended)
    return next((run_id for _, run_id in holders), None)


def _holders(connection: Connection, keys: Collection[str], ended: Collection[UUID]) -> list[tuple[str, UUID]]:
    found = connection.execute(_HOLDING, {"keys": list(keys)}) if keys else ()
    return [(key, run_id) for key, run_id, claim_id in found if claim_id not in ended]
