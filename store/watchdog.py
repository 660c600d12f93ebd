"""A deadline for whatever is asked of a database: a call that is in it for too long is made to fail.

Behind the time-outs of driver and server, which a frozen server or a silent cut of the network does not keep.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from threading import Event, Lock, Thread
from typing import Any

import structlog
from sqlalchemy import Engine, event
from sqlalchemy.exc import InvalidatePoolError

TICK_SECONDS = 0.5
PING_SECONDS = 3.0
"""How long a connection from the pool may take to show that it is still there."""

log = structlog.get_logger("scheduler.store")


class Watchdog:
    """Watches connections for as long as each is in use. For any thread.

    `abort` is called with a driver's connection, from the watchdog's thread, and has to make the call on it fail that
    another thread is in; after `seconds`, and again with each tick until that one gives up. `is_quiet` says of one that
    nobody uses that there is no word from its database, such as that it has gone.
    """

    def __init__(
        self,
        *,
        abort: Callable[[Any], None],
        seconds: float,
        is_quiet: Callable[[Any], bool] = lambda _connection: False,
    ) -> None:
        self._abort = abort
        self._is_quiet = is_quiet
        self._seconds = seconds
        self._calls: dict[object, _Call] = {}
        self._ticks = 0
        self._guard = Lock()
        self._stopped = Event()

    def start(self) -> None:
        """Begin to watch what is and will be in use."""
        Thread(target=self._run, name="scheduler-watchdog", daemon=True).start()

    def stop(self) -> None:
        """End the thread."""
        self._stopped.set()

    def watch_over(self, database: Engine, *, pings: bool = False) -> None:
        """Watch what the pool gives out, from the first word to a new connection until it is back.

        Pings a connection that has been in the pool before, as `pool_pre_ping` would, but that one may hang. Not one
        that was in use a moment ago and `is_quiet`: who works without a pause would wait for as many answers again.
        """

        def check_out(connection: Any, record: Any, _proxy: object) -> None:
            is_fresh = record.info["heard_of_at_tick"] == self._ticks
            if pings and not (is_fresh and self._is_quiet(connection)):
                self._ping(database, connection, record)
            self._begin(record, connection, self._seconds)

        def hear_of(_connection: Any, record: Any) -> None:
            record.info["heard_of_at_tick"] = self._ticks

        def check_in(connection: Any, record: Any) -> None:
            self._end(record)
            # One that has failed is given back without its connection.
            if connection is not None:
                hear_of(connection, record)

        self._watch_connecting(database)
        event.listen(database, "connect", hear_of)
        event.listen(database, "checkout", check_out)
        event.listen(database, "checkin", check_in)

    def watch_connecting(self, database: Engine) -> None:
        """Watch new connections until they are given out; for those that are then kept."""
        self._watch_connecting(database)
        event.listen(database, "checkout", lambda _connection, record, _proxy: self._end(record))

    @contextmanager
    def watching(self, connection: Any, seconds: float | None = None) -> Iterator[None]:
        """Watch a driver's connection while in here."""
        key = object()
        self._begin(key, connection, seconds or self._seconds)
        try:
            yield
        finally:
            self._end(key)

    def tick(self) -> None:
        """Let TICK_SECONDS pass."""
        self._ticks += 1
        with self._guard:
            overdue = {key: call for key, call in self._calls.items() if call.is_overdue_at_tick()}
            for key, call in overdue.items():
                self._give_up(key, call)
        for call in overdue.values():
            if call.seconds_left > -TICK_SECONDS:
                log.warning("database call given up", seconds=call.seconds)

    def _watch_connecting(self, database: Engine) -> None:
        # Before all other listeners, which ask the server for this and that.
        event.listen(
            database,
            "connect",
            lambda connection, record: self._begin(record, connection, self._seconds),
            insert=True,
        )

    def _ping(self, database: Engine, connection: Any, record: object) -> None:
        self._begin(record, connection, PING_SECONDS)
        try:
            database.dialect.do_ping(connection)
        except database.dialect.loaded_dbapi.Error as error:
            raise InvalidatePoolError(str(error)) from error

    def _begin(self, key: object, connection: Any, seconds: float) -> None:
        with self._guard:
            self._calls[key] = _Call(connection, seconds)

    def _end(self, key: object) -> None:
        with self._guard:
            self._calls.pop(key, None)

    def _run(self) -> None:
        while not self._stopped.wait(TICK_SECONDS):
            self.tick()

    def _give_up(self, key: object, call: "_Call") -> None:
        # Under the guard: the connection must not be in another's hands meanwhile.
        if call.seconds_left < -self._seconds:
            del self._calls[key]  # a connection that failed before it was given out: nobody takes it back
        # One that was closed meanwhile: each driver has an error of its own for that.
        with suppress(Exception):
            self._abort(call.connection)


class _Call:
    """A connection in use, and the time that it still has. Counted in ticks: the store has no clock (law 8)."""

    __slots__ = ("connection", "seconds", "seconds_left")

    def __init__(self, connection: Any, seconds: float) -> None:
        self.connection = connection
        self.seconds = self.seconds_left = seconds

    def is_overdue_at_tick(self) -> bool:
        self.seconds_left -= TICK_SECONDS
        return self.seconds_left <= 0
