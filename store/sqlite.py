"""SQLite as DESIGN section 7 wants it: one file of one host, one writer at a time, readers beside it."""

from pathlib import Path
from sqlite3 import Connection as SqliteConnection

from sqlalchemy import URL, Engine, QueuePool, create_engine, event

from store.locks import FileLock
from store.sqlite_changes import SqliteChanges
from store.sqlite_file import revisions_of_file
from store.watchdog import Watchdog

BUSY_SECONDS = 5.0
"""How long SQLite waits for another program (a backup, a shell) to let go of the file."""

POOL_WAIT_SECONDS = 10.0
"""How long a thread waits for a connection; longer than BUSY_SECONDS, so that the cause is reported, not the queue."""

CALL_SECONDS = 20.0
"""How long a transaction may take before it is interrupted; no server can freeze here, but a search can be long."""

READERS = 8
"""Connections that read, for requests; more threads of the API wait for one."""

LOG_LIMIT_BYTES = 64 * 1024 * 1024
"""What the write-ahead log is cut back to after it was longer (law 10)."""

CACHE_KIB = 32_768
"""Of the connection that writes: the indexes of a day's runs stay in memory, and each page is written once a batch."""

CHECKPOINT_PAGES = 4_000
"""After this many pages (16 MB) the write-ahead log is worked into the file, for which a commit has to wait."""

_FOR_WRITING = (
    "PRAGMA journal_mode=WAL",
    "PRAGMA synchronous=FULL",
    f"PRAGMA cache_size=-{CACHE_KIB}",
    f"PRAGMA wal_autocheckpoint={CHECKPOINT_PAGES}",
    f"PRAGMA journal_size_limit={LOG_LIMIT_BYTES}",
)
_FOR_READING = ("PRAGMA query_only=ON",)


class SqliteBackend:
    """A database in one file of this host."""

    shares_commits = True  # there is one writer at a time, and each commit waits for the disk

    def __init__(self, path: Path) -> None:
        self.path = path
        self.place = str(path)
        self.watchdog = Watchdog(abort=SqliteConnection.interrupt, seconds=CALL_SECONDS)
        self.lock = FileLock(path)
        self.changes = SqliteChanges(path)

    def revisions(self) -> set[str]:
        return revisions_of_file(self.path)

    def writing_database(self) -> Engine:
        # One connection: threads queue for it here, in order and with a time-out, not in SQLite's unfair busy loop.
        # IMMEDIATE, because a transaction that reads first and then writes fails or loses updates otherwise.
        return _database(self.path, connections=1, pragmas=_FOR_WRITING, begin="BEGIN IMMEDIATE")

    def reading_database(self) -> Engine:
        return _database(self.path, connections=READERS, pragmas=_FOR_READING, begin="BEGIN")

    def prompt_database(self) -> Engine:
        # Without a transaction: a statement is one by itself.
        return _database(self.path, connections=1, pragmas=_FOR_READING, begin=None, may_wait=False)


def _database(
    path: Path, *, connections: int, pragmas: tuple[str, ...], begin: str | None, may_wait: bool = True
) -> Engine:
    database = create_engine(
        URL.create("sqlite+pysqlite", database=str(path)),
        poolclass=QueuePool,
        pool_size=connections,
        max_overflow=0,
        pool_timeout=POOL_WAIT_SECONDS,
        connect_args={
            "check_same_thread": False,
            "timeout": BUSY_SECONDS if may_wait else 0,
        },  # the time-out is SQLite's busy_timeout
        hide_parameters=True,
    )

    def prepare(connection: SqliteConnection, _record: object) -> None:
        connection.isolation_level = None  # the driver begins no transactions of its own: `begin` does
        for pragma in pragmas:
            connection.execute(pragma).close()

    event.listen(database, "connect", prepare)
    if begin is not None:
        event.listen(database, "begin", lambda connection: connection.exec_driver_sql(begin))
    return database
