"""The clocks of a node: the only place of the service that reads the system's time or waits for it (law 8)."""

import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from engine.limits import SLOW_ANSWER_SECONDS

_BOOT_CLOCK = getattr(time, "CLOCK_BOOTTIME", None)
"""Linux: as the monotonic clock, but it also counts while the machine is suspended, during which others go on."""


class SystemClock:
    """Wall clock, monotonic clock and waiting, as the machine has them. May be used from any thread."""

    def now(self) -> datetime:
        """The instant of the wall clock, aware, in UTC."""
        return datetime.now(UTC)

    def monotonic(self) -> float:
        """Seconds since an arbitrary zero; never set back."""
        return time.monotonic() if _BOOT_CLOCK is None else time.clock_gettime(_BOOT_CLOCK)

    def wait(self, condition: threading.Condition, seconds: float) -> None:
        """Wait on `condition`, held by the caller, until notified or for `seconds`; spurious returns happen."""
        condition.wait(min(max(seconds, 0.0), threading.TIMEOUT_MAX))

    def adjust(self, ask: Callable[[], datetime | None]) -> None:
        """Nobody else's time counts."""


class DatabaseClock:
    """The clock of a database server that many nodes share, between two times that it was asked. For any thread.

    It goes on by the machine's monotonic clock, so that steps of the wall clock are not even noticed, and is never
    knowingly ahead of the server: what is due here is due there.
    """

    def __init__(self, machine: SystemClock) -> None:
        self._machine = machine
        self._asked: tuple[datetime, float] | None = None

    def now(self) -> datetime:
        """The instant of the server's clock, aware, in UTC; of the machine's before the server was asked."""
        asked = self._asked
        return self._machine.now() if asked is None else _at(asked, self._machine.monotonic())

    def monotonic(self) -> float:
        """The machine's."""
        return self._machine.monotonic()

    def wait(self, condition: threading.Condition, seconds: float) -> None:
        """As the machine waits."""
        self._machine.wait(condition, seconds)

    def adjust(self, ask: Callable[[], datetime | None]) -> None:
        """Ask the server; raises what `ask` raises. Used by one thread at a time.

        The answer was true at some moment of the asking. Where the clock stands between the answer and the middle of
        that time it is left alone, for the next answer may be a slower one; elsewhere it is set to the answer. One that
        took long says so little that it is only heeded where the clock can't be right: set to it, the clock would be
        seconds behind, and others would take the node to have been silent for as long.
        """
        begun = self._machine.monotonic()
        answer = ask()
        ended = self._machine.monotonic()
        if answer is None:
            return
        asked, took = self._asked, ended - begun
        ahead = None if asked is None else _at(asked, ended) - answer
        tolerated = took if took > SLOW_ANSWER_SECONDS else took / 2
        if ahead is None or not timedelta(0) <= ahead <= timedelta(seconds=tolerated):
            self._asked = (answer, ended)


def _at(asked: tuple[datetime, float], monotonic: float) -> datetime:
    instant, then = asked
    return instant + timedelta(seconds=monotonic - then)
