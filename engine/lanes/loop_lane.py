"""The lane of coroutine functions: one daemon thread with one loop, on which they all take turns."""

import asyncio
import contextlib
import threading
from collections.abc import Callable, Coroutine
from contextvars import Context
from typing import Any

import structlog

from engine.call_ends import CallEnd, Killed, end_of_raise, end_of_return
from engine.errors import NotScheduling
from engine.limits import LOOP_BEAT_SECONDS
from engine.ports import Clock
from registry import JobFunction

log = structlog.get_logger("scheduler.lanes")

MakeCoroutine = Callable[[], Coroutine[Any, Any, Any]]


class LoopCall:
    """One coroutine on the loop. `cancel` is for any thread, all else for the loop's."""

    def __init__(
        self,
        make_coroutine: MakeCoroutine,
        *,
        ended: Callable[[CallEnd], None],
        function: JobFunction,
        loop: asyncio.AbstractEventLoop,
    ) -> None:
        self._make_coroutine = make_coroutine
        self._ended = ended
        self._function = function
        self._loop = loop
        self._task: asyncio.Task[None] | None = None
        self._is_cancelled = False
        self._end: CallEnd | None = None

    def cancel(self) -> None:
        """Cancel its task, each time anew; after its end this does nothing. Returns at once.

        A coroutine that catches the cancellation goes on, and how it then ends is how the call ended.
        """
        # RuntimeError: the loop is closed, and with it every call is over.
        with contextlib.suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self._cancel)

    def begin(self, context: Context, over: "Callable[[LoopCall], None]") -> None:
        """Make its task, in this context; `over` is called after `ended`."""
        self._task = self._loop.create_task(self._live(), context=context)
        self._task.add_done_callback(lambda _task: self._tell(over))

    def _cancel(self) -> None:
        if self._task is not None and not self._task.done():
            self._is_cancelled = True
            self._task.cancel()

    async def _live(self) -> None:
        # Nothing gets out of here: asyncio would stop the whole loop for a SystemExit.
        try:
            result = await self._make_coroutine()
            self._end = end_of_return(self._function, result)
        except BaseException as error:  # noqa: BLE001 - see above
            is_ours = isinstance(error, asyncio.CancelledError) and self._is_cancelled
            self._end = Killed() if is_ours else end_of_raise(self._function, error)

    def _tell(self, over: "Callable[[LoopCall], None]") -> None:
        try:
            # It has none if it was cancelled before its first turn.
            self._ended(self._end or Killed())
        # What stands behind it is the run's business; the loop goes on (law 9).
        except Exception:
            log.exception("end of a call not passed on", function_name=self._function.name)
        finally:
            over(self)


class LoopLane:
    """Runs coroutines on a loop of its own. For any thread; `clock` measures how long the loop has not come round."""

    def __init__(self, *, clock: Clock) -> None:
        self._clock = clock
        self._condition = threading.Condition()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._calls: set[LoopCall] = set()
        self._is_stopping = False
        self._is_over = True
        self._turned_at = 0.0

    def start(self) -> None:
        """Start the thread and its loop, once."""
        self._loop = asyncio.new_event_loop()
        self._is_over = False
        self._turned_at = self._clock.monotonic()
        threading.Thread(target=self._serve, args=(self._loop,), name="scheduler-loop", daemon=True).start()

    def submit(
        self,
        make_coroutine: MakeCoroutine,
        *,
        ended: Callable[[CallEnd], None],
        function: JobFunction,
        context: Context,
    ) -> LoopCall:
        """Run what `make_coroutine` makes, both in `context` and on the loop's thread, where `ended` is called once.

        Neither is called within this call. Raises NotScheduling before the start and after a stop.
        """
        with self._condition:
            if self._loop is None or self._is_stopping:
                raise NotScheduling
            call = LoopCall(make_coroutine, ended=ended, function=function, loop=self._loop)
            self._calls.add(call)
            self._loop.call_soon_threadsafe(call.begin, context, self._forget)
        return call

    def stop(self, timeout_seconds: float) -> bool:
        """Cancel what is left and wait for that long; whether all has ended.

        A coroutine that holds the loop, or swallows its cancellation, is left behind in the daemon thread; its `ended`
        comes when it lets go.
        """
        with self._condition:
            is_first, self._is_stopping = not self._is_stopping, True
            calls = list(self._calls)
            if self._loop is not None and is_first and not calls:
                self._loop.call_soon_threadsafe(self._loop.stop)
        for call in calls:
            call.cancel()
        with self._condition:
            return self._condition.wait_for(lambda: self._is_over, timeout_seconds)

    def seconds_since_turn(self) -> float:
        """How long ago the loop last came round: up to LOOP_BEAT_SECONDS, and a little, while nobody holds it."""
        return 0.0 if self._is_over else self._clock.monotonic() - self._turned_at

    def is_stalled(self, seconds: float) -> bool:
        """Whether a coroutine has held the loop for longer than that, so that no other gets its turn."""
        return self.seconds_since_turn() > seconds

    def _serve(self, loop: asyncio.AbstractEventLoop) -> None:
        asyncio.set_event_loop(loop)
        loop.call_soon(self._beat, loop)
        try:
            while not (self._is_stopping and not self._calls):
                self._run(loop)
            self._close(loop)
        finally:
            with self._condition:
                self._is_over = True
                self._condition.notify_all()

    def _run(self, loop: asyncio.AbstractEventLoop) -> None:
        try:
            loop.run_forever()
        # A task that a coroutine has started by itself may raise SystemExit, for which asyncio leaves the loop.
        except BaseException:
            log.exception("loop of coroutines left by an exception")

    def _beat(self, loop: asyncio.AbstractEventLoop) -> None:
        self._turned_at = self._clock.monotonic()
        loop.call_later(LOOP_BEAT_SECONDS, self._beat, loop)

    def _forget(self, call: LoopCall) -> None:
        with self._condition:
            self._calls.discard(call)
            is_last = self._is_stopping and not self._calls
        if is_last and self._loop is not None:
            self._loop.stop()

    def _close(self, loop: asyncio.AbstractEventLoop) -> None:
        """Cancel what the coroutines have started and left, and close the loop."""
        left = asyncio.all_tasks(loop)
        for task in left:
            task.cancel()
        try:
            if left:
                loop.run_until_complete(asyncio.gather(*left, return_exceptions=True))
            loop.run_until_complete(loop.shutdown_asyncgens())
        except BaseException:
            log.exception("loop of coroutines not closed in order")
        finally:
            asyncio.set_event_loop(None)
            loop.close()
