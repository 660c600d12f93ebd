"""Databases that cannot be used: refused with what was found and what to do, and not touched."""

import os
import shutil
import sqlite3
import stat
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from urllib.parse import quote

import pytest
from sqlalchemy import create_engine, text

from engine.errors import StoreRefused, StoreUnavailable
from store import migrate_database, open_store
from store.sqlite_file import file_system_of
from tests.store.postgres import PostgresServer

WRITE_AND_DIE = """
import os, signal, sqlite3, sys
connection = sqlite3.connect(sys.argv[1], isolation_level=None)
connection.execute("PRAGMA journal_mode=WAL")
connection.execute(sys.argv[2])
os.kill(os.getpid(), signal.SIGKILL)
"""


def execute(path: Path, *statements: str) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        for statement in statements:
            connection.execute(statement)


def write_and_die(path: Path, statement: str) -> None:
    """Leave the write-ahead log that a process leaves which dies without closing."""
    subprocess.run([sys.executable, "-c", WRITE_AND_DIE, path, statement], check=False)
    assert path.with_name(path.name + "-wal").stat().st_size > 0


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir() if stat.S_ISREG(path.stat().st_mode)}


def a_text_file(path: Path) -> None:
    path.write_text("jobs: none\n")


def a_shorter_file_than_any_database(path: Path) -> None:
    path.write_bytes(b"SQLite")


def another_programs_database(path: Path) -> None:
    execute(path, "CREATE TABLE customers (id INTEGER)")


def the_predecessors_database(path: Path) -> None:
    execute(
        path,
        "CREATE TABLE jobs (id CHAR(32) PRIMARY KEY, name VARCHAR)",
        "CREATE TABLE apscheduler_jobs (id VARCHAR(191) PRIMARY KEY, next_run_time FLOAT, job_state BLOB)",
    )


def another_programs_database_with_a_log(path: Path) -> None:
    write_and_die(path, "CREATE TABLE customers (id INTEGER)")


def a_copy_of_a_log_without_its_index(path: Path) -> None:
    write_and_die(path, "CREATE TABLE customers (id INTEGER)")
    path.with_name(path.name + "-shm").unlink()


def tables_without_a_revision(path: Path) -> None:
    migrate_database(f"sqlite:///{path}")
    execute(path, "DELETE FROM scheduler_version")


def a_newer_releases_database(path: Path) -> None:
    migrate_database(f"sqlite:///{path}")
    execute(path, "UPDATE scheduler_version SET version_num = '9001'")


def a_newer_releases_database_with_a_log(path: Path) -> None:
    migrate_database(f"sqlite:///{path}")
    write_and_die(path, "UPDATE scheduler_version SET version_num = '9001'")


def a_database_cut_short(path: Path) -> None:
    migrate_database(f"sqlite:///{path}")
    os.truncate(path, path.stat().st_size - 4096)


def a_database_with_a_damaged_page(path: Path) -> None:
    migrate_database(f"sqlite:///{path}")
    with path.open("r+b") as file:
        file.seek(100)
        file.write(b"\xff" * 3996)


def someone_elses_version_table(path: Path) -> None:
    execute(path, "CREATE TABLE scheduler_version (major INTEGER)")


def an_unfinished_transaction(path: Path) -> None:
    """What a power cut leaves of a database without a write-ahead log."""
    copy, size = path.with_name("copy.db"), 2_000
    with closing(sqlite3.connect(copy, isolation_level=None)) as connection:
        connection.execute("PRAGMA cache_size = 1")
        connection.execute("CREATE TABLE customers (name TEXT)")
        connection.execute("BEGIN")
        connection.executemany(
            "INSERT INTO customers VALUES (?)", [(f"customer {number}" * 20,) for number in range(size)]
        )
        shutil.copy(copy, path)
        shutil.copy(f"{copy}-journal", f"{path}-journal")
        connection.execute("ROLLBACK")
    copy.unlink()


REFUSED: list[tuple[Callable[[Path], None], str]] = [
    (a_text_file, "is not an SQLite database"),
    (a_shorter_file_than_any_database, "is not an SQLite database"),
    (another_programs_database, r"did not make \(customers\)"),
    (the_predecessors_database, r"did not make \(apscheduler_jobs, jobs\)"),
    (another_programs_database_with_a_log, r"did not make \(customers\)"),
    (a_copy_of_a_log_without_its_index, r"did not make \(customers\)"),
    (
        tables_without_a_revision,
        r"did not make \(api_keys, backfills, calendars, jobs, nodes, pauses, run_logs, runs\)",
    ),
    (a_newer_releases_database, r"written by a newer release .*9001"),
    (a_newer_releases_database_with_a_log, r"written by a newer release .*9001"),
    (a_database_cut_short, "malformed.*Restore it from a backup"),
    (a_database_with_a_damaged_page, "malformed.*Restore it from a backup"),
    (someone_elses_version_table, "cannot be read"),
    (an_unfinished_transaction, "left a transaction unfinished"),
]


