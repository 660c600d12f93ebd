"""The clock of the database, where it has one that decides for all nodes."""

from datetime import UTC, datetime

from sqlalchemy import Connection, func, select

_NOW = select(func.clock_timestamp())


def read_clock(connection: Connection) -> datetime | None:
    """The instant at which the server answers; None on SQLite, whose nodes have the clock of one host."""
    if connection.dialect.name != "postgresql":
        return None
    now: datetime = connection.execute(_NOW).scalar_one()
    return now.astimezone(UTC)
