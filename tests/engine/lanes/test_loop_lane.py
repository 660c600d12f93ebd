"""The loop of coroutines: how each ends, and that none can stop or hide from the others."""

import asyncio
import contextlib
import contextvars
import threading
from collections.abc import Callable, Coroutine, Iterator
from typing import Any

import pytest

from engine.call_ends import CallEnd, GaveUp, Killed, Raised, Returned
from engine.errors import NotScheduling
from engine.lanes.loop_lane import LoopCall, LoopLane
from registry import Cancel, FunctionRegistry, Retry
from tests.fakes import REAL_SECONDS, ManualClock

pytestmark = pytest.mark.real_time

KEY: contextvars.ContextVar[str] = contextvars.ContextVar("key", default="none")


async def _job(job_id: str) -> None: ...


FUNCTION = FunctionRegistry().register("a_coroutine", _job, final_errors=(KeyError,))


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def lane(clock: ManualClock) -> Iterator[LoopLane]:
    lane = LoopLane(clock=clock)
    lane.start()
    yield lane
    assert lane.stop(REAL_SECONDS)


class Watch:
    """Counts and keeps what the lane tells of one coroutine."""

    def __init__(self, lane: LoopLane, make: Callable[[], Coroutine[Any, Any, Any]]) -> None:
        self.entered = threading.Event()
        self.ends: list[CallEnd] = []
        self._is_over = threading.Event()
        self.handle: LoopCall = lane.submit(
            make, ended=self._ended, function=FUNCTION, context=contextvars.copy_context()
        )

    def end(self) -> CallEnd:
        assert self._is_over.wait(REAL_SECONDS), "no end"
        assert len(self.ends) == 1
        return self.ends[0]

    def _ended(self, end: CallEnd) -> None:
        self.ends.append(end)
        self._is_over.set()


async def turn(value: Any = None) -> Any:
    """Come round once."""
    loop = asyncio.get_running_loop()
    future = loop.create_future()
    loop.call_soon(future.set_result, value)
    return await future


def raising(error: BaseException) -> Callable[[], Coroutine[Any, Any, None]]:
    async def fail() -> None:
        raise error

    return fail


def waiting(entered: threading.Event) -> Callable[[], Coroutine[Any, Any, None]]:
    async def wait() -> None:
        entered.set()
        await asyncio.Event().wait()

    return wait


def assert_turns(lane: LoopLane) -> None:
    assert Watch(lane, lambda: turn("turned")).end() == Returned('"turned"')


def test_a_coroutine_returns(lane: LoopLane) -> None:
    assert_turns(lane)


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (ValueError("bad"), ("ValueError", False, None)),
        (KeyError("gone"), ("KeyError", True, None)),
        (Retry("busy", after=3), ("registry.interrupts.Retry", False, 3.0)),
        (SystemExit(3), ("SystemExit", False, None)),
        (KeyboardInterrupt(), ("KeyboardInterrupt", False, None)),
        (GeneratorExit(), ("GeneratorExit", False, None)),
        (asyncio.CancelledError(), ("asyncio.exceptions.CancelledError", False, None)),
    ],
)
def test_whatever_a_coroutine_raises_is_its_end_and_not_that_of_the_loop(
    lane: LoopLane, error: BaseException, expected: tuple[Any, ...]
) -> None:
    end = Watch(lane, raising(error)).end()

    assert isinstance(end, Raised)
    assert (end.error.type, end.is_final, end.retry_after_seconds) == expected
    assert_turns(lane)


def test_a_coroutine_may_give_up(lane: LoopLane) -> None:
    assert Watch(lane, raising(Cancel("enough"))).end() == GaveUp("enough")


def test_what_can_not_be_made_has_raised(lane: LoopLane) -> None:
    def fail() -> Coroutine[Any, Any, None]:
        raise TypeError("no coroutine")

    assert isinstance(Watch(lane, fail).end(), Raised)


def test_a_task_of_a_coroutine_that_exits_does_not_stop_the_loop(lane: LoopLane) -> None:
    async def start_one_that_exits() -> None:
        task = asyncio.create_task(raising(SystemExit(1))())
        with contextlib.suppress(SystemExit):
            await task

    assert Watch(lane, start_one_that_exits).end() == Returned()
    assert_turns(lane)


def test_a_coroutine_that_stops_the_loop_does_not(lane: LoopLane) -> None:
    async def stop_it() -> None:
        asyncio.get_running_loop().stop()

    assert Watch(lane, stop_it).end() == Returned()
    assert_turns(lane)


def test_a_cancel_ends_a_coroutine_where_it_waits(lane: LoopLane) -> None:
    entered = threading.Event()
    watch = Watch(lane, waiting(entered))
    assert entered.wait(REAL_SECONDS)

    watch.handle.cancel()

    assert watch.end() == Killed()
    watch.handle.cancel()
    assert_turns(lane)
    assert len(watch.ends) == 1