@pytest.mark.parametrize("start", [open_store, migrate_database])
@pytest.mark.parametrize(("made", "message"), REFUSED, ids=[made.__name__ for made, _ in REFUSED])
def test_a_file_that_is_not_ours_is_refused_and_not_touched(
    sqlite_path: Path, start: Callable[[str], object], made: Callable[[Path], None], message: str
) -> None:
    made(sqlite_path)
    before = contents(sqlite_path.parent)
    with pytest.raises(StoreRefused, match=message):
        start(f"sqlite:///{sqlite_path}")
    after = contents(sqlite_path.parent)
    if made is a_copy_of_a_log_without_its_index:
        after.pop(sqlite_path.name + "-shm")  # SQLite reads no log without one
    assert after == before


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("sqlite://", "does not name a file"),
        ("sqlite:///:memory:", "does not name a file"),
        ("sqlite:///file:scheduler?mode=memory&uri=true", "does not name a file"),
        ("sqlite:///scheduler.db?timeout=1", "has options"),
        ("sqlite+aiosqlite:///scheduler.db", "aiosqlite, which is not supported"),
        ("mysql://localhost/scheduler", "mysql, which is not supported"),
        ("postgres://localhost/scheduler", "postgres, which is not supported"),
        ("scheduler.db", "is no database URL"),
        ("", "is no database URL"),
    ],
)
def test_a_url_of_something_else_is_refused(url: str, message: str) -> None:
    with pytest.raises(StoreRefused, match=message):
        open_store(url)


def test_a_folder_that_does_not_exist_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StoreRefused, match="missing of the database does not exist; create it first"):
        open_store(f"sqlite:///{tmp_path}/missing/scheduler.db")
    assert list(tmp_path.iterdir()) == []


def test_a_folder_is_no_database(tmp_path: Path) -> None:
    with pytest.raises(StoreRefused, match="is a directory"):
        open_store(f"sqlite:///{tmp_path}")


def test_a_pipe_is_no_database(sqlite_path: Path) -> None:
    os.mkfifo(sqlite_path)
    with pytest.raises(StoreRefused, match="is not a file"):
        open_store(f"sqlite:///{sqlite_path}")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_file_that_may_not_be_written_is_refused(sqlite_path: Path) -> None:
    migrate_database(f"sqlite:///{sqlite_path}")
    sqlite_path.chmod(0o400)
    with pytest.raises(StoreRefused, match="may not read and write"):
        open_store(f"sqlite:///{sqlite_path}")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_may_not_be_written_is_refused(sqlite_path: Path) -> None:
    sqlite_path.parent.chmod(0o500)
    with pytest.raises(StoreRefused, match="may not write to the directory"):
        open_store(f"sqlite:///{sqlite_path}")
    sqlite_path.parent.chmod(0o700)


def test_an_empty_file_is_a_new_database(sqlite_path: Path) -> None:
    sqlite_path.touch()
    store = open_store(f"sqlite:///{sqlite_path}")
    jobs = store.views.jobs_page(after=None, limit=1)
    store.close()
    assert jobs == []


def test_a_path_with_odd_characters_is_a_path_like_any_other(tmp_path: Path) -> None:
    path = tmp_path / "100% of a b?#ü.db"
    for _ in range(2):
        open_store(f"sqlite:///{quote(str(path))}").close()
    assert path.is_file()


MOUNTS = r"""/dev/sda1 / ext4 rw 0 0
server:/home /home nfs4 rw 0 0
/dev/sdb1 /home/local xfs rw 0 0
//share /mnt/my\040share cifs rw 0 0
tmpfs /hidden tmpfs rw 0 0
me@host: /hidden fuse.sshfs rw 0 0
"""


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/scheduler.db", "ext4"),
        ("/homes/scheduler.db", "ext4"),
        ("/home/me/scheduler.db", "nfs4"),
        ("/home/local/scheduler.db", "xfs"),
        ("/mnt/my share/scheduler.db", "cifs"),
        ("/hidden/scheduler.db", "fuse.sshfs"),
    ],
)
def test_the_file_system_of_a_path_is_that_of_the_nearest_mount(path: str, kind: str) -> None:
    assert file_system_of(Path(path), MOUNTS) == kind


def test_a_network_file_system_is_refused(sqlite_path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mounts = tmp_path / "mounts"
    mounts.write_text(f"server:/data {sqlite_path.parent} nfs4 rw 0 0\n")
    monkeypatch.setattr("store.sqlite_file._MOUNTS", mounts)
    with pytest.raises(StoreRefused, match=r"network file system \(nfs4\).*use PostgreSQL"):
        open_store(f"sqlite:///{sqlite_path}")
    assert not sqlite_path.exists()


def test_tables_of_our_names_that_another_program_made_are_refused(postgres_url: str) -> None:
    database = create_engine(postgres_url)
    with database.begin() as connection:
        connection.execute(text("CREATE TABLE jobs (id integer)"))
        connection.execute(text("CREATE TABLE customers (id integer)"))
    with pytest.raises(StoreRefused, match=r'"postgres" .*did not make \(jobs\)'):
        open_store(postgres_url)
    with database.begin() as connection:
        connection.execute(text("DROP TABLE jobs"))
    open_store(postgres_url).close()
    database.dispose()


def test_a_newer_releases_tables_are_refused_on_postgresql_too(postgres_url: str) -> None:
    migrate_database(postgres_url)
    database = create_engine(postgres_url)
    with database.begin() as connection:
        connection.execute(text("UPDATE scheduler_version SET version_num = '9001'"))
    database.dispose()
    with pytest.raises(StoreRefused, match=r"written by a newer release .*9001"):
        open_store(postgres_url)


def test_a_user_who_may_not_make_tables_is_refused(postgres_server: PostgresServer) -> None:
    postgres_server.execute("CREATE ROLE guest LOGIN")
    for schema, message in (
        ("pg_catalog", "permission denied"),
        ("missing", "has no schema in this user's search path"),
    ):
        url = postgres_server.url("postgres", schema=schema).replace("scheduler@", "guest@")
        with pytest.raises(StoreRefused, match=message):
            open_store(url)
    postgres_server.execute("DROP ROLE guest")


def test_a_server_that_does_not_answer_is_unavailable(tmp_path: Path) -> None:
    with pytest.raises(StoreUnavailable, match="the database did not do as asked"):
        open_store(f"postgresql+psycopg://scheduler@/scheduler?host={tmp_path}")
