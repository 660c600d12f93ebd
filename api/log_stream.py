"""The log of a run as server-sent events, from what is there already to the end of the run.

The format: https://html.spec.whatwg.org/multipage/server-sent-events.html.
"""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing, suppress
from dataclasses import dataclass
from uuid import UUID

from fastapi.sse import EventSourceResponse, format_sse_event
from starlette.concurrency import run_in_threadpool
from starlette.types import Receive, Scope, Send

from api.limits import KEEP_ALIVE_SECONDS, LINES_PER_CHUNK, LOOK_UP_SECONDS, SECONDS_BETWEEN_READS
from api.open_streams import OpenStreams
from api.responses import DroppedView, LogLineView, RunEndView
from api.service import Reads
from engine.captured_log import CapturedLog, LogLine
from engine.errors import StoreUnavailable
from engine.live_logs import LiveLogs
from engine.nouns import Run, RunState
from engine.run_log import RunLog

HEADERS = {"Cache-Control": "no-cache", "X-Accel-Buffering": "no"}
"""Nothing on the way is to keep the answer, or to hold it back: the second is nginx's."""

KEEP_ALIVE = format_sse_event(comment="keep-alive")


class LogStreamResponse(EventSourceResponse):
    """The answer that follows one log. Counts as open while it is sent, and cleans up however that ends."""

    def __init__(self, stream: "LogStream", open_streams: OpenStreams) -> None:
        self._stream = stream
        self._open_streams = open_streams
        super().__init__((), headers=HEADERS)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send it. Raises TooManyStreams before anything is sent."""
        # Closed here: a client that leaves ends the sending in the middle, and only the garbage collector would come.
        with self._open_streams.one_more():
            async with aclosing(self._stream.events()) as events:
                self.body_iterator = events
                await super().__call__(scope, receive, send)


@dataclass(frozen=True, slots=True)
class Look:
    """What a look at the log has found: what to send now, whether that is all, and when to look again at the latest."""

    chunks: Sequence[bytes] = ()
    is_last: bool = False
    seconds: float = KEEP_ALIVE_SECONDS


class LogStream:
    """Follows the log of one run, from line `first_number` on.

    Of the log only what is next is taken, when the client has taken what was before: one that is slow misses lines,
    and is told how many. Ends with the run; or without the event `end` when this process is about to stop, upon which
    clients ask again, of whoever answers then.
    """

    def __init__(self, *, live_logs: LiveLogs, store: Reads, run_id: UUID, first_number: int) -> None:
        self._live_logs = live_logs
        self._store = store
        self._run_id = run_id
        self._next_number = first_number

    async def events(self) -> AsyncGenerator[bytes, None]:
        """The events in their bytes, some at once."""
        alarm = Alarm()
        log: RunLog | None = None
        try:
            while True:
                alarm.reset()
                log = self._live_logs.get(self._run_id)
                look = await self._look_up(alarm) if log is None else self._look_at(log, alarm)
                for chunk in look.chunks:
                    yield chunk
                if look.is_last:
                    return
                if look.chunks:
                    await asyncio.sleep(SECONDS_BETWEEN_READS)
                if not await alarm.rings_within(look.seconds):
                    yield KEEP_ALIVE
        finally:
            self._live_logs.forget(self._run_id, alarm.ring)
            if log is not None:
                log.forget(alarm.ring)

    def _look_at(self, log: RunLog, alarm: "Alarm") -> Look:
        """At the log of a run that is going on here."""
        is_last = self._live_logs.is_ended
        chunks = self._chunks_of(*log.since(self._next_number))
        # Rings at once if there is more by now, or the run is over and the log is in the store.
        log.wake_once(self._next_number, alarm.ring)
        return Look(chunks, is_last=is_last)

    async def _look_up(self, alarm: "Alarm") -> Look:
        """In the store, where the run may have ended, wait for a thread, or be going on elsewhere."""
        self._live_logs.wake_once(self._run_id, alarm.ring)
        if self._live_logs.is_ended:
            return Look(is_last=True)
        try:
            return await run_in_threadpool(self._read)
        except StoreUnavailable:
            return Look(seconds=LOOK_UP_SECONDS)

    def _read(self) -> Look:
        run = self._store.run(self._run_id)
        if run is None:
            return Look(is_last=True)
        if run.state is RunState.RUNNING:
            return Look(seconds=LOOK_UP_SECONDS)
        # In this order: of a run that has ended, the log is there.
        log = self._store.run_log(self._run_id) or CapturedLog()
        return Look([*self._chunks_of(*log.since(self._next_number)), _end_of(run)], is_last=True)

    def _chunks_of(self, first_number: int, lines: Sequence[LogLine]) -> list[bytes]:
        dropped = first_number - self._next_number
        self._next_number = first_number + len(lines)
        chunks = [_dropping_of(dropped, before=first_number)] if dropped > 0 else []
        starts = range(0, len(lines), LINES_PER_CHUNK)
        return chunks + [_events_of(lines[start : start + LINES_PER_CHUNK], first_number + start) for start in starts]


class Alarm:
    """Wakes the one coroutine that waits for it, from any thread. Made where it is waited for."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._is_ringing = asyncio.Event()

    def ring(self) -> None:
        """Never waits, never raises."""
        # The loop may be closed already: then nobody waits.
        with suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self._is_ringing.set)

    def reset(self) -> None:
        """Whatever rings from now on counts. To be called before the look whose news is waited for."""
        self._is_ringing.clear()

    async def rings_within(self, seconds: float) -> bool:
        """Wait for it; False if it does not ring in time."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._is_ringing.wait()
        return self._is_ringing.is_set()


def _events_of(lines: Sequence[LogLine], first_number: int) -> bytes:
    return b"".join(
        format_sse_event(event="line", id=str(number), data_str=LogLineView.of(line, number=number).model_dump_json())
        for number, line in enumerate(lines, first_number)
    )


def _dropping_of(count: int, *, before: int) -> bytes:
    return format_sse_event(event="dropped", id=str(before - 1), data_str=DroppedView(dropped=count).model_dump_json())


def _end_of(run: Run) -> bytes:
    return format_sse_event(event="end", data_str=RunEndView(state=run.state).model_dump_json())
