"""Standard output as this process uses it: where log lines end, and where printed text goes instead."""

import contextlib
import io
import os
import select
import threading
import weakref
from collections.abc import Callable
from typing import Any, BinaryIO, Protocol, TextIO

from engine.output import RunOutput, current_output


class Sink(Protocol):
    """Where finished lines go. Only the listener thread writes; `write` may block and may raise."""

    def write(self, data: bytes) -> None: ...

    def close(self) -> None: ...


def open_sink(stream: TextIO | None) -> Sink:
    """The sink behind `stream`; None is what Python has for standard output when it was closed at the start."""
    if stream is None:
        return DescriptorSink(os.open(os.devnull, os.O_WRONLY))
    try:
        return DescriptorSink(os.dup(stream.fileno()))
    except (OSError, ValueError, AttributeError):
        return StreamSink(stream)


class DescriptorSink:
    """Writes to a file descriptor of its own.

    Not through the stream's buffer: a thread that is blocked there when the interpreter ends makes it abort, because
    the exit flush can't get the buffer's lock. A duplicate, because a number that was closed may be a database next.
    """

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def write(self, data: bytes) -> None:
        """Write all of it, however long that takes."""
        rest = memoryview(data)
        while rest:
            try:
                rest = rest[os.write(self._descriptor, rest) :]
            except BlockingIOError:
                # The other side may have made the pipe non-blocking, for both.
                select.select([], [self._descriptor], [])

    def close(self) -> None:
        os.close(self._descriptor)


class StreamSink:
    """Writes to a stream without a descriptor, as tests and notebooks have it."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, data: bytes) -> None:
        self._stream.write(data.decode())
        self._stream.flush()

    def close(self) -> None:
        """The stream belongs to whoever gave it."""


class RoutedStream(io.TextIOBase):
    """Stands in for `sys.stdout` or `sys.stderr`: what a run prints goes to the run, anything else to `emit_stray`.

    A text stream by inheritance, because libraries ask for one by type. For any thread; nothing it does raises into the
    code that prints. `emit_stray(stream, line)` must not log through handlers that could print again.
    """

    encoding: str = "utf-8"
    errors: str | None = "backslashreplace"

    def __init__(self, name: str, real: TextIO | None, emit_stray: Callable[[str, str], None]) -> None:
        self.name = f"<{name}>"
        self._stream_name = name
        self._real = real
        self._emit_stray = emit_stray
        self._thread = _ThreadState()

    @property
    def buffer(self) -> BinaryIO:
        """The real one's: bytes written there are not routed."""
        if self._real is None:
            raise AttributeError("buffer")
        return self._real.buffer

    def fileno(self) -> int:
        if self._real is None:
            raise io.UnsupportedOperation("fileno")
        return self._real.fileno()

    def isatty(self) -> bool:
        try:
            return self._real is not None and self._real.isatty()
        except ValueError:
            return False

    def writable(self) -> bool:
        return True

    def write(self, text: str, /) -> int:
        # There is no place left to report a failure to.
        with contextlib.suppress(Exception):
            self._route(str(text))
        return len(text)

    def flush(self) -> None:
        """Lines leave when they are complete; a part of one is not worth an event."""

    def close(self) -> None:
        """The process needs it to its end, whoever thinks otherwise."""

    def reconfigure(self, **_options: Any) -> None:
        """As `io.TextIOWrapper` has it; there is nothing to configure."""

    def finish(self) -> None:
        """Emit what this thread wrote without a closing newline, outside any run."""
        self._stray().close()

    def _route(self, text: str) -> None:
        output = current_output.get()
        # A handler on the way of a run's output may itself print: once more around would never end.
        if output is None or self._thread.is_routing:
            self._stray().write(self._stream_name, text)
        else:
            self._to_run(output, text)

    def _to_run(self, output: RunOutput, text: str) -> None:
        self._thread.is_routing = True
        try:
            output.write(self._stream_name, text)
        except Exception:  # noqa: BLE001 - whatever the run's side throws, what was printed is not lost
            self._stray().write(self._stream_name, text)
        finally:
            self._thread.is_routing = False

    def _stray(self) -> RunOutput:
        if self._thread.stray is None:
            self._thread.stray = RunOutput(self._emit_stray)
            # What the thread leaves unfinished comes out when the thread's own data goes.
            weakref.finalize(self._thread.end, self._thread.stray.close)
        return self._thread.stray


class _EndOfThread:
    """Dies with the thread that it was made for."""


class _ThreadState(threading.local):
    def __init__(self) -> None:
        self.is_routing = False
        self.stray: RunOutput | None = None
        self.end = _EndOfThread()
