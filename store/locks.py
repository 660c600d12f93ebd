"""One scheduler process on one SQLite file: a lock that dies with its process, and waiting for a lock."""

import fcntl
import os
from collections.abc import Callable
from pathlib import Path
from threading import Event, Lock
from typing import Protocol

from engine.errors import StoreRefused, StoreUnavailable

POLL_SECONDS = 0.05

# A record lock never conflicts with one of the same process, so the process keeps its own list. It is global because
# what it stands for is: the locks belong to the process, not to a store.
_held: set[Path] = set()
_held_guard = Lock()


def succeeds_within(seconds: float, attempt: Callable[[], bool]) -> bool:
    """Try until it succeeds, for about `seconds`: a restart overlaps with the stop of the process before."""
    # An Event and not the clock (law 8): this is before the engine, and the store has no clock.
    pause = Event()
    for _ in range(round(seconds / POLL_SECONDS)):
        if attempt():
            return True
        pause.wait(POLL_SECONDS)
    return attempt()


class HeldLock(Protocol):
    """What makes this process the only scheduler on its database."""

    def check(self) -> None:
        """Raise StoreUnavailable if another process could have started meanwhile."""
        ...

    def release(self) -> None: ...


class FileLock:
    """A lock file that this process has locked."""

    def __init__(self, path: Path, descriptor: int, database: Path) -> None:
        self._path = path
        self._descriptor = descriptor
        self._database = database
        self._opened: os.stat_result | None = None

    def check(self) -> None:
        """The first check, when the store is opened, remembers which file the database is."""
        if not _is_still(self._path, self._descriptor):
            raise StoreUnavailable(f"{self._path} was removed, so another scheduler could start: restart this one")
        try:
            found = self._database.stat()
        except OSError as error:
            raise StoreUnavailable(f"{self._database} cannot be found any more: {error.strerror}") from error
        self._opened = self._opened or found
        if not os.path.samestat(self._opened, found):
            # Connections go on with the file that they opened, and what they write is gone with the process.
            raise StoreUnavailable(f"{self._database} was replaced while it was in use: restart the scheduler")

    def release(self) -> None:
        os.close(self._descriptor)
        _give_back(self._path)


def take_file_lock(database: Path, wait_seconds: float) -> FileLock:
    """Lock `<database>.lock` for this process; raises StoreRefused if that cannot be had within `wait_seconds`.

    A POSIX record lock: the kernel drops it with the process, also after kill -9, and forked children do not have it.
    Closing any descriptor of the file drops it too, so a process that holds it never opens the file again.
    """
    path = database.with_name(database.name + ".lock")
    if not succeeds_within(wait_seconds, lambda: _reserve(path)):
        raise _refusal(database, str(os.getpid()))
    try:
        return FileLock(path, _locked_descriptor(path, database, wait_seconds), database)
    except BaseException:
        _give_back(path)
        raise


def _reserve(path: Path) -> bool:
    with _held_guard:
        is_free = path not in _held
        _held.add(path)
        return is_free


def _give_back(path: Path) -> None:
    with _held_guard:
        _held.discard(path)


def _locked_descriptor(path: Path, database: Path, wait_seconds: float) -> int:
    descriptors: list[int] = []

    def attempt() -> bool:
        descriptor = _try_lock(path)
        if descriptor is not None:
            descriptors.append(descriptor)
        return descriptor is not None

    try:
        if succeeds_within(wait_seconds, attempt):
            return descriptors[0]
    except OSError as error:
        raise StoreRefused(f"{path} cannot be locked: {error.strerror}") from error
    raise _refusal(database, path.read_text(errors="replace").strip() or "unknown")


def _try_lock(path: Path) -> int | None:
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        # Someone may have removed the file meanwhile: then the lock is on a file that nobody else will find.
        if _is_still(path, descriptor):
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, str(os.getpid()).encode(), 0)
            return descriptor
    except (BlockingIOError, PermissionError):
        pass  # the two ways POSIX has to say that another process holds it
    os.close(descriptor)
    return None


def _is_still(path: Path, descriptor: int) -> bool:
    try:
        return os.path.samestat(path.stat(), os.fstat(descriptor))
    except FileNotFoundError:
        return False


def _refusal(database: Path, pid: str) -> StoreRefused:
    return StoreRefused(
        f"another scheduler process (pid {pid}) is running on {database}; an SQLite database takes one process at a "
        "time. Stop that one first, or give this one a DATABASE_URL of its own"
    )
