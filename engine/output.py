"""What a run prints: line by line, bounded, handed to whoever keeps or logs it."""

from collections.abc import Callable, Iterator
from contextvars import ContextVar
from threading import get_ident

from engine.limits import MAX_LINE_LENGTH


class RunOutput:
    """Splits what one run writes into lines and hands each to `emit(stream, line)`, in the thread that writes it.

    For any thread that has the run's context, which one that the function starts has only by copying it. Each thread
    completes its own lines: print() writes text and newline one after the other, and others may write in between.
    """

    def __init__(self, emit: Callable[[str, str], None]) -> None:
        self._emit = emit
        self._partial: dict[tuple[str, int], str] = {}

    def write(self, stream: str, text: str) -> None:
        """Take `text` written to `stream` ("stdout" or "stderr") and emit the lines it completes."""
        # A thread touches its own entry only, so no lock is needed.
        writer = (stream, get_ident())
        pending = self._partial.pop(writer, "") + text
        complete = pending.rfind("\n") + 1
        # Cut once, not piece by piece: each cut would copy what is left of, say, 50 MB.
        too_long = complete + max(len(pending) - complete - 1, 0) // MAX_LINE_LENGTH * MAX_LINE_LENGTH
        if rest := pending[too_long:]:
            self._partial[writer] = rest
        for line in _lines_of(pending, complete):
            self._emit_bounded(stream, line)
        if too_long > complete:
            self._emit_bounded(stream, pending[complete:too_long])

    def close(self) -> None:
        """Emit what was written without a closing newline."""
        for writer in list(self._partial):
            # Its thread may be completing it at this moment.
            if rest := self._partial.pop(writer, ""):
                self._emit(writer[0], rest)

    def _emit_bounded(self, stream: str, line: str) -> None:
        for start in range(0, max(len(line), 1), MAX_LINE_LENGTH):
            self._emit(stream, line[start : start + MAX_LINE_LENGTH])


def _lines_of(text: str, end: int) -> Iterator[str]:
    """The lines of the text up to `end`, one by one: a list of them would take more memory than the text."""
    start = 0
    while start < end:
        newline = text.index("\n", start)
        yield text[start:newline]
        start = newline + 1


current_output: ContextVar[RunOutput | None] = ContextVar("current_output", default=None)
"""Where the run of this context prints to; None outside a run. `sys.stdout` is routed by the deployment (app)."""
