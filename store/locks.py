"""Who may use a database: all nodes of one release together, or one process that migrates it, alone."""

import os
from collections.abc import Callable, Collection
from pathlib import Path
from threading import Event, Lock
from typing import Protocol
from uuid import UUID

from engine.errors import StoreRefused, StoreUnavailable
from store.lock_file import LockFile, holder_of, lock_file

POLL_SECONDS = 0.05
LOOK_SECONDS = 1.0
"""Longer than another process looks at the lock of a node."""


def succeeds_within(seconds: float, attempt: Callable[[], bool]) -> bool:
    """Try until it succeeds, for about `seconds`: a restart overlaps with the stop of the process before."""
    # An Event and not the clock (law 8): this is before the engine, and the store has no clock.
    pause = Event()
    for _ in range(round(seconds / POLL_SECONDS)):
        if attempt():
            return True
        pause.wait(POLL_SECONDS)
    return attempt()


class DatabaseLock(Protocol):
    """A store's lock on its database: none at first, then shared or taken alone."""

    def share(self) -> bool:
        """Have it together with other nodes; False if someone has it alone. Who has it alone always may."""
        ...

    def take(self) -> bool:
        """Have it alone; False if someone else has it. Not for one who has it."""
        ...

    def let_go(self) -> None:
        """Have it no more, for now."""
        ...

    def holder(self) -> str:
        """Somebody else who has it, as far as can be found."""
        ...

    def check(self) -> None:
        """Raise StoreUnavailable if this process could have lost it, or the database, meanwhile."""
        ...

    def hold_node(self, node: UUID) -> None:
        """Show others of this host, where they can see it, that the node lives, until the release or the end."""
        ...

    def gone_nodes(self, nodes: Collection[UUID]) -> set[UUID]:
        """Those whose processes are seen to be gone; not being among them says nothing."""
        ...

    def release(self) -> None:
        """Let go for good."""
        ...


class FileLock:
    """The lock on an SQLite database: `<database>.lock`."""

    def __init__(self, database: Path) -> None:
        self._database = database
        self._path = database.with_name(database.name + ".lock")
        self._guard = Lock()
        self._file: LockFile | None = None
        self._nodes: set[UUID] = set()
        self._opened: os.stat_result | None = None

    def share(self) -> bool:
        if self._file is not None:
            self._file.share()
            return True
        return self._try(alone=False)

    def take(self) -> bool:
        return self._try(alone=True)

    def let_go(self) -> None:
        with self._guard:
            file, self._file = self._file, None
            if file is not None:
                file.leave(self._nodes)

    def release(self) -> None:
        self.let_go()

    def holder(self) -> str:
        return f"pid {holder_of(self._path) or 'unknown'}"

    def check(self) -> None:
        """The first check, when the store is opened, remembers which file the database is."""
        with self._guard:
            if not self._held().is_still_there:
                raise StoreUnavailable(f"{self._path} was removed, so others do not see this scheduler: restart it")
        try:
            found = self._database.stat()
        except OSError as error:
            raise StoreUnavailable(f"{self._database} cannot be found any more: {error.strerror}") from error
        self._opened = self._opened or found
        if not os.path.samestat(self._opened, found):
            # Connections go on with the file that they opened, and what they write is gone with the process.
            raise StoreUnavailable(f"{self._database} was replaced while it was in use: restart the scheduler")

    def hold_node(self, node: UUID) -> None:
        with self._guard:
            file = self._held()
            if not succeeds_within(LOOK_SECONDS, lambda: file.hold(node)):
                raise StoreUnavailable(f"another process holds the lock of node {node}")
            self._nodes.add(node)

    def gone_nodes(self, nodes: Collection[UUID]) -> set[UUID]:
        with self._guard:
            return self._held().gone(nodes)

    def _held(self) -> LockFile:
        if self._file is None:
            raise StoreUnavailable("the store is closed")
        return self._file

    def _try(self, *, alone: bool) -> bool:
        try:
            self._file = lock_file(self._path, alone=alone)
        except OSError as error:
            raise StoreRefused(f"{self._path} cannot be locked: {error.strerror}") from error
        return self._file is not None