def test_a_cancel_before_the_first_turn_is_an_end_too(lane: LoopLane) -> None:
    gate, made = threading.Event(), threading.Event()

    async def hold() -> None:
        gate.wait(REAL_SECONDS)

    def make() -> Coroutine[Any, Any, None]:
        made.set()
        return turn()

    holder = Watch(lane, hold)
    watch = Watch(lane, make)
    watch.handle.cancel()
    gate.set()

    assert holder.end() == Returned()
    assert watch.end() == Killed()
    assert not made.is_set()


@pytest.mark.parametrize(("answer", "expected"), [("done", Returned('"done"')), (ValueError("late"), None)])
def test_a_coroutine_that_catches_its_cancellation_ends_as_it_does(
    lane: LoopLane, answer: Any, expected: CallEnd | None
) -> None:
    entered = threading.Event()

    async def catch() -> str:
        try:
            await waiting(entered)()
        except asyncio.CancelledError:
            if isinstance(answer, Exception):
                raise answer from None
        return str(answer)

    watch = Watch(lane, catch)
    assert entered.wait(REAL_SECONDS)
    watch.handle.cancel()

    end = watch.end()
    assert end == expected if expected else isinstance(end, Raised)


def test_a_coroutine_runs_in_the_context_it_is_given(lane: LoopLane) -> None:
    async def read() -> str:
        return await asyncio.create_task(turn(KEY.get()))

    token = KEY.set("given")
    watch = Watch(lane, read)
    KEY.reset(token)

    assert watch.end() == Returned('"given"')


def test_coroutines_take_turns(lane: LoopLane) -> None:
    first, second = asyncio.Event(), asyncio.Event()

    async def meet(mine: asyncio.Event, other: asyncio.Event) -> bool:
        mine.set()
        return await other.wait()

    watches = [Watch(lane, lambda: meet(first, second)), Watch(lane, lambda: meet(second, first))]

    assert [watch.end() for watch in watches] == [Returned("true")] * 2


def test_a_listener_that_raises_does_not_stop_the_loop(lane: LoopLane) -> None:
    def fail(_end: CallEnd) -> None:
        raise RuntimeError("listener")

    lane.submit(turn, ended=fail, function=FUNCTION, context=contextvars.copy_context())

    assert_turns(lane)


def test_a_coroutine_that_holds_the_loop_is_noticed(lane: LoopLane, clock: ManualClock) -> None:
    gate, entered = threading.Event(), threading.Event()

    async def hold() -> None:
        entered.set()
        gate.wait(REAL_SECONDS)

    assert not lane.is_stalled(10)
    watch = Watch(lane, hold)
    assert entered.wait(REAL_SECONDS)
    clock.advance_to_next(30.0)

    assert lane.seconds_since_turn() == 30.0
    assert lane.is_stalled(10)

    gate.set()
    watch.end()
    beats = threading.Event()
    while lane.is_stalled(10):
        beats.wait(0.01)


def test_a_stop_cancels_what_is_left(clock: ManualClock) -> None:
    lane = LoopLane(clock=clock)
    lane.start()
    entered = threading.Event()
    watch = Watch(lane, waiting(entered))
    assert entered.wait(REAL_SECONDS)

    assert lane.stop(REAL_SECONDS)

    assert watch.end() == Killed()
    assert lane.seconds_since_turn() == 0.0
    with pytest.raises(NotScheduling):
        assert_turns(lane)
    watch.handle.cancel()
    assert lane.stop(REAL_SECONDS)


def test_a_stop_does_not_wait_for_a_coroutine_that_holds_the_loop(clock: ManualClock) -> None:
    lane = LoopLane(clock=clock)
    lane.start()
    gate, entered = threading.Event(), threading.Event()

    async def hold() -> str:
        entered.set()
        gate.wait(REAL_SECONDS)
        return "let go"

    watch = Watch(lane, hold)
    assert entered.wait(REAL_SECONDS)

    assert not lane.stop(0.05)

    gate.set()
    assert watch.end() == Returned('"let go"')
    assert lane.stop(REAL_SECONDS)


def test_a_stop_ends_what_a_coroutine_has_left_behind(clock: ManualClock) -> None:
    lane = LoopLane(clock=clock)
    lane.start()
    cleaned = threading.Event()
    kept: list[asyncio.Task[None]] = []

    async def linger() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            cleaned.set()

    async def leave_one() -> None:
        kept.append(asyncio.create_task(linger()))
        await turn()

    Watch(lane, leave_one).end()

    assert lane.stop(REAL_SECONDS)
    assert cleaned.is_set()


def test_nothing_is_taken_before_the_start(clock: ManualClock) -> None:
    with pytest.raises(NotScheduling):
        assert_turns(LoopLane(clock=clock))


def test_hundreds_of_coroutines_that_several_threads_cancel_end_once_each(lane: LoopLane) -> None:
    watches = [Watch(lane, turn) for _ in range(300)]

    def cancel_some(part: int) -> None:
        for watch in watches[part::3]:
            watch.handle.cancel()

    threads = [threading.Thread(target=cancel_some, args=(part,)) for part in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert {type(watch.end()) for watch in watches} <= {Killed, Returned}
