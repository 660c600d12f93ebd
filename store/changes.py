"""Noticing that another process changed something: a thread that follows what the database tells."""

from collections.abc import Callable
from threading import Event, Thread, current_thread
from typing import Protocol

import structlog
from sqlalchemy import Connection

from store.failures import failures_translated

FIRST_PAUSE_SECONDS = 0.1
LONGEST_PAUSE_SECONDS = 2.0
"""How long to wait before the database is asked again that did not answer: doubled from the first to the longest."""

CLOSE_SECONDS = 2.0
"""How long a close waits for the thread."""

log = structlog.get_logger("scheduler.store")


class Changes(Protocol):
    """What a database tells of changes."""

    def announce(self, connection: Connection) -> None:
        """See to it that others hear of this transaction once it is committed."""
        ...

    def follow(self, heard: Callable[[], None]) -> None:
        """Call `heard` now, as something may have happened before, and then with each change, until `stop`.

        Raises whatever the database's driver does when that is away; to be called again then.
        """
        ...

    def stop(self) -> None:
        """Have `follow` return, now and later."""
        ...


class ChangeWatch:
    """The thread of a store."""

    def __init__(self, changes: Changes) -> None:
        self._changes = changes
        self._closed = Event()
        self._thread: Thread | None = None
        self._changed: Callable[[], object] = lambda: None
        self._failures = 0

    def start(self, changed: Callable[[], object]) -> None:
        """Call `changed` from now on, from a thread of its own, whenever there may be something new. Once."""
        self._changed = changed
        self._thread = Thread(target=self._run, name="scheduler-changes", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """End the thread."""
        self._closed.set()
        self._changes.stop()
        if self._thread is not None and self._thread is not current_thread():
            self._thread.join(CLOSE_SECONDS)

    def _run(self) -> None:
        while not self._closed.is_set():
            try:
                with failures_translated():
                    self._changes.follow(self._heard)
            except Exception as error:  # noqa: BLE001 - law 9: whatever the drivers have for a database that is away
                self._failed(error)

    def _heard(self) -> None:
        if self._failures:
            log.info("changes followed again")
        self._failures = 0
        try:
            self._changed()
        except Exception:
            if not self._closed.is_set():
                log.exception("changes not looked at")

    def _failed(self, error: Exception) -> None:
        if not self._failures and not self._closed.is_set():
            log.warning("changes not followed", error=str(error).strip())
        self._closed.wait(min(FIRST_PAUSE_SECONDS * 2**self._failures, LONGEST_PAUSE_SECONDS))
        self._failures = min(self._failures + 1, 10)
