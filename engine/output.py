"""What a run prints: line by line, bounded, handed to whoever keeps or logs it."""

from collections.abc import Callable
from contextvars import ContextVar

from engine.limits import MAX_LINE_LENGTH


class RunOutput:
    """Splits what one run writes into lines and hands each to `emit(stream, line)`.

    Used by the thread of the run; a function that prints from threads of its own reaches it only if it copies the
    context into them.
    """

    def __init__(self, emit: Callable[[str, str], None]) -> None:
        self._emit = emit
        self._partial: dict[str, str] = {}

    def write(self, stream: str, text: str) -> None:
        """Take `text` written to `stream` ("stdout" or "stderr") and emit the lines it completes."""
        pending = self._partial.get(stream, "") + text
        *lines, rest = pending.split("\n")
        # Cut once, not piece by piece: each cut would copy what is left of, say, 50 MB.
        too_long = max(len(rest) - 1, 0) // MAX_LINE_LENGTH * MAX_LINE_LENGTH
        if too_long:
            lines.append(rest[:too_long])
        self._partial[stream] = rest[too_long:]
        for line in lines:
            self._emit_bounded(stream, line)

    def close(self) -> None:
        """Emit what was written without a closing newline."""
        for stream, rest in self._partial.items():
            if rest:
                self._emit(stream, rest)
        self._partial.clear()

    def _emit_bounded(self, stream: str, line: str) -> None:
        for start in range(0, max(len(line), 1), MAX_LINE_LENGTH):
            self._emit(stream, line[start : start + MAX_LINE_LENGTH])


current_output: ContextVar[RunOutput | None] = ContextVar("current_output", default=None)
"""Where the run of this context prints to; None outside a run. `sys.stdout` is routed by the deployment (app)."""
