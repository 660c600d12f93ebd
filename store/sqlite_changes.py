"""SQLite's word on changes: a number that is another one after somebody else's commit."""

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from threading import Event
from urllib.parse import quote

from sqlalchemy import Connection

POLL_SECONDS = 0.2


class SqliteChanges:
    """Asks for it now and then, on a connection that writes nothing; this process's own writes count as well."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._stopped = Event()

    def announce(self, connection: Connection) -> None:
        """Nothing: the commit is enough."""

    def follow(self, heard: Callable[[], None]) -> None:
        with closing(sqlite3.connect(f"file:{quote(str(self._path))}?mode=ro", uri=True)) as connection:
            known = None
            while not self._stopped.is_set():
                (version,) = connection.execute("PRAGMA data_version").fetchone()
                if version != known:
                    known = version
                    heard()
                # An Event and not the clock (law 8): nothing but this thread goes by it.
                self._stopped.wait(POLL_SECONDS)

    def stop(self) -> None:
        self._stopped.set()
