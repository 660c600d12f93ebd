"""What is kept of what a run printed and logged: plain frozen values, for the outcome, the store and the API."""

from dataclasses import field
from datetime import datetime
from typing import Any, Literal

from engine.values import quick_dataclass

Stream = Literal["stdout", "stderr", "log"]
"""Where a line was written: printed to one of the two, or logged."""


@quick_dataclass(frozen=True, slots=True)
class LogLine:
    """One line. `level`, `logger` and `facts` (JSON values) are those of a logged one; a printed one has none."""

    at: datetime
    stream: Stream
    text: str
    level: str | None = None
    logger: str | None = None
    facts: dict[str, Any] = field(default_factory=dict)


@quick_dataclass(frozen=True, slots=True)
class CapturedLog:
    """The newest lines of a run, oldest first; `dropped` older ones are gone.

    Lines are numbered from 0 over all that were ever written, so the first one here has the number `dropped`.
    """

    lines: tuple[LogLine, ...] = ()
    dropped: int = 0

    def since(self, number: int) -> tuple[int, tuple[LogLine, ...]]:
        """The lines from `number` on, and the number of the first of them, or of the one that would come next."""
        first = min(max(number, self.dropped), self.dropped + len(self.lines))
        return first, self.lines[first - self.dropped :]
