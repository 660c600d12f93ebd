"""Nodes as rows: which process was there from when to when. Inside the caller's transaction."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import Connection, bindparam, insert, select, update

from engine.past import Uptime
from store.tables import nodes

_THIS = nodes.c.id == bindparam("node")
_SEEN = update(nodes).where(_THIS).values(seen_at=bindparam("at"))
_STOPPED = update(nodes).where(_THIS).values(seen_at=bindparam("at"), stopped_at=bindparam("since"))
_COLUMNS = select(nodes.c.id, nodes.c.started_at, nodes.c.seen_at, nodes.c.stopped_at)
_BEFORE = _COLUMNS.where(nodes.c.started_at <= bindparam("at")).order_by(nodes.c.started_at.desc()).limit(1)
_AFTER = _COLUMNS.where(nodes.c.started_at > bindparam("at")).order_by(nodes.c.started_at).limit(1)


def insert_node(connection: Connection, node: UUID, at: datetime) -> None:
    connection.execute(insert(nodes), {"id": node, "started_at": at, "seen_at": at, "stopped_at": None})


def see_node(connection: Connection, node: UUID, at: datetime) -> bool:
    """False if it is not on record."""
    return connection.execute(_SEEN, {"node": node, "at": at}).rowcount == 1


def stop_node(connection: Connection, node: UUID, at: datetime, since: datetime) -> bool:
    """False if it is not on record."""
    return connection.execute(_STOPPED, {"node": node, "at": at, "since": since}).rowcount == 1


def find_uptimes(connection: Connection, at: datetime) -> list[Uptime]:
    """That of the last node that came at or before the instant, and of the first one after it."""
    return [Uptime(*row) for statement in (_BEFORE, _AFTER) for row in connection.execute(statement, {"at": at})]
