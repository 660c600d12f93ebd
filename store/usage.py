"""How many verbs are in progress, so that a close can wait for them."""

from collections.abc import Iterator
from contextlib import contextmanager
from threading import Condition


class Usage:
    """Counts; for any thread."""

    def __init__(self) -> None:
        self._changed = Condition()
        self._count = 0

    @contextmanager
    def counted(self) -> Iterator[None]:
        """One more while in here."""
        with self._changed:
            self._count += 1
        try:
            yield
        finally:
            with self._changed:
                self._count -= 1
                self._changed.notify_all()

    def await_none(self, seconds: float) -> bool:
        """Wait until there are none, at most that long; says whether it is so."""
        with self._changed:
            return self._changed.wait_for(lambda: self._count == 0, seconds)
