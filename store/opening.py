"""Opening a database: refuse what cannot work, migrate while alone with it, and only then open it for work."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Protocol

from alembic.util import CommandError
from sqlalchemy import URL, Engine, make_url
from sqlalchemy.exc import ArgumentError, ProgrammingError

from engine.errors import StoreRefused
from store.changes import Changes, ChangeWatch
from store.failures import failures_translated
from store.locks import DatabaseLock, succeeds_within
from store.postgresql import PostgresqlBackend
from store.prompt_reads import PromptReads
from store.revisions import newest_revisions, upgrade
from store.sql_store import SqlStore
from store.sqlite import SqliteBackend
from store.transactions import Transactions
from store.watchdog import Watchdog

LOCK_WAIT_SECONDS = 5.0
"""How long a start waits for a process that does not share the database: to stop, or to have migrated it."""

_SQLITE = {"sqlite", "sqlite+pysqlite"}
_POSTGRESQL = {"postgresql", "postgresql+psycopg", "postgresql+psycopg2"}


class Backend(Protocol):
    """What differs between the databases before the store's verbs can run on them."""

    watchdog: Watchdog

    @property
    def shares_commits(self) -> bool:
        """Whether small transactions that come at the same time are best committed together."""
        ...

    @property
    def place(self) -> str:
        """Where it is, for messages."""
        ...

    @property
    def lock(self) -> DatabaseLock: ...

    @property
    def changes(self) -> Changes: ...

    def revisions(self) -> set[str]:
        """Those that the database is at. Raises StoreRefused if what is there cannot be used; touches nothing."""
        ...

    def writing_database(self) -> Engine: ...

    def reading_database(self) -> Engine: ...

    def prompt_database(self) -> Engine | None:
        """For reads that never wait; None where there are none."""
        ...


def open_store(url: str, *, lock_wait_seconds: float = LOCK_WAIT_SECONDS) -> SqlStore:
    """Open the database, migrated to this release, together with other nodes of this release.

    Raises StoreRefused if it cannot be used or if a process that does not share it is there after `lock_wait_seconds`,
    StoreUnavailable if it does not answer. Whatever was opened on the way is closed again then.
    """
    with ExitStack() as opened, _failures_explained():
        backend = _prepared(url, opened, lock_wait_seconds)
        transactions = Transactions(
            _opened(backend.writing_database(), backend, opened),
            _opened(backend.reading_database(), backend, opened),
            prompt_reads=_prompt_reads(backend, opened),
            announce=backend.changes.announce,
            shares_commits=backend.shares_commits,
        )
        backend.lock.check()
        watch = ChangeWatch(backend.changes)
        opened.callback(watch.close)
        return SqlStore(transactions, lock=backend.lock, watch=watch, close=opened.pop_all().close)


def migrate_database(url: str, *, lock_wait_seconds: float = LOCK_WAIT_SECONDS) -> None:
    """Bring the database to this release and let go of it. Raises what open_store raises."""
    with ExitStack() as opened, _failures_explained():
        _prepared(url, opened, lock_wait_seconds)


def _prepared(url: str, opened: ExitStack, lock_wait_seconds: float) -> Backend:
    """At this release, and the lock shared."""
    backend = _backend(url)
    backend.watchdog.start()
    opened.callback(backend.watchdog.stop)
    # Before the lock, which on SQLite makes a file.
    backend.revisions()
    opened.callback(backend.lock.release)
    entrance = Entrance(backend)
    if not succeeds_within(lock_wait_seconds, entrance.enter):
        raise entrance.refusal()
    return backend


class Entrance:
    """The way to a shared lock on a database of this release; several processes may be on it at once."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self._needs_migration = False

    def enter(self) -> bool:
        """Migrate if that is needed; False if others are in the way, who may be so for a moment only."""
        lock = self._backend.lock
        if not lock.share():
            self._needs_migration = False
            return False
        if self._is_current():
            return True
        # Whoever else finds it needed lets go as well, and one of all is then alone for long enough.
        self._needs_migration = True
        lock.let_go()
        return lock.take() and self._migrate() and lock.share()

    def refusal(self) -> StoreRefused:
        """Why it did not succeed."""
        place, holder = self._backend.place, self._backend.lock.holder()
        if self._needs_migration:
            return StoreRefused(
                f"another scheduler process ({holder}) is running on {place}, which has to be brought to this release "
                "first. Stop all schedulers on it, then start this one, then the others"
            )
        return StoreRefused(
            f"another scheduler process ({holder}) is running on {place} and does not share it: it is of another "
            "release, or it is just migrating. Stop that one first, or give this one a DATABASE_URL of its own"
        )

    def _is_current(self) -> bool:
        return self._backend.revisions() == newest_revisions()

    def _migrate(self) -> bool:
        # Another one may have done it before this one was alone.
        if not self._is_current():
            database = self._backend.writing_database()
            try:
                with database.begin() as connection:
                    upgrade(connection)
            finally:
                database.dispose()
        return True


def _opened(database: Engine, backend: Backend, opened: ExitStack) -> Engine:
    opened.callback(database.dispose)
    backend.watchdog.watch_over(database, pings=database.dialect.name == "postgresql")
    database.connect().close()
    return database


def _prompt_reads(backend: Backend, opened: ExitStack) -> PromptReads | None:
    database = backend.prompt_database()
    if database is None:
        return None
    reads = PromptReads(database)
    opened.callback(reads.close)
    return reads


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
