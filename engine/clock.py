"""The system's clock: the only place of the service that reads the time or waits for it (law 8)."""

import threading
import time
from datetime import UTC, datetime


class SystemClock:
    """Wall clock, monotonic clock and waiting, as the machine has them. May be used from any thread."""

    def now(self) -> datetime:
        """The instant of the wall clock, aware, in UTC."""
        return datetime.now(UTC)

    def monotonic(self) -> float:
        """Seconds since an arbitrary zero; never set back."""
        return time.monotonic()

    def wait(self, condition: threading.Condition, seconds: float) -> None:
        """Wait on `condition`, held by the caller, until notified or for `seconds`; spurious returns happen."""
        condition.wait(min(max(seconds, 0.0), threading.TIMEOUT_MAX))
