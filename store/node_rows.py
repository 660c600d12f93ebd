"""Nodes as rows: which process was there from when to when, and is. Inside the caller's transaction."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import (
    ColumnElement,
    Connection,
    and_,
    bindparam,
    exists,
    func,
    insert,
    literal_column,
    or_,
    select,
    update,
)

from engine.errors import NodeLost
from engine.nodes import Claimant, Load, NodeRecord, Presence, Role
from engine.nouns import Run
from engine.past import Uptime
from store.columns import AnyRow
from store.run_rows import run_of
from store.tables import IS_RUNNING, nodes, runs

_THIS = nodes.c.id == bindparam("node")
_IS_LIVE: ColumnElement[bool] = and_(nodes.c.stopped_at.is_(None), nodes.c.lost_at.is_(None))
_BEAT = {"beats": func.coalesce(nodes.c.beats, 0) + 1, "seen_at": bindparam("at")}
_SEEN = (
    update(nodes).where(_THIS, _IS_LIVE).values(**_BEAT, running_runs=bindparam("running"), permits=bindparam("room"))
)
# The fence: in the transaction of a claim, so that whoever declares the node lost comes before it or after it. As the
# last statement there: a claim may wait long for others, and the heartbeat of its node must not wait with it.
_CLAIMS = update(nodes).where(_THIS, _IS_LIVE).values(**_BEAT)
_STOPPED = update(nodes).where(_THIS).values(seen_at=bindparam("at"), stopped_at=bindparam("since"))
_LOSE = (
    update(nodes)
    .where(_THIS, _IS_LIVE, func.coalesce(nodes.c.beats, 0) == bindparam("seen_beats"))
    .values(lost_at=bindparam("at"))
)
_BACK = update(nodes).where(_THIS).values(**_BEAT, stopped_at=None, lost_at=None)
_HAS_RUNNING = select(exists().where(runs.c.node == bindparam("node"), IS_RUNNING))
_LOCK_THIS = select(nodes.c.id).where(_THIS).with_for_update()
_LIVE = select(nodes).where(_IS_LIVE).order_by(nodes.c.started_at, nodes.c.id)
_LATEST = select(nodes).order_by(_IS_LIVE.desc(), nodes.c.seen_at.desc(), nodes.c.id).limit(bindparam("limit"))
_LIVE_IDS = select(nodes.c.id).where(_IS_LIVE)
_ABANDONED = select(runs).where(IS_RUNNING, runs.c.node.not_in(_LIVE_IDS)).order_by(runs.c.id).limit(bindparam("limit"))
_RUNNING_ON = select(runs).where(IS_RUNNING, runs.c.node == bindparam("node")).order_by(runs.c.id)
_NO_LONGER_STUCK = and_(runs.c.is_stuck, runs.c.node.not_in(_LIVE_IDS))
_HAS_STUCK = select(exists().where(_NO_LONGER_STUCK))
_NOTHING_STUCK = update(runs).where(_NO_LONGER_STUCK).values(is_stuck=None)

_UPTIME = select(nodes.c.id, nodes.c.started_at, nodes.c.seen_at, nodes.c.stopped_at, _IS_LIVE.label("is_live"))
_RUNS_JOBS = or_(nodes.c.role.is_(None), nodes.c.role != literal_column("'api'"))
_BEFORE = (
    _UPTIME.where(nodes.c.started_at <= bindparam("at"), _RUNS_JOBS)
    .order_by(_IS_LIVE.desc(), func.coalesce(nodes.c.stopped_at, nodes.c.seen_at).desc())
    .limit(1)
)
_AFTER = _UPTIME.where(nodes.c.started_at > bindparam("at"), _RUNS_JOBS).order_by(nodes.c.started_at).limit(1)


def insert_node(connection: Connection, record: NodeRecord) -> None:
    connection.execute(insert(nodes), _row_of(record))


def see_node(connection: Connection, node: UUID, at: datetime, load: Load) -> bool:
    """False if it is not on record as live."""
    parameters = {"node": node, "at": at, "running": load.running_runs, "room": load.permits}
    return connection.execute(_SEEN, parameters).rowcount == 1


def see_claimant(connection: Connection, claimant: Claimant | None) -> None:
    """Raise NodeLost if the node that claims is not on record as live; None claims nothing."""
    if claimant is not None and connection.execute(_CLAIMS, {"node": claimant.node, "at": claimant.at}).rowcount != 1:
        raise NodeLost(claimant.node)


def stop_node(connection: Connection, node: UUID, at: datetime, since: datetime) -> bool:
    """False if it is not on record."""
    return connection.execute(_STOPPED, {"node": node, "at": at, "since": since}).rowcount == 1


def lose_node(connection: Connection, node: UUID, beats: int, at: datetime) -> bool:
    """False if it has moved since it was seen with so many beats, or is not live."""
    return connection.execute(_LOSE, {"node": node, "seen_beats": beats, "at": at}).rowcount == 1


def bring_back_node(connection: Connection, record: NodeRecord) -> bool:
    """Put the node on record as live again; False while a run of its life before is still on record as running."""
    # Locked: whoever loses its runs asks in the same breath whether it is live.
    found = connection.execute(_LOCK_THIS, {"node": record.id}).first()
    if connection.execute(_HAS_RUNNING, {"node": record.id}).scalar():
        return False
    if found is None:
        insert_node(connection, record)
    else:
        connection.execute(_BACK, {"node": record.id, "at": record.seen_at})
    return True


def live_nodes(connection: Connection) -> list[NodeRecord]:
    return [_record_of(row) for row in connection.execute(_LIVE)]


def latest_nodes(connection: Connection, limit: int) -> list[NodeRecord]:
    """The live ones, and then those that were seen last."""
    return [_record_of(row) for row in connection.execute(_LATEST, {"limit": limit})]


def abandoned_runs(connection: Connection, limit: int) -> list[Run]:
    """The first of the running runs, by their ids, whose node is not live."""
    return [run_of(row) for row in connection.execute(_ABANDONED, {"limit": limit})]


def running_runs(connection: Connection, node: UUID) -> list[Run]:
    return [run_of(row) for row in connection.execute(_RUNNING_ON, {"node": node})]


def has_stuck(connection: Connection) -> bool:
    """Whether there are any for `clear_stuck`."""
    return bool(connection.execute(_HAS_STUCK).scalar())


def clear_stuck(connection: Connection) -> int:
    """What stuck runs of nodes that are not live had called is gone with its process."""
    return connection.execute(_NOTHING_STUCK).rowcount


def find_uptimes(connection: Connection, at: datetime) -> list[Uptime]:
    """That of the node which came at or before the instant and was there for longest, and of the first one after it."""
    return [Uptime(*row) for statement in (_BEFORE, _AFTER) for row in connection.execute(statement, {"at": at})]


def _row_of(record: NodeRecord) -> dict[str, object]:
    return {
        "id": record.id,
        "started_at": record.started_at,
        "seen_at": record.seen_at,
        "stopped_at": record.stopped_at,
        "lost_at": record.lost_at,
        "beats": record.beats,
        "role": record.presence.role,
        "version": record.presence.version,
        "host": record.presence.host,
        "process_id": record.presence.process_id,
        "running_runs": record.load.running_runs,
        "permits": record.load.permits,
    }


def _record_of(row: AnyRow) -> NodeRecord:
    # Those of earlier releases say less of themselves.
    presence = Presence(row.role or Role.ALL, row.version or "", row.host or "", row.process_id or 0)
    return NodeRecord(
        id=row.id,
        presence=presence,
        started_at=row.started_at,
        seen_at=row.seen_at,
        beats=row.beats or 0,
        load=Load(row.running_runs or 0, row.permits or 0),
        stopped_at=row.stopped_at,
        lost_at=row.lost_at,
    )
