"""What the engine takes from `threading`, made of actors: so that a lock waits for its turn and never for real."""

from collections import deque
from collections.abc import Callable
from functools import partial
from typing import Any

from tests.simulation.world import SECOND, Actor, World


class Lock:
    """A lock whose holder may be interrupted."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._is_held = False
        self._waiting: deque[Actor] = deque()

    def acquire(self, blocking: bool = True, timeout: float = -1) -> bool:
        world = self._world
        world.brush()
        while self._is_held:
            if not blocking or world.current is None:
                assert world.current is not None, "a lock is held while nobody is there"
                return False
            actor = world.current
            self._waiting.append(actor)
            is_woken = world.park(_microseconds(None if timeout < 0 else timeout))
            if actor in self._waiting:
                self._waiting.remove(actor)
            if not is_woken and timeout >= 0:
                return False
        self._is_held = True
        return True

    def release(self) -> None:
        self._is_held = False
        if self._waiting:
            self._world.wake(self._waiting.popleft())

    def locked(self) -> bool:
        return self._is_held

    def __enter__(self) -> bool:
        if not self._is_held and not self._world.brush_rate:
            self._is_held = True
            return True
        return self.acquire()

    def __exit__(self, *_: object) -> None:
        self.release()


class RLock(Lock):
    """A lock that its holder may take again."""

    def __init__(self, world: World) -> None:
        super().__init__(world)
        self._owner: Actor | None = None
        self._depth = 0

    def acquire(self, blocking: bool = True, timeout: float = -1) -> bool:
        if not (self._depth and self._owner is self._world.current):
            if not super().acquire(blocking, timeout):
                return False
            self._owner = self._world.current
        self._depth += 1
        return True

    def release(self) -> None:
        self._depth -= 1
        if not self._depth:
            self._owner = None
            super().release()

    def __enter__(self) -> bool:
        return self.acquire()

    def let_go(self) -> int:
        """Release it however often it was taken; returns how often that was."""
        depth, self._depth, self._owner = self._depth, 0, None
        super().release()
        return depth

    def take_again(self, depth: int) -> None:
        self.acquire()
        self._depth = depth


class Condition:
    """A condition over a lock of its own."""

    def __init__(self, world: World, lock: RLock | None = None) -> None:
        self._world = world
        self._lock = lock or RLock(world)
        self._waiting: list[Actor] = []

    def acquire(self, *arguments: Any) -> bool:
        return self._lock.acquire(*arguments)

    def release(self) -> None:
        self._lock.release()

    def __enter__(self) -> bool:
        return self._lock.acquire()

    def __exit__(self, *_: object) -> None:
        self._lock.release()

    def wait(self, timeout: float | None = None) -> bool:
        world = self._world
        actor = world.current
        assert actor is not None
        self._waiting.append(actor)
        depth = self._lock.let_go()
        was_notified = world.park(_microseconds(timeout))
        if actor in self._waiting:
            self._waiting.remove(actor)
        self._lock.take_again(depth)
        return was_notified

    def wait_for(self, predicate: Callable[[], bool], timeout: float | None = None) -> bool:
        ends_at = None if timeout is None else self._world.now + round(timeout * SECOND)
        while not predicate():
            left = None if ends_at is None else (ends_at - self._world.now) / SECOND
            if left is not None and left <= 0:
                return False
            self.wait(left)
        return True

    def notify(self, n: int = 1) -> None:
        for actor in self._waiting[:n]:
            self._world.wake(actor)
        del self._waiting[:n]

    def notify_all(self) -> None:
        self.notify(len(self._waiting))


class Event:
    """A flag that can be waited for."""

    def __init__(self, world: World) -> None:
        self._condition = Condition(world)
        self._is_set = False

    def is_set(self) -> bool:
        return self._is_set

    def set(self) -> None:
        with self._condition:
            self._is_set = True
            self._condition.notify_all()

    def clear(self) -> None:
        self._is_set = False

    def wait(self, timeout: float | None = None) -> bool:
        with self._condition:
            return self._condition.wait_for(self.is_set, timeout)


class Thread:
    """An actor of the process that starts it."""

    def __init__(
        self,
        world: World,
        *,
        target: Callable[..., object],
        name: str | None = None,
        args: tuple[Any, ...] = (),
        daemon: bool | None = None,
    ) -> None:
        self.name = name or "thread"
        self.daemon = daemon
        self._world = world
        self._target = target
        self._arguments = args
        self._actor: Actor | None = None

    def start(self) -> None:
        world = self._world
        assert world.current is not None
        process = world.current.process
        name = self.name.removeprefix("scheduler-")
        whose = name if process is None else f"{process.name} {name}"
        self._actor = world.spawn(whose, process, lambda: self._target(*self._arguments))

    def is_alive(self) -> bool:
        return self._actor is not None and not self._actor.is_over

    def join(self, timeout: float | None = None) -> None:
        if self._actor is not None:
            self._world.join(self._actor, _microseconds(timeout))


class Threading:
    """Stands where a module of the engine has `threading`."""

    TIMEOUT_MAX = 1e9

    def __init__(self, world: World) -> None:
        self.Lock = partial(Lock, world)
        self.RLock = partial(RLock, world)
        self.Condition = partial(Condition, world)
        self.Event = partial(Event, world)
        self.Thread = partial(Thread, world)
        self.get_ident = lambda: id(world.current)


class Pool:
    """Stands where the lane of threads has its `ThreadPoolExecutor`: as many actors at once, and a queue."""

    def __init__(self, world: World, *, max_workers: int) -> None:
        self._world = world
        self._free = max_workers
        self._queue: deque[tuple[Callable[..., object], tuple[Any, ...]]] = deque()
        self._is_shut = False
        self.refuses = False
        """Whether the next run finds no thread."""

    def submit(self, function: Callable[..., object], /, *arguments: Any) -> None:
        self._world.brush()
        if self._is_shut:
            raise RuntimeError("cannot schedule new futures after shutdown")
        self._queue.append((function, arguments))
        self._next()

    def shutdown(self, *, wait: bool = True, cancel_futures: bool = False) -> None:
        self._is_shut = True
        if cancel_futures:
            self._queue.clear()

    def _next(self) -> None:
        if self._free and self._queue:
            self._free -= 1
            function, arguments = self._queue.popleft()
            actor = self._world.current
            process = None if actor is None else actor.process
            whose = "" if process is None else f"{process.name} "
            self._world.spawn(f"{whose}run", process, lambda: self._work(function, arguments))

    def _work(self, function: Callable[..., object], arguments: tuple[Any, ...]) -> None:
        try:
            function(*arguments)
        finally:
            self._free += 1
            self._next()


def _microseconds(seconds: float | None) -> int | None:
    """Never none of a time that is there: a loop that waits for less than a microsecond must come out of it."""
    return None if seconds is None else max(round(seconds * SECOND), 1 if seconds > 0 else 0)
