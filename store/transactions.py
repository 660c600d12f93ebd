"""Transactions of a store, on two pools of connections: each verb is one."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from sqlalchemy import Connection, Engine

from engine.errors import StoreUnavailable
from store.failures import failures_translated
from store.prompt_reads import PromptReads
from store.shared_commits import SharedCommits
from store.usage import Usage

CLOSE_SECONDS = 2.0
"""How long a close waits for verbs that are in progress."""


class Transactions:
    """For any thread. All raise StoreUnavailable."""

    def __init__(
        self,
        writing: Engine,
        reading: Engine,
        *,
        prompt_reads: PromptReads | None,
        announce: Callable[[Connection], None],
        shares_commits: bool,
    ) -> None:
        """`shares_commits`: whether one commit for several small transactions is faster than one for each."""
        self.writing_database = writing
        self.reading_database = reading
        self.prompt_reads = prompt_reads
        self._announce = announce
        self._usage = Usage()
        self._shared = SharedCommits(self.writing).joined if shares_commits else self.writing
        self._is_closed = False

    def close(self) -> None:
        """Begin no more of them, and wait for those in progress."""
        self._is_closed = True
        # A connection that is in use when its pool goes is closed by nobody.
        self._usage.await_none(CLOSE_SECONDS)

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """One that changes nothing."""
        with failures_translated(), self._usage.counted(), self._open(self.reading_database).begin() as connection:
            yield connection

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        """One that changes what only this node needs to know at once."""
        with failures_translated(), self._usage.counted(), self._open(self.writing_database).begin() as connection:
            # Asked again: begin() may have waited for the one connection until after a close.
            self._open(self.writing_database)
            yield connection

    @contextmanager
    def changing(self) -> Iterator[Connection]:
        """One whose change is to be in force on other nodes too: they are told."""
        with self.writing() as connection:
            yield connection
            self._announce(connection)

    @contextmanager
    def changing_together(self) -> Iterator[Connection]:
        """The same for a small one: where that pays, it shares its commit with others that come at the same time."""
        with self._shared() as connection:
            yield connection
            self._announce(connection)

    def announce(self) -> None:
        """Tell the other nodes of what is committed already."""
        with self.reading() as connection:
            self._announce(connection)

    def _open(self, database: Engine) -> Engine:
        # A closed pool would quietly open new connections, without the lock.
        if self._is_closed:
            raise StoreUnavailable("the store is closed")
        return database
