"""PostgreSQL's word on changes: notifications, on a connection of its own."""

import select
import socket
from collections.abc import Callable
from contextlib import suppress
from threading import Event
from typing import Any

from sqlalchemy import Connection, Engine, text

from engine.errors import StoreUnavailable
from store.watchdog import Watchdog

KEEPALIVE_SECONDS = 5.0
"""How long the connection is silent before it is asked whether it is still there, and how long it may then take."""

# A channel is heard in the whole database.
_CHANNEL = "'scheduler_' || md5(current_schema())"
_NAME = text(f"SELECT {_CHANNEL}")
_NOTIFY = text(f"SELECT pg_notify({_CHANNEL}, '')")


class PostgresqlChanges:
    """Listens on a connection of `database`; this process's own notifications are heard as well.

    `check` is called with each connection, and when it is silent: what cut this one has cut others that nobody uses.
    It may raise StoreUnavailable.
    """

    def __init__(self, database: Engine, watchdog: Watchdog, *, check: Callable[[], None]) -> None:
        self._database = database
        self._watchdog = watchdog
        self._check = check
        self._stopped = Event()
        self._waker: socket.socket | None = None

    def announce(self, connection: Connection) -> None:
        connection.execute(_NOTIFY)

    def follow(self, heard: Callable[[], None]) -> None:
        waker, self._waker = socket.socketpair()
        with waker, self._waker, self._database.connect() as connection:
            driver = connection.connection.dbapi_connection
            with self._watchdog.watching(driver):
                channel = connection.scalar(_NAME)
                connection.exec_driver_sql(f'LISTEN "{channel}"')
            heard()
            self._check_others()
            self._listen(driver, waker, heard)

    def stop(self) -> None:
        self._stopped.set()
        waker = self._waker
        if waker is not None:
            # It may be closed already, with a connection that broke.
            with suppress(OSError):
                waker.send(b"\0")

    def _listen(self, driver: Any, waker: socket.socket, heard: Callable[[], None]) -> None:
        poll = select.poll()
        for descriptor in (driver.fileno(), waker.fileno()):
            poll.register(descriptor, select.POLLIN)
        while not self._stopped.is_set():
            # Not the clock (law 8): nothing but this thread goes by it.
            if not poll.poll(KEEPALIVE_SECONDS * 1000):
                self._ask(driver)
                self._check_others()
            if _has_notifications(driver):
                heard()

    def _ask(self, driver: Any) -> None:
        with self._watchdog.watching(driver, KEEPALIVE_SECONDS), driver.cursor() as cursor:
            cursor.execute("SELECT 1")

    def _check_others(self) -> None:
        # Readiness says what is wrong, if anything is.
        with suppress(StoreUnavailable):
            self._check()


def _has_notifications(driver: Any) -> bool:
    """Take what has arrived; raises the driver's error if the connection is gone."""
    if callable(driver.notifies):  # psycopg 3
        return bool(list(driver.notifies(timeout=0)))
    driver.poll()
    received = bool(driver.notifies)
    driver.notifies.clear()
    return received
