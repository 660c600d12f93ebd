"""One commit for several small transactions: those that come while another is being committed are committed together.

On SQLite there is one writer at a time, and what a small transaction costs is its commit, which waits for the disk.
"""

from collections import deque
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from threading import Event, Lock
from typing import Any

from sqlalchemy import Connection

from engine.errors import StoreUnavailable
from store.failures import failures_translated

PARTS_AT_MOST = 32
"""Transactions that share a commit: other writers, such as the timer's claims, wait for the end of all of them."""

WAIT_SECONDS = 10.0
"""How long a thread waits for its turn."""


class SharedCommits:
    """For any thread. `begin` opens the transaction that is shared, and commits or rolls back at its end."""

    def __init__(self, begin: Callable[[], AbstractContextManager[Connection]]) -> None:
        self._begin = begin
        self._guard = Lock()
        self._waiting: deque[_Turn] = deque()
        self._is_taken = False
        self._group: _Group | None = None

    @contextmanager
    def joined(self) -> Iterator[Connection]:
        """A transaction in its own right: what it does is in force, for good, once this is left, or was never done.

        Only, as long as it is not left, other parts of the same transaction see it. Raises StoreUnavailable, also if
        the commit that is shared fails.
        """
        self._take_turn()
        group = self._open_group()
        try:
            with group.part() as connection:
                yield connection
        finally:
            # Also when it was refused, perhaps for what another part did: that has to be in force first.
            self._end_turn(group)
            group.await_commit()

    def _take_turn(self) -> None:
        with self._guard:
            if not self._is_taken:
                self._is_taken = True
                return
            turn = _Turn()
            self._waiting.append(turn)
        if not turn.called.wait(WAIT_SECONDS):
            self._give_up(turn)
        if turn.error is not None:
            raise StoreUnavailable(str(turn.error)) from turn.error

    def _give_up(self, turn: "_Turn") -> None:
        with self._guard:
            if turn in self._waiting:
                self._waiting.remove(turn)
                raise StoreUnavailable(f"no database connection came free in time, which is {WAIT_SECONDS:g} s")

    def _open_group(self) -> "_Group":
        if self._group is None:
            try:
                self._group = _Group(self._begin())
            except BaseException as error:
                self._fail_all(error)
                raise
        return self._group

    def _fail_all(self, error: BaseException) -> None:
        """What kept this one from beginning would keep each of the others for as long again."""
        with self._guard:
            failed, self._waiting = self._waiting, deque()
            self._is_taken = False
        for turn in failed:
            turn.call(error)

    def _end_turn(self, group: "_Group") -> None:
        """Leave the transaction to the next one, or commit if there is none or the transaction has failed."""
        with self._guard:
            joins = self._waiting.popleft() if self._waiting and group.may_grow else None
        if joins is None:
            self._group = None
            group.end()
            self._pass_on()
        else:
            joins.call()

    def _pass_on(self) -> None:
        with self._guard:
            following = self._waiting.popleft() if self._waiting else None
            self._is_taken = following is not None
        if following is not None:
            following.call()


class _Turn:
    """A thread that waits: it is called to work on the connection, or told why there is none."""

    def __init__(self) -> None:
        self.called = Event()
        self.error: BaseException | None = None

    def call(self, error: BaseException | None = None) -> None:
        self.error = error
        self.called.set()


class _Group:
    """The transaction, and those that have a part in it: one after the other, each in its own thread."""

    def __init__(self, transaction: AbstractContextManager[Connection]) -> None:
        self._transaction = ExitStack()
        self._connection = self._transaction.enter_context(transaction)
        self._driver: Any = self._connection.connection.dbapi_connection
        self._ended = Event()
        self._parts = 0
        self._error: BaseException | None = None

    @property
    def may_grow(self) -> bool:
        return self._error is None and self._parts < PARTS_AT_MOST

    @contextmanager
    def part(self) -> Iterator[Connection]:
        """Undone by itself if it fails; with it goes the transaction only if that is gone already."""
        self._parts += 1
        self._execute("SAVEPOINT part")
        try:
            with failures_translated():
                yield self._connection
        except BaseException as error:
            self._undo_part(error)
            raise
        self._execute("RELEASE part")

    def end(self) -> None:
        """Commit, or roll back after a failure. Whoever waits is told."""
        try:
            if self._error is None:
                self._transaction.close()
            else:
                self._transaction.__exit__(type(self._error), self._error, self._error.__traceback__)
        except BaseException as error:  # noqa: BLE001 - told to each that has a part in it, this thread among them
            self._error = error
        self._ended.set()

    def await_commit(self) -> None:
        """Raises StoreUnavailable if there was none."""
        self._ended.wait()
        if self._error is not None:
            raise StoreUnavailable(str(self._error)) from self._error

    def _undo_part(self, error: BaseException) -> None:
        # After some errors, a full disk among them, SQLite has rolled back everything; it says so here.
        if self._driver.in_transaction:
            self._execute("ROLLBACK TO part")
            self._execute("RELEASE part")
        else:
            self._error = error

    def _execute(self, statement: str) -> None:
        try:
            self._driver.execute(statement).close()
        except BaseException as error:
            self._error = error
            raise
