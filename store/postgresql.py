"""PostgreSQL: connections that cannot hang for ever, and what a schema must be before it is used."""

import os
import select
import socket
from contextlib import suppress
from typing import Any

from sqlalchemy import URL, Engine, NullPool, create_engine, text

from engine.errors import StoreRefused
from store.advisory_lock import AdvisoryLock
from store.postgresql_changes import PostgresqlChanges
from store.revisions import VERSION_TABLE, refuse_foreign
from store.tables import metadata
from store.watchdog import Watchdog

WRITERS = 4
"""Connections that write: timer, recorder, and two for requests."""

READERS = 8
"""Connections that read, for requests; more threads of the API wait for one."""

POOL_WAIT_SECONDS = 10.0
"""How long a thread waits for a connection; longer than the lock_timeout below, so that the cause is reported."""

CALL_SECONDS = 10.0
"""How long a transaction may be in the database before its connection is cut."""

# A silent network cut or a frozen server hangs a query for ever otherwise. All of these are libpq's own words, which
# both drivers hand on. They come before CALL_SECONDS where the kernel or the server can tell.
_LIBPQ = {
    "connect_timeout": 5,
    "keepalives": 1,
    "keepalives_idle": 4,
    "keepalives_interval": 2,
    "keepalives_count": 2,
    "tcp_user_timeout": 8_000,
}
# The last three are for the server, which has to find out itself that a node is frozen, or its host gone: such a one
# keeps rows from the others, and migrations waiting.
_SETTINGS = {
    "timezone": "UTC",
    "default_transaction_isolation": r"read\ committed",
    "statement_timeout": "8s",
    "lock_timeout": "5s",
    "idle_in_transaction_session_timeout": "8s",
    "tcp_keepalives_idle": "30",
    "tcp_keepalives_interval": "10",
    "tcp_keepalives_count": "3",
}

_TABLES = text(
    "SELECT relname FROM pg_class "
    "WHERE relnamespace = to_regnamespace(quote_ident(current_schema())) AND relkind IN ('r', 'p', 'v', 'm', 'f')"
)
_SCHEMA = text("SELECT current_schema()")
_REVISIONS = text(f"SELECT version_num FROM {VERSION_TABLE}")  # noqa: S608 - a constant of ours


class PostgresqlBackend:
    """A schema of a database on a PostgreSQL server: the first one of the connection's search path."""

    shares_commits = False  # the server does that by itself, for transactions of several connections

    def __init__(self, url: URL) -> None:
        # Without a driver it means psycopg 3, whatever SQLAlchemy takes it for.
        self._url = url.set(drivername="postgresql+psycopg") if url.drivername == "postgresql" else url
        self._one_by_one = _database(self._url, poolclass=NullPool, isolation_level="AUTOCOMMIT")
        self.place = f'the database "{url.database}" on {url.host or url.query.get("host") or "this host"}'
        self.watchdog = Watchdog(abort=_shut_down, seconds=CALL_SECONDS, is_quiet=_is_quiet)
        self.watchdog.watch_connecting(self._one_by_one)
        self.lock = AdvisoryLock(self._one_by_one, self.watchdog)
        self.changes = PostgresqlChanges(self._one_by_one, self.watchdog, check=self.lock.check)

    def revisions(self) -> set[str]:
        with self._one_by_one.connect() as connection, self.watchdog.watching(connection.connection.dbapi_connection):
            if connection.scalar(_SCHEMA) is None:
                raise StoreRefused(f"{self.place} has no schema in this user's search path; create one")
            tables = set(connection.scalars(_TABLES))
            revisions = set(connection.scalars(_REVISIONS)) if VERSION_TABLE in tables else set()
        # Other tables may well live in the same schema, as long as they do not have the names of ours.
        refuse_foreign(self.place, tables=tables & set(metadata.tables), revisions=revisions)
        return revisions

    def writing_database(self) -> Engine:
        return _database(self._url, **_pool(WRITERS))

    def reading_database(self) -> Engine:
        # Each read is one statement, which is a transaction by itself and saves two round trips.
        return _database(self._url, **_pool(READERS), isolation_level="AUTOCOMMIT")

    def prompt_database(self) -> None:
        # Whatever is asked of a server is waited for.
        return None


def _pool(size: int) -> dict[str, Any]:
    return {"pool_size": size, "max_overflow": 0, "pool_timeout": POOL_WAIT_SECONDS}


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


def _shut_down(connection: Any) -> None:
    """Cut the connection of a driver under the call that another thread is in, which then fails."""
    # The driver keeps its own descriptor, so that the number is not another file's before it gives up.
    with socket.socket(fileno=os.dup(_descriptor(connection))) as shared:
        shared.shutdown(socket.SHUT_RDWR)


def _is_quiet(connection: Any) -> bool:
    """Whether the server has neither said anything on an idle connection nor closed it. Asks the kernel only."""
    readable = select.poll()
    # One that is closed has no descriptor, and each driver an error of its own for that.
    with suppress(Exception):
        readable.register(_descriptor(connection), select.POLLIN)
        return not readable.poll(0)
    return False


def _descriptor(connection: Any) -> int:
    """Both drivers', of the connection's socket."""
    number = connection.pgconn.socket if hasattr(connection, "pgconn") else connection.fileno()
    return int(number)
