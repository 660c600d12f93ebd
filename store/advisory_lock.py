"""The lock on a schema of a PostgreSQL server."""

from collections.abc import Collection
from contextlib import ExitStack, suppress
from threading import Lock
from uuid import UUID

from sqlalchemy import Connection, Engine, TextClause, text
from sqlalchemy.exc import DBAPIError

from engine.errors import StoreUnavailable
from store.failures import failures_translated
from store.revisions import VERSION_TABLE, newest_revisions
from store.watchdog import PING_SECONDS, Watchdog

# Earlier releases take the same lock, and always alone.
_LOCK_CLASS = int.from_bytes(b"SCHD")
_KEY = f"{_LOCK_CLASS}, hashtext(current_schema())"
_TRY_SHARED = text(f"SELECT pg_try_advisory_lock_shared({_KEY})")
_TRY_ALONE = text(f"SELECT pg_try_advisory_lock({_KEY})")
_LET_GO_SHARED = text(f"SELECT pg_advisory_unlock_shared({_KEY})")
_LET_GO_ALONE = text(f"SELECT pg_advisory_unlock({_KEY})")
_HOLDER = text(
    "SELECT application_name FROM pg_locks JOIN pg_stat_activity USING (pid) "  # noqa: S608 - a constant of ours
    f"WHERE locktype = 'advisory' AND granted AND classid = {_LOCK_CLASS} AND pid <> pg_backend_pid() "
    "AND database = (SELECT oid FROM pg_database WHERE datname = current_database()) "
    "AND objid = hashtext(current_schema())::bigint & 4294967295"
)
_REVISIONS = text(f"SELECT version_num FROM {VERSION_TABLE}")  # noqa: S608 - a constant of ours
_ALIVE = text("SELECT 1")


class AdvisoryLock:
    """The server's lock, held by a connection of its own for as long as that lives."""

    def __init__(self, database: Engine, watchdog: Watchdog) -> None:
        self._database = database
        self._watchdog = watchdog
        # Held over I/O, against law 5: a connection serves one thread at a time, and nobody who works comes here.
        self._guard = Lock()
        self._connection: Connection | None = None
        self._is_alone = False
        self._is_released = False

    def share(self) -> bool:
        with self._guard:
            return self._share()

    def take(self) -> bool:
        with self._guard:
            self._is_alone = self._says_yes(_TRY_ALONE)
            return self._is_alone

    def let_go(self) -> None:
        with self._guard:
            self._says_yes(_LET_GO_ALONE if self._is_alone else _LET_GO_SHARED)
            self._is_alone = False

    def holder(self) -> str:
        with self._guard:
            name = self._connection and self._connection.scalar(_HOLDER)
        return name or "unknown"

    def check(self) -> None:
        """Take the lock again if its connection broke; raises StoreUnavailable if that cannot be."""
        with self._guard:
            if self._is_released:
                raise StoreUnavailable("the store is closed")
            if not self._is_alive():
                self._drop_connection()
                with failures_translated():
                    self._share_again()

    def hold_node(self, node: UUID) -> None:
        """Nothing: that a connection is cut does not mean that its node is gone."""

    def gone_nodes(self, nodes: Collection[UUID]) -> set[UUID]:  # noqa: ARG002 - as the protocol has it
        """None, likewise."""
        return set()

    def release(self) -> None:
        """Let go for good: a check that comes later must not take the lock again."""
        with self._guard:
            self._is_released = True
            self._drop_connection()

    def _share(self) -> bool:
        # Whoever has it alone is given it shared as well.
        if not self._says_yes(_TRY_SHARED):
            return False
        if self._is_alone:
            self._says_yes(_LET_GO_ALONE)
            self._is_alone = False
        return True

    def _share_again(self) -> None:
        with ExitStack() as failed:
            # A connection that is kept without the lock would pass for one with it the next time.
            failed.callback(self._drop_connection)
            if not self._share():
                raise StoreUnavailable("another scheduler process took over the database: restart this one")
            if self._revisions() != newest_revisions():
                raise StoreUnavailable("the database was brought to another release meanwhile: restart the scheduler")
            failed.pop_all()

    def _says_yes(self, question: TextClause, within: float | None = None) -> bool:
        if self._connection is None:
            self._connection = self._database.connect()
        with self._watchdog.watching(self._connection.connection.dbapi_connection, within):
            return bool(self._connection.scalar(question))

    def _revisions(self) -> set[str]:
        return set() if self._connection is None else set(self._connection.scalars(_REVISIONS))

    def _is_alive(self) -> bool:
        try:
            return self._connection is not None and self._says_yes(_ALIVE, PING_SECONDS)
        except DBAPIError:
            return False

    def _drop_connection(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            # It may be broken, which closing it must not hide.
            with suppress(DBAPIError):
                connection.close()
