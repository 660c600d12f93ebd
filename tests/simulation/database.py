"""The one store: the real SQL on SQLite in memory, a journal of what each transaction changed, and points around it."""

import sqlite3
from collections.abc import Callable, Collection
from dataclasses import dataclass
from datetime import datetime
from functools import cache
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
               "is_stuck", "duration_ms", "reason_code", "due_at", "earlier_attempts")  # fmt: skip
JOB_COLUMNS = ("version", "status", "interval_seconds", "cron_expression", "run_at", "anchor_at", "next_run_at",
               "last_scheduled_for", "updated_at", "max_runs", "run_count", "paused_at")  # fmt: skip
NODE_COLUMNS = ("beats", "lost_at", "stopped_at")


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
        self._keep_journal_of("nodes", NODE_COLUMNS)

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
        names = {"runs": self.run_columns, "jobs": JOB_COLUMNS, "nodes": NODE_COLUMNS}[kind]
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


class Host:
    """What the machine of a process knows: which other processes are gone. There is no lock to hold."""

    def __init__(self, gone_nodes: Callable[[Collection[UUID]], set[UUID]]) -> None:
        self._gone_nodes = gone_nodes

    def check(self) -> None: ...

    def release(self) -> None: ...

    def hold_node(self, node: UUID) -> None: ...

    def gone_nodes(self, nodes: Collection[UUID]) -> set[UUID]:
        return self._gone_nodes(nodes)


@dataclass(slots=True)
class Hooks:
    """What happens around each transaction; it may raise, let time pass, or never return."""

    before: Callable[[str, bool], None]
    committed: Callable[[str, list[Change]], None]
    after: Callable[[str, bool], None]
    announce: Callable[[], None]
    """Tell other processes of a change, in their own time."""


class Transactions:
    """Stands where the store has its own: each transaction is one step; before and after it anything may happen."""

    def __init__(self, database: Database, hooks: Hooks) -> None:
        self.database = database
        self.hooks = hooks

    prompt_reads = None

    def reading(self) -> "Transaction":
        return Transaction(self, _getframe(1).f_code.co_name)

    def writing(self) -> "Transaction":
        return Transaction(self, _getframe(1).f_code.co_name, writes=True)

    def changing(self) -> "Transaction":
        return Transaction(self, _getframe(1).f_code.co_name, writes=True, announces=True)

    changing_together = changing

    def announce(self) -> None:
        self.hooks.announce()

    def close(self) -> None: ...


class SimulatedStore(SqlStore):
    """The real verbs. `time_of` is the time of a server that all go by, None where they share a machine's."""

    def __init__(self, transactions: Transactions, host: Host, *, time_of: Callable[[], datetime] | None) -> None:
        stands_for: Any = transactions
        lock: Any = host
        watch: Any = None
        super().__init__(stands_for, lock=lock, watch=watch, close=lambda: None)
        self._time_of = time_of

    def watch(self, changed: Callable[[], object]) -> None: ...

    def time(self) -> datetime | None:
        with self._reading():
            return None if self._time_of is None else self._time_of()


class Transaction:
    """One transaction of one verb."""

    __slots__ = ("_announces", "_begun", "_of", "_verb", "_writes")

    def __init__(self, of: Transactions, verb: str, *, writes: bool = False, announces: bool = False) -> None:
        self._of = of
        self._verb = verb
        self._writes = writes
        self._announces = announces
        self._begun: Any = None

    def __enter__(self) -> Connection:
        of = self._of
        of.hooks.before(self._verb, self._writes)
        if not self._writes:
            return of.database.reading
        self._begun = of.database.connection.begin()
        return of.database.connection

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if error is not None:
            self._give_up(error)
        of = self._of
        if self._writes:
            self._begun.commit()
            of.hooks.committed(self._verb, of.database.changes())
            if self._announces:
                of.hooks.announce()
        of.hooks.after(self._verb, self._writes)

    def _give_up(self, error: BaseException) -> None:
        with failures_translated():
            if self._writes:
                self._begun.rollback()
            raise error
