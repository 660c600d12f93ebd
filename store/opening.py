"""Opening a database: refuse what cannot work, lock, migrate, and only then open for work."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Protocol

from alembic.util import CommandError
from sqlalchemy import URL, Engine, make_url
from sqlalchemy.exc import ArgumentError, ProgrammingError

from engine.errors import StoreRefused
from store.failures import failures_translated
from store.locks import HeldLock
from store.postgresql import PostgresqlBackend
from store.revisions import upgrade
from store.sql_store import SqlStore
from store.sqlite import SqliteBackend

LOCK_WAIT_SECONDS = 5.0
"""How long a start waits for the process before it to stop."""

_SQLITE = {"sqlite", "sqlite+pysqlite"}
_POSTGRESQL = {"postgresql", "postgresql+psycopg", "postgresql+psycopg2"}


class Backend(Protocol):
    """What differs between the databases before the store's verbs can run on them."""

    def refuse_unusable(self) -> None:
        """Raise StoreRefused if what is there cannot be used; touches nothing."""
        ...

    def take_lock(self, wait_seconds: float) -> HeldLock:
        """Become the only scheduler on this database; raises StoreRefused if another one is."""
        ...

    def writing_database(self) -> Engine: ...

    def reading_database(self) -> Engine: ...


def open_store(url: str, *, lock_wait_seconds: float = LOCK_WAIT_SECONDS) -> SqlStore:
    """Open the database for this process alone, migrated to this release.

    Raises StoreRefused if it cannot be used or is in use after `lock_wait_seconds`, StoreUnavailable if it does not
    answer. Whatever was opened on the way is closed again then.
    """
    backend = _backend(url)
    with ExitStack() as opened, _failures_explained():
        lock, writing = _prepare(backend, opened, lock_wait_seconds)
        reading = backend.reading_database()
        opened.callback(reading.dispose)
        reading.connect().close()
        lock.check()
        return SqlStore(writing, reading, lock=lock, close=opened.pop_all().close)


def migrate_database(url: str, *, lock_wait_seconds: float = LOCK_WAIT_SECONDS) -> None:
    """Bring the database to this release and let go of it. Raises what open_store raises."""
    with ExitStack() as opened, _failures_explained():
        _prepare(_backend(url), opened, lock_wait_seconds)


def _prepare(backend: Backend, opened: ExitStack, lock_wait_seconds: float) -> tuple[HeldLock, Engine]:
    backend.refuse_unusable()
    lock = backend.take_lock(lock_wait_seconds)
    opened.callback(lock.release)
    # The process that held the lock until now may have been a newer release, and migrated.
    backend.refuse_unusable()
    database = backend.writing_database()
    opened.callback(database.dispose)
    with database.begin() as connection:
        upgrade(connection)
    return lock, database


@contextmanager
def _failures_explained() -> Iterator[None]:
    try:
        with failures_translated():
            yield
    except CommandError as error:
        raise StoreRefused(f"the database cannot be brought to this release: {error}") from error
    except ProgrammingError as error:
        raise StoreRefused(f"the database refuses this user or this release: {str(error.orig).strip()}") from error


def _backend(text: str) -> Backend:
    try:
        url = make_url(text)
    except ArgumentError as error:
        raise StoreRefused("DATABASE_URL is no database URL; give one like sqlite:///./scheduler.db") from error
    if url.drivername in _SQLITE:
        return SqliteBackend(_sqlite_path(url))
    if url.drivername in _POSTGRESQL:
        return PostgresqlBackend(url)
    raise StoreRefused(
        f"DATABASE_URL names {url.drivername}, which is not supported; give sqlite:///path, "
        "postgresql+psycopg://... or postgresql+psycopg2://..."
    )


def _sqlite_path(url: URL) -> Path:
    path = url.database or ""
    if path in {"", ":memory:"} or path.startswith("file:"):
        raise StoreRefused(
            f"DATABASE_URL {url} does not name a file on a disk, where jobs outlive the process; give the path of one, "
            "as in sqlite:///./scheduler.db"
        )
    if url.query:
        raise StoreRefused(f"DATABASE_URL {url} has options, and SQLite takes none here; leave out what follows the ?")
    # Two names for one file must find one lock, so links are followed here.
    return Path(path).resolve()
