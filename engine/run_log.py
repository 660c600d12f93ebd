"""The log of one run while it is written: bounded, for any thread, and followed live without being held up by it."""

import json
import os
import threading
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from contextvars import ContextVar
from dataclasses import replace
from itertools import islice
from typing import Any

from engine.captured_log import CapturedLog, LogLine, Stream
from engine.limits import (
    BREATH_SECONDS,
    LINES_PER_BREATH,
    LOG_LINE_COST,
    MAX_LINE_FACTS_BYTES,
    MAX_LINE_LENGTH,
    MAX_LINE_NAME_LENGTH,
    MAX_LOG_BYTES,
    MAX_LOG_LINES,
)
from engine.plain_values import PlainValues, bounded, encodable
from engine.ports import Clock

Wake = Callable[[], None]
"""Tells somebody to look again. Called in whatever thread has written: it must neither wait nor raise."""

_STREAMS: dict[str, Stream] = {"stdout": "stdout", "stderr": "stderr", "log": "log"}


class RunLog:
    """Keeps the newest lines of one run and counts the older ones, numbering all from 0. For any thread.

    Writing costs the same however much was written before, and never raises: it happens inside of user code. Once lines
    are dropped, whoever writes on is slowed down, so that others get their turn.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        # Reentrant: a destructor that prints may run while this very thread is inside append().
        self._lock = threading.RLock()
        self._lines: deque[tuple[LogLine, int]] = deque()
        self._bytes = 0
        self._dropped = 0
        self._is_closed = False
        self._is_let_go = False
        self._waiting: set[Wake] = set()
        self._process_id = os.getpid()

    @property
    def is_let_go(self) -> bool:
        """Whether nobody is to follow it any longer."""
        return self._is_let_go

    def write(
        self,
        stream: str,
        text: str,
        *,
        level: str | None = None,
        logger: str | None = None,
        facts: dict[str, Any] | None = None,
    ) -> None:
        """Keep a line that was written just now to `stream`: "stdout", "stderr" or "log"."""
        kept_as = _STREAMS.get(stream, "log")
        self.append(LogLine(self._clock.now(), kept_as, text, level=level, logger=logger, facts=facts or {}))

    def append(self, line: LogLine) -> None:
        """Keep the line, cut to its limits; its facts may be any values. Does nothing once the log is closed."""
        # In a forked child this is a copy that nobody reads, and the lock may be held by a thread that is not there.
        if os.getpid() != self._process_id:
            return
        kept = _bounded(line)
        size = _size(kept)
        with self._lock:
            if self._is_closed:
                return
            self._lines.append((kept, size))
            self._bytes += size
            while self._bytes > MAX_LOG_BYTES or len(self._lines) > MAX_LOG_LINES:
                self._drop_oldest()
            is_flooding = self._dropped > 0 and (self._dropped + len(self._lines)) % LINES_PER_BREATH == 0
            waiting = self._take_waiting()
        _wake_all(waiting)
        if is_flooding:
            _let_others_run()

    def close(self) -> None:
        """Keep nothing more: what a thread that the run left behind writes later is not the run's any more."""
        with self._lock:
            self._is_closed = True

    def let_go(self) -> None:
        """Tell those who follow that it is over, or that they are to leave; what is written is still kept."""
        with self._lock:
            self._is_let_go = True
            waiting = self._take_waiting()
        _wake_all(waiting)

    def captured(self) -> CapturedLog:
        """What is kept by now."""
        with self._lock:
            return CapturedLog(lines=tuple(line for line, _ in self._lines), dropped=self._dropped)

    def since(self, number: int) -> tuple[int, tuple[LogLine, ...]]:
        """What is kept from line `number` on, and the number of the first of them, or of the next that will come.

        A first number that is larger than `number` says how many lines were dropped before anybody asked.
        """
        with self._lock:
            first = min(max(number, self._dropped), self._dropped + len(self._lines))
            lines = islice(self._lines, first - self._dropped, None)
            return first, tuple(line for line, _ in lines)

    def wake_once(self, number: int, wake: Wake) -> None:
        """Call `wake` one time, when there is a line `number` or the log is let go; now, if that is so already.

        One time, and not for each line: a run that writes millions would wake its readers millions of times.
        """
        with self._lock:
            is_waiting = number >= self._dropped + len(self._lines) and not self._is_let_go
            if is_waiting:
                self._waiting.add(wake)
        if not is_waiting:
            wake()

    def forget(self, wake: Wake) -> None:
        """Do not call `wake` any more."""
        with self._lock:
            self._waiting.discard(wake)

    def _drop_oldest(self) -> None:
        _line, size = self._lines.popleft()
        self._bytes -= size
        self._dropped += 1

    def _take_waiting(self) -> set[Wake]:
        if not self._waiting:
            return self._waiting
        taken, self._waiting = self._waiting, set()
        return taken


current_log: ContextVar[RunLog | None] = ContextVar("current_log", default=None)
"""The log of the run of this context; None outside a run, and in a thread that was started without the context."""


def _let_others_run() -> None:
    """Let go of the interpreter for a moment: a thread that only writes would hold it most of the time, and the timer
    would have to wait for it at each of its steps."""
    # An Event and not the clock (law 8): nothing waits for this time to pass, and it must pass under any clock.
    threading.Event().wait(BREATH_SECONDS)


def _wake_all(waiting: set[Wake]) -> None:
    # After the lock is released (law 5).
    for wake in waiting:
        # Behind it stands user code, which is not to hear of a reader's trouble.
        with suppress(Exception):
            wake()


def _bounded(line: LogLine) -> LogLine:
    try:
        if line.level is line.logger is None and not line.facts and line.stream in _STREAMS:
            text = _storable(line.text, MAX_LINE_LENGTH)
            # The way of most lines, each of which a function waits for.
            return line if text is line.text else replace(line, text=text)
        return replace(
            line,
            stream=_STREAMS.get(line.stream, "log"),
            text=_storable(line.text, MAX_LINE_LENGTH),
            level=None if line.level is None else _storable(line.level, MAX_LINE_NAME_LENGTH),
            logger=None if line.logger is None else _storable(line.logger, MAX_LINE_NAME_LENGTH),
            facts=_bounded_facts(line.facts),
        )
    # Whatever was handed in, the line keeps its number: a reader must not take it for one that was never written.
    except Exception as error:  # noqa: BLE001 - see above
        return LogLine(at=line.at, stream="log", text=f"<a line that could not be kept: {type(error).__name__}>")


def _storable(text: str, limit: int) -> str:
    """Without NUL, which PostgreSQL refuses, and halves of surrogate pairs, which UTF-8 does."""
    return encodable(bounded(str.__str__(text), limit).replace("\x00", "\\x00"))


def _bounded_facts(facts: dict[str, Any]) -> dict[str, Any]:
    """Those that fit into the limit, in their order, as plain values."""
    if not facts:
        return {}
    kept: dict[str, Any] = {}
    left = MAX_LINE_FACTS_BYTES
    left_out = 0
    for key, value in PlainValues().mapping(facts).items():
        left -= len(_encoded({key: value}))
        if left >= 0:
            kept[key] = value
        else:
            left_out += 1
    return {**kept, "left_out": left_out} if left_out else kept


def _size(line: LogLine) -> int:
    facts = len(_encoded(line.facts)) if line.facts else 0
    text = len(line.text) if line.text.isascii() else len(line.text.encode())
    return LOG_LINE_COST + text + facts


def _encoded(facts: dict[str, Any]) -> bytes:
    return json.dumps(facts, ensure_ascii=False).encode()
