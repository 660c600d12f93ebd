"""The one store: the real SQL on SQLite in memory, a journal of what each transaction changed, and points around it."""

from collections.abc import Callable, Collection
from dataclasses import dataclass
from functools import cache
import sqlite3
from sys import _getframe
from types import TracebackType
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, Engine, StaticPool, create_engine, event

from store import SqlStore
from store.failures import failures_translated
from store.revisions import upgrade
from store.tables import metadata

RUN_COLUMNS = ("job_id", "trigger", "scheduled_for", "last_scheduled_for", "slot_count", "state", "attempt", "node",
               "is_stuck", "reason_code", "due_at", "earlier_attempts")  # fmt: skip
JOB_COLUMNS = ("version", "status", "interval_seconds", "cron_expression", "run_at", "anchor_at", "next_run_at",
               "last_scheduled_for", "updated_at", "max_runs", "run_count", "paused_at")  # fmt: skip
OTHER_TABLES = ("nodes", "pauses")


@dataclass(frozen=True, slots=True)
class Change:
    """One row as a transaction left it; None where it is gone. Values are as the database holds them."""

    table: str
    id: UUID
    values: dict[str, Any] | None
    is_new: bool


class Database:
    """The rows of one seed; its tables, and what SQLAlchemy has compiled, serve all seeds of a process."""

    def __init__(self) -> None:
        self.raw: Any = sqlite3.connect(":memory:", isolation_level=None)
        self.engine = self._engine()
        # Past SQLAlchemy: a third of all statements would be this one.
        event.listen(self.engine, "begin", lambda _: self.raw.execute("BEGIN"))
        self.connection: Connection = self.engine.connect()
        # For reads, which see the same rows and need no transaction: nothing goes on beside them.
        self.reading: Connection = self._engine().connect()
        self._has_claims = "claim_id" in metadata.tables["runs"].c
        self.run_columns = (*RUN_COLUMNS, "claim_id") if self._has_claims else RUN_COLUMNS
        self._read = f"SELECT nr, kind, is_new, id, {', '.join(f'c{n}' for n in range(14))} FROM journal ORDER BY nr"

    def _engine(self) -> Engine:
        return create_engine("sqlite://", creator=lambda: self.raw, poolclass=StaticPool)

    def prepare(self) -> None:
        """Tables, and triggers that keep a journal. Once."""
        with self.connection.begin():
            upgrade(self.connection)
        columns = ", ".join(f"c{n}" for n in range(14))
        self.raw.execute(f"CREATE TEMP TABLE journal (nr INTEGER PRIMARY KEY, kind, is_new, id, {columns})")
        self._keep_journal_of("runs", self.run_columns)
        self._keep_journal_of("jobs", JOB_COLUMNS)

    def clear(self) -> None:
        """Have it empty for the next seed."""
        if self.raw.in_transaction:
            self.raw.rollback()
        for table in metadata.sorted_tables:
            self.raw.execute(f"DELETE FROM {table.name}")
        self.raw.execute("DELETE FROM journal")

    def changes(self) -> list[Change]:
        """What the transaction before changed in jobs and runs, in the order in which it did."""
        rows = self.raw.execute(self._read).fetchall()
        if not rows:
            return []
        self.raw.execute("DELETE FROM journal")
        return [self._change(row) for row in rows]

    def _change(self, row: Any) -> Change:
        _, kind, is_new, row_id, *values = row
        names = self.run_columns if kind == "runs" else JOB_COLUMNS
        found = None if is_new is None else dict(zip(names, values, strict=False))
        return Change(kind, UUID(row_id), found, bool(is_new))

    def _keep_journal_of(self, table: str, columns: tuple[str, ...]) -> None:
        into = f"INSERT INTO journal (kind, is_new, id, {', '.join(f'c{n}' for n in range(len(columns)))})"
        new = ", ".join(f"new.{column}" for column in columns)
        for verb, is_new in (("INSERT", 1), ("UPDATE", 0)):
            self.raw.execute(
                f"CREATE TEMP TRIGGER {table}_{verb} AFTER {verb} ON {table} BEGIN "
                f"{into} VALUES ('{table}', {is_new}, new.id, {new}); END"
            )
        self.raw.execute(
            f"CREATE TEMP TRIGGER {table}_DELETE AFTER DELETE ON {table} BEGIN "
            f"INSERT INTO journal (kind, is_new, id) VALUES ('{table}', NULL, old.id); END"
        )


@cache
def the_database() -> Database:
    """Made once a process: migrating takes longer than a seed."""
    database = Database()
    database.prepare()
    return database


class NoLock:
    """There is one process only, which simulates them all."""

    def check(self) -> None: ...

    def release(self) -> None: ...


@dataclass(slots=True)
class Hooks:
    """What happens around each transaction; either may raise, let time pass, or never return."""

    before: Callable[[str, bool], None]
    committed: Callable[[str, list[Change]], None]
    after: Callable[[str, bool], None]


class SimulatedStore(SqlStore):
    """The real verbs. Each of their transactions is one step; before and after it anything may happen."""

    def __init__(
        self, database: Database, hooks: Hooks, *, gone_nodes: Callable[[Collection[UUID]], set[UUID]]
    ) -> None:
        super().__init__(database.engine, database.engine, lock=NoLock(), close=lambda: None)
        self.database = database
        self.hooks = hooks
        self._gone_nodes = gone_nodes

    def gone_nodes(self, nodes: Collection[UUID]) -> set[UUID]:
        """By other means than rows, as the kernel tells on one host."""
        return self._gone_nodes(nodes)

    def _writing(self) -> Any:
        return _Transaction(self, _getframe(1).f_code.co_name, is_writing=True)

    def _reading(self) -> Any:
        return _Transaction(self, _getframe(1).f_code.co_name, is_writing=False)


class _Transaction:
    """One transaction of one verb."""

    __slots__ = ("_begun", "_store", "_verb", "_writes")

    def __init__(self, store: SimulatedStore, verb: str, *, is_writing: bool) -> None:
        self._store = store
        self._verb = verb
        self._writes = is_writing
        self._begun: Any = None

    def __enter__(self) -> Connection:
        self._store.hooks.before(self._verb, self._writes)
        database = self._store.database
        if not self._writes:
            return database.reading
        self._begun = database.connection.begin()
        return database.connection

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if error is not None:
            self._give_up(error)
        store = self._store
        if self._writes:
            self._begun.commit()
            store.hooks.committed(self._verb, store.database.changes())
        store.hooks.after(self._verb, self._writes)

    def _give_up(self, error: BaseException) -> None:
        with failures_translated():
            if self._writes:
                self._begun.rollback()
            raise error
