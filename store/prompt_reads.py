"""Reads for whoever must not wait, such as an event loop: one row by its key, which SQLite tells in microseconds."""

from collections.abc import Iterator
from contextlib import contextmanager
from threading import Lock

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import DBAPIError


class WouldWait(Exception):
    """What was asked cannot be told at once: to be asked again where waiting is allowed."""


class PromptReads:
    """Reads on one connection, which is kept, as fetching one from a pool costs more than the read. For any thread.

    `database` gives connections that wait for no lock and need no transaction. Nothing watches over them: there is
    nothing to wait for, and no search that could be long.
    """

    def __init__(self, database: Engine) -> None:
        self._database = database
        self._turn = Lock()
        self._connection: Connection | None = None
        self._is_closed = False

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """For one statement that finds rows by a key. Raises WouldWait."""
        if not self._turn.acquire(blocking=False):
            raise WouldWait
        try:
            yield self._kept()
        except DBAPIError as error:
            self._let_go()
            # Where waiting is allowed it will be well in a moment, or fail and be told of.
            raise WouldWait from error
        finally:
            self._turn.release()

    def close(self) -> None:
        """Let go of the connection, and open no more."""
        with self._turn:
            self._is_closed = True
            self._let_go()

    def _kept(self) -> Connection:
        if self._is_closed:
            raise WouldWait
        if self._connection is None:
            self._connection = self._database.connect()
        return self._connection

    def _let_go(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.invalidate()
            connection.close()
