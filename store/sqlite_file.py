"""What may be wrong with an SQLite file, found out before anything is opened for writing and without touching it."""

import os
import sqlite3
from contextlib import closing
from pathlib import Path
from urllib.parse import quote

from engine.errors import StoreRefused
from store.revisions import VERSION_TABLE, refuse_foreign

_MOUNTS = Path("/proc/mounts")
_BUSY_CODES = frozenset({sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED})

# 9p is not among them: it is how sandboxes and virtual machines show a disk of the same host.
_NETWORK_FILE_SYSTEMS = frozenset(
    {
        *("nfs", "nfs4", "cifs", "smb3", "smbfs", "afs", "ceph", "coda", "davfs", "glusterfs", "gpfs", "lustre"),
        *("beegfs", "ncpfs", "orangefs", "fuse.sshfs", "fuse.ceph", "fuse.glusterfs", "fuse.davfs2", "fuse.rclone"),
        *("fuse.s3fs", "fuse.juicefs", "fuse.gcsfuse"),
    }
)


def revisions_of_file(path: Path) -> set[str]:
    """The revisions in the file. Raises StoreRefused, saying what was found and what to do, if it cannot be used."""
    try:
        _refuse_unreachable(path)
        _refuse_network_file_system(path)
        # SQLite takes an empty file for a new database.
        return _checked_revisions(path) if _has_content(path) else set()
    except OSError as error:
        raise StoreRefused(f"{path} cannot be used as a database: {error.strerror}") from error


def _refuse_unreachable(path: Path) -> None:
    directory = path.parent
    if not directory.is_dir():
        raise StoreRefused(f"the directory {directory} of the database does not exist; create it first")
    if not os.access(directory, os.R_OK | os.W_OK | os.X_OK):
        raise StoreRefused(f"this user may not write to the directory {directory}, as SQLite must beside its database")
    if not path.exists():
        return
    if not path.is_file():
        raise StoreRefused(f"{path} is {'a directory' if path.is_dir() else 'not a file'}; give the path of a file")
    if not os.access(path, os.R_OK | os.W_OK):
        raise StoreRefused(f"this user may not read and write {path}; change its owner or its permissions")


def _refuse_network_file_system(path: Path) -> None:
    if not _MOUNTS.exists():
        return
    kind = file_system_of(path, _MOUNTS.read_text(errors="surrogateescape"))
    if kind in _NETWORK_FILE_SYSTEMS:
        raise StoreRefused(
            f"{path} is on a network file system ({kind}), where SQLite's locks and its write-ahead log do not work; "
            "put it on a local disk, or use PostgreSQL"
        )


def file_system_of(path: Path, mounts: str) -> str:
    """The type of the file system that holds `path`, read from the text of /proc/mounts; "" if it is not there."""
    kinds: dict[str, str] = {}
    for line in mounts.splitlines():
        _, mount_point, kind, *_ = line.split(" ")
        kinds[_unescaped(mount_point)] = kind  # a later mount hides an earlier one
    holders = [str(place) for place in (path, *path.parents) if str(place) in kinds]
    return kinds[holders[0]] if holders else ""


def _unescaped(mount_point: str) -> str:
    for escaped, character in ((r"\040", " "), (r"\011", "\t"), (r"\012", "\n"), (r"\134", "\\")):
        mount_point = mount_point.replace(escaped, character)
    return mount_point


def _checked_revisions(path: Path) -> set[str]:
    # Only SQLite may open the file: closing a descriptor of our own would drop the locks of a store in this process.
    try:
        tables, revisions = _read(path)
    except sqlite3.DatabaseError as error:
        raise _unreadable(path, error) from error
    refuse_foreign(str(path), tables=tables, revisions=revisions)
    return revisions


def _read(path: Path) -> tuple[set[str], set[str]]:
    while True:
        options = _options_that_leave_no_trace(path)
        try:
            with closing(sqlite3.connect(f"file:{quote(str(path))}?mode=ro{options}", uri=True)) as connection:
                found = _tables(connection), _revisions(connection)
        except sqlite3.DatabaseError:
            if options == _options_that_leave_no_trace(path):
                raise
        else:
            if options == _options_that_leave_no_trace(path):
                return found
        # A process that stops takes its log with it, and one that starts brings one: just now, as the files look
        # different, so that what was read may be half of this and half of that.


def _options_that_leave_no_trace(path: Path) -> str:
    """How SQLite is to open the file so that it writes nothing, as the files beside it stand.

    Without a write-ahead log the file is all there is; `immutable` keeps SQLite from making a log and its index. With
    a log (a process died, or is alive), `readonly_shm` has SQLite read the log without writing to its index. A log
    without an index (a copy) is the one case in which an index file appears.
    """
    log, index, journal = (path.with_name(path.name + suffix) for suffix in ("-wal", "-shm", "-journal"))
    if _has_content(log):
        return "&readonly_shm=1" if index.exists() else ""
    return "" if journal.exists() else "&immutable=1"


def _has_content(path: Path) -> bool:
    try:
        return path.stat().st_size > 0
    except FileNotFoundError:
        return False


def _tables(connection: sqlite3.Connection) -> set[str]:
    rows = connection.execute(
        "SELECT name FROM sqlite_master WHERE type IN ('table', 'view') AND name NOT LIKE 'sqlite_%'"
    )
    return {name for (name,) in rows}


def _revisions(connection: sqlite3.Connection) -> set[str]:
    if VERSION_TABLE not in _tables(connection):
        return set()
    return {revision for (revision,) in connection.execute(f"SELECT version_num FROM {VERSION_TABLE}")}  # noqa: S608 - ours


def _unreadable(path: Path, error: sqlite3.DatabaseError) -> StoreRefused:
    code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR)  # the driver's own errors have none
    if code & 0xFF in _BUSY_CODES:
        return StoreRefused(f"{path} is locked by another program; stop it first")
    if code == sqlite3.SQLITE_NOTADB:
        return StoreRefused(f"{path} is not an SQLite database; give the path of one, or of a new file")
    if path.with_name(path.name + "-journal").exists():
        advice = "Another program left a transaction unfinished: open it once with that program"
    else:
        advice = "Restore it from a backup, or move it away to start with an empty one"
    return StoreRefused(f"{path} cannot be read as an SQLite database: {error}; it was not touched. {advice}")
