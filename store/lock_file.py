"""The lock file of an SQLite database: record locks, which the kernel drops with their process, also after kill -9."""

import fcntl
import os
import struct
import sys
from collections.abc import Collection
from contextlib import suppress
from pathlib import Path
from threading import Lock
from uuid import UUID

from engine.errors import StoreRefused, StoreUnavailable

_DATABASE_BYTE = 0
"""Nodes share it, and a migration takes it alone. Earlier releases lock the file whole, so they are alone with it."""

_NODE_BYTES = 2**62 - 1
"""The bytes behind it, of which each node holds one. A lock needs no file below it, and offsets are signed."""

# A record lock never conflicts with one of the same process, and closing any descriptor of the file drops all that the
# process has. So there is one descriptor a process and file, and an account of who uses it. It is global because what
# it stands for is: the locks belong to the process, not to a store.
_files: dict[Path, "LockFile"] = {}
_guard = Lock()

# struct flock of Linux, where it is as long as this on all machines of 64 bits.
_FLOCK = struct.Struct("hhqqi4x")
_KNOWS_FLOCK = sys.platform == "linux" and sys.maxsize > 2**32


class LockFile:
    """A lock file of which this process has locked the database's byte, for one store alone or for some together."""

    def __init__(self, path: Path, descriptor: int, *, is_alone: bool) -> None:
        self.path = path
        self._descriptor = descriptor
        self._is_alone = is_alone
        self._stores = 1
        self._nodes: set[UUID] = set()

    @property
    def is_still_there(self) -> bool:
        """False if it was removed: then others may lock another file of this name."""
        return _is_still(self.path, self._descriptor)

    def share(self) -> None:
        """Be alone no longer."""
        with _guard:
            fcntl.lockf(self._descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB, 1, _DATABASE_BYTE)
            self._is_alone = False

    def join(self) -> bool:
        """One more store of this process; under the guard."""
        if not self.is_still_there:
            raise StoreRefused(f"{self.path} was removed while this process used it: restart the process")
        self._stores += not self._is_alone
        return not self._is_alone

    def leave(self, nodes: Collection[UUID]) -> None:
        """One store less, and its nodes."""
        with _guard:
            self._stores -= 1
            for node in nodes:
                _set_own(self._descriptor, fcntl.F_UNLCK, _byte_of(node))
                self._nodes.discard(node)
            if not self._stores:
                del _files[self.path]
                os.close(self._descriptor)

    def hold(self, node: UUID) -> bool:
        """Show that the node is of a living process; False if another process holds it, or looks at it just now."""
        with _guard:
            if not _set_own(self._descriptor, fcntl.F_WRLCK, _byte_of(node)):
                return False
            self._nodes.add(node)
            return True

    def gone(self, nodes: Collection[UUID]) -> set[UUID]:
        """Those that no living process holds."""
        with _guard:
            # In a file that was removed nobody can be seen who came later.
            others = set(nodes) - self._nodes if self.is_still_there else ()
            return {node for node in others if self._is_free(node)}

    def _is_free(self, node: UUID) -> bool:
        # Shared, so that two that look at the same moment do not take each other for the node.
        is_free = _lock(self._descriptor, fcntl.LOCK_SH, _byte_of(node))
        if is_free:
            fcntl.lockf(self._descriptor, fcntl.LOCK_UN, 1, _byte_of(node))
        return is_free


def lock_file(path: Path, *, alone: bool) -> LockFile | None:
    """Lock the database's byte for a store; None if another store, here or in another process, is in the way."""
    with _guard:
        file = _files.get(path)
        if file is not None:
            return file if not alone and file.join() else None
        file = _locked(path, alone)
        if file is not None:
            _files[path] = file
        return file


def holder_of(path: Path) -> str:
    """The pid of a process that has locked the database's byte, as far as can be found."""
    with _guard:
        if path in _files:
            return str(os.getpid())
        with suppress(OSError):
            # Closing it drops no lock, as this process has none.
            descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
            try:
                return _asked_of_kernel(descriptor) or os.pread(descriptor, 100, 0).decode(errors="replace").strip()
            finally:
                os.close(descriptor)
    return ""


def _locked(path: Path, alone: bool) -> LockFile | None:
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        # Someone may have removed the file meanwhile: then the lock is on a file that nobody else will find.
        if _lock(descriptor, fcntl.LOCK_EX if alone else fcntl.LOCK_SH, _DATABASE_BYTE) and _is_still(path, descriptor):
            # For earlier releases, which read there whom they met.
            os.pwrite(descriptor, f"{os.getpid():<12}".encode(), 0)
            return LockFile(path, descriptor, is_alone=alone)
    except BaseException:
        os.close(descriptor)
        raise
    os.close(descriptor)
    return None


def _lock(descriptor: int, operation: int, byte: int) -> bool:
    try:
        fcntl.lockf(descriptor, operation | fcntl.LOCK_NB, 1, byte)
    except (BlockingIOError, PermissionError):
        return False  # the two ways POSIX has to say that another process holds it
    except OSError as error:
        raise StoreUnavailable(f"the lock file cannot be locked: {error.strerror}") from error
    return True


def _set_own(descriptor: int, kind: int, byte: int) -> bool:
    """A lock that belongs to the descriptor, where there are such: another one that is closed does not drop it.

    A job may well copy the folder of its database: the others would see this node gone from then on, and lose its runs
    time and again.
    """
    if not _KNOWS_FLOCK:
        return _lock(descriptor, fcntl.LOCK_UN if kind == fcntl.F_UNLCK else fcntl.LOCK_EX, byte)
    try:
        fcntl.fcntl(descriptor, fcntl.F_OFD_SETLK, _FLOCK.pack(kind, os.SEEK_SET, byte, 1, 0))
    except (BlockingIOError, PermissionError):
        return False
    except OSError as error:
        raise StoreUnavailable(f"the lock file cannot be locked: {error.strerror}") from error
    return True


def _byte_of(node: UUID) -> int:
    return _DATABASE_BYTE + 1 + node.int % _NODE_BYTES


def _asked_of_kernel(descriptor: int) -> str:
    if not _KNOWS_FLOCK:
        return ""
    question = _FLOCK.pack(fcntl.F_WRLCK, os.SEEK_SET, _DATABASE_BYTE, 1, 0)
    kind, *_, pid = _FLOCK.unpack(fcntl.fcntl(descriptor, fcntl.F_GETLK, question))
    # No pid where it is that of another container.
    return str(pid) if kind != fcntl.F_UNLCK and pid > 0 else ""


def _is_still(path: Path, descriptor: int) -> bool:
    try:
        return os.path.samestat(path.stat(), os.fstat(descriptor))
    except FileNotFoundError:
        return False
