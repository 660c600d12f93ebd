"""PostgreSQL: connections that cannot hang for ever, and an advisory lock for the one scheduler of a schema."""

import os
from threading import Lock
from typing import Any

from sqlalchemy import URL, Connection, Engine, NullPool, create_engine, text
from sqlalchemy.exc import DBAPIError

from engine.errors import StoreRefused, StoreUnavailable
from store.locks import succeeds_within
from store.revisions import VERSION_TABLE, refuse_foreign
from store.tables import metadata

WRITERS = 4
"""Connections that write: timer, recorder, and two for requests."""

READERS = 8
"""Connections that read, for requests; more threads of the API wait for one."""

POOL_WAIT_SECONDS = 10.0
"""How long a thread waits for a connection; longer than the lock_timeout below, so that the cause is reported."""

# A silent network cut or a frozen server hangs a query for ever otherwise. All of these are libpq's own words, which
# both drivers hand on.
_LIBPQ = {
    "connect_timeout": 5,
    "keepalives": 1,
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 15_000,
}
_SETTINGS = {
    "timezone": "UTC",
    "default_transaction_isolation": r"read\ committed",
    "statement_timeout": "30s",
    "lock_timeout": "5s",
    "idle_in_transaction_session_timeout": "30s",
}
_LOCK_CLASS = int.from_bytes(b"SCHD")

_TABLES = text(
    "SELECT relname FROM pg_class "
    "WHERE relnamespace = to_regnamespace(quote_ident(current_schema())) AND relkind IN ('r', 'p', 'v', 'm', 'f')"
)
_SCHEMA = text("SELECT current_schema()")
_REVISIONS = text(f"SELECT version_num FROM {VERSION_TABLE}")  # noqa: S608 - a constant of ours
_TRY_LOCK = text(f"SELECT pg_try_advisory_lock({_LOCK_CLASS}, hashtext(current_schema()))")
_HOLDER = text(
    "SELECT application_name FROM pg_locks JOIN pg_stat_activity USING (pid) "  # noqa: S608 - a constant of ours
    f"WHERE locktype = 'advisory' AND granted AND classid = {_LOCK_CLASS} "
    "AND database = (SELECT oid FROM pg_database WHERE datname = current_database()) "
    "AND objid = hashtext(current_schema())::bigint & 4294967295"
)
_ALIVE = text("SELECT 1")


class PostgresqlBackend:
    """A schema of a database on a PostgreSQL server: the first one of the connection's search path."""

    def __init__(self, url: URL) -> None:
        self._url = url
        self._one_by_one = _database(url, poolclass=NullPool, isolation_level="AUTOCOMMIT")
        self._place = f'the database "{url.database}" on {url.host or url.query.get("host") or "this host"}'

    def refuse_unusable(self) -> None:
        with self._one_by_one.connect() as connection:
            if connection.scalar(_SCHEMA) is None:
                raise StoreRefused(f"{self._place} has no schema in this user's search path; create one")
            tables = set(connection.scalars(_TABLES))
            revisions = set(connection.scalars(_REVISIONS)) if VERSION_TABLE in tables else set()
        # Other tables may well live in the same schema, as long as they do not have the names of ours.
        refuse_foreign(self._place, tables=tables & set(metadata.tables), revisions=revisions)

    def take_lock(self, wait_seconds: float) -> "AdvisoryLock":
        lock = AdvisoryLock(self._one_by_one)
        if succeeds_within(wait_seconds, lock.take):
            return lock
        holder = lock.holder()
        lock.release()
        raise StoreRefused(
            f"another scheduler process ({holder}) is running on {self._place}; a schema takes one process at a time. "
            "Stop that one first, or give this one a database of its own"
        )

    def writing_database(self) -> Engine:
        return _database(self._url, **_pool(WRITERS))

    def reading_database(self) -> Engine:
        # Each read is one statement, which is a transaction by itself and saves two round trips.
        return _database(self._url, **_pool(READERS), isolation_level="AUTOCOMMIT")


class AdvisoryLock:
    """The server's lock for one scheduler, held by a connection of its own for as long as that lives."""

    def __init__(self, database: Engine) -> None:
        self._database = database
        self._guard = Lock()
        self._connection: Connection | None = None
        self._is_released = False

    def take(self) -> bool:
        if self._connection is None:
            self._connection = self._database.connect()
        return bool(self._connection.scalar(_TRY_LOCK))

    def holder(self) -> str:
        """Who has the lock, as far as the server tells."""
        name = self._connection.scalar(_HOLDER) if self._connection is not None else None
        return name or "unknown"

    def check(self) -> None:
        """Take the lock again if its connection broke; raises StoreUnavailable if another process was faster."""
        # Held over I/O, against law 5: a connection serves one thread at a time, and only readiness comes here.
        with self._guard:
            if self._is_released:
                raise StoreUnavailable("the store is closed")
            if self._connection is None or not self._is_alive(self._connection):
                self._drop_connection()
                if not self.take():
                    # A connection that is kept without the lock would pass for one with it the next time.
                    self._drop_connection()
                    raise StoreUnavailable("another scheduler process took over the database: restart this one")

    def release(self) -> None:
        """Let go for good: a check that comes later must not take the lock again."""
        with self._guard:
            self._is_released = True
            self._drop_connection()

    def _drop_connection(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    def _is_alive(self, connection: Connection) -> bool:
        try:
            connection.execute(_ALIVE)
        except DBAPIError:
            return False
        return True


def _pool(size: int) -> dict[str, Any]:
    return {"pool_size": size, "max_overflow": 0, "pool_timeout": POOL_WAIT_SECONDS, "pool_pre_ping": True}


def _database(url: URL, **options: Any) -> Engine:
    # psycopg2 would send an UPDATE of many rows one by one.
    batches = {"executemany_mode": "values_plus_batch"} if url.drivername.endswith("psycopg2") else {}
    try:
        return create_engine(url, connect_args=_connect_arguments(url), hide_parameters=True, **batches, **options)
    except ModuleNotFoundError as error:
        raise StoreRefused(f"DATABASE_URL needs the package {error.name}, which is not installed") from error


def _connect_arguments(url: URL) -> dict[str, str | int]:
    """What the URL says itself comes last, or alone, and wins."""
    ours = " ".join(f"-c {name}={value}" for name, value in _SETTINGS.items())
    theirs = url.query.get("options", "")
    defaults: dict[str, str | int] = {**_LIBPQ, "application_name": f"scheduler pid {os.getpid()}"}
    chosen = {name: value for name, value in defaults.items() if name not in url.query}
    return chosen | {"options": f"{ours} {theirs if isinstance(theirs, str) else ' '.join(theirs)}".strip()}
