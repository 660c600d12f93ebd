"""True time and who goes on: actors that run one at a time, chosen by a seed. Everything else stands on this."""

import heapq
from collections.abc import Callable
from random import Random
from typing import Any

import greenlet  # type: ignore[import-untyped]  # its stubs are a package of their own, for three names

SECOND = 1_000_000
"""True time counts in microseconds from zero: sums of floats would not replay."""

STEPS_AT_MOST = 400_000
"""Turns of one seed: more is a loop that never waits."""


class Died(BaseException):
    """Raised in an actor wherever it stands when its process dies. Not for engine code to catch."""


class Stalled(Exception):
    """Nothing waits any more, and yet nothing ends."""


class Process:
    """What lives and dies together. A frozen one stands still, while time goes on."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.actors: dict[Actor, None] = {}
        self.is_dead = False
        self.is_frozen = False
        self.held: list[Actor] = []


class Actor:
    """One line of execution: a thread of a process, a request, or a part of the world itself."""

    def __init__(self, name: str, process: Process | None) -> None:
        self.name = name
        self.process = process
        self.greenlet: Any = None
        self.is_over = False
        self.turn = 0
        """Grows with each sleep: who would wake an earlier one comes too late."""
        self.is_parked = False
        self.was_notified = False
        self.joiners: list[Actor] = []
        self.request: Any = None
        """The request that it carries out, if it is one."""
        self.verb = ""
        self.verb_began_at = 0
        """What it last asked of the store, and when that began."""


class World:
    """Time and turns. `brush_rate` is how often an actor is interrupted where it only reads a clock or takes a lock."""

    def __init__(self, seed: str) -> None:
        self.random = Random(seed)
        self.now = 0
        self.ahead = 0
        """By how many microseconds the wall clock of the one host is wrong."""
        self.brush_rate = 0.0
        self.current: Actor | None = None
        self.failures: list[tuple[str, BaseException]] = []
        self.trace: list[tuple[int, str, str]] = []
        self._hub = greenlet.getcurrent()
        self.actors: dict[Actor, None] = {}
        self._ready: list[Actor] = []
        self._sleeping: list[tuple[int, int, Actor | None, int, Callable[[], None] | None]] = []
        self._number = 0
        self._dying: list[Process] = []
        self.steps = 0

    def note(self, text: str) -> None:
        """A line of the trace, said by whoever goes on at the moment."""
        actor = self.current
        name = "world" if actor is None else actor.name
        self.trace.append((self.now, name, text))

    def spawn(self, name: str, process: Process | None, function: Callable[[], object]) -> Actor:
        """A new actor, which gets its turn as all do."""
        actor = Actor(name, process)
        actor.greenlet = greenlet.greenlet(lambda: self._live(actor, function), self._hub)
        self.actors[actor] = None
        if process is not None:
            process.actors[actor] = None
        self._ready.append(actor)
        return actor

    def call_at(self, at: int, action: Callable[[], None]) -> None:
        """Have the hub do this at that time."""
        self._number += 1
        heapq.heappush(self._sleeping, (at, self._number, None, 0, action))

    def run(self, until: int, is_over: Callable[[], bool] | None = None) -> None:
        """Let everything happen that happens until then, or until it is over."""
        while is_over is None or not is_over():
            if self._dying:
                self._bury()
            elif self._ready:
                self._go_on()
            elif self._sleeping and self._sleeping[0][0] <= until:
                self._wake_next()
            else:
                self.now = max(self.now, until)
                return

    def brush(self) -> None:
        """A place where a thread may well be interrupted."""
        if self.brush_rate and self.current is not None and self.random.random() < self.brush_rate:
            self.pause()

    def pause(self) -> None:
        """Let others go on; the current actor comes back at the same instant, unless it is frozen."""
        actor = self._self()
        self._ready.append(actor)
        self._hub.switch()
        self._check(actor)

    def pass_time(self, microseconds: int) -> None:
        """Let time pass."""
        self.park(microseconds)

    def park(self, microseconds: int | None) -> bool:
        """Sleep until woken, or for so long; says whether it was woken."""
        actor = self._self()
        actor.turn += 1
        actor.is_parked, actor.was_notified = True, False
        if microseconds is not None:
            self._number += 1
            heapq.heappush(self._sleeping, (self.now + max(microseconds, 0), self._number, actor, actor.turn, None))
        self._hub.switch()
        self._check(actor)
        return actor.was_notified

    def wake(self, actor: Actor) -> None:
        """Have a parked actor go on."""
        if actor.is_parked:
            actor.is_parked, actor.was_notified = False, True
            self._ready.append(actor)

    def join(self, actor: Actor, microseconds: int | None) -> bool:
        """Wait until the actor is over; says whether it is."""
        if not actor.is_over:
            me = self._self()
            actor.joiners.append(me)
            self.park(microseconds)
        return actor.is_over

    def kill(self, process: Process) -> None:
        """The process ends here and now: none of its actors takes another step."""
        if process.is_dead:
            return
        process.is_dead = True
        self._dying.append(process)
        if self.current is not None and self.current.process is process:
            raise Died

    def end(self) -> None:
        """Whoever is still there goes, so that nothing is left of this world."""
        for actor in list(self.actors):
            if actor.process is not None:
                actor.process.is_dead = True
            if actor.greenlet:
                self.current = actor
                actor.greenlet.throw(Died)
                self.current = None
        self._ready, self._sleeping = [], []

    def freeze(self, process: Process, microseconds: int) -> None:
        """The process stands still for so long; the current actor, if it is one of its own, with it."""
        if process.is_dead or process.is_frozen:
            return
        process.is_frozen = True
        self.call_at(self.now + microseconds, lambda: self._thaw(process))
        if self.current is not None and self.current.process is process:
            self.pause()

    def _thaw(self, process: Process) -> None:
        process.is_frozen = False
        self._ready += process.held
        process.held = []

    def _self(self) -> Actor:
        actor = self.current
        assert actor is not None, "only actors wait"
        self._check(actor)
        return actor

    def _check(self, actor: Actor) -> None:
        if actor.process is not None and actor.process.is_dead:
            raise Died

    def _go_on(self) -> None:
        self.steps += 1
        if self.steps > STEPS_AT_MOST:
            raise Stalled(f"{STEPS_AT_MOST} turns, the last of {self._ready[-1].name}")
        ready = self._ready
        index = int(self.random.random() * len(ready)) if len(ready) > 1 else 0
        actor = ready[index]
        ready[index] = ready[-1]
        ready.pop()
        process = actor.process
        if process is not None and process.is_frozen:
            process.held.append(actor)
        elif process is None or not process.is_dead:
            self.current = actor
            actor.greenlet.switch()
            self.current = None

    def _wake_next(self) -> None:
        at, _, actor, turn, action = heapq.heappop(self._sleeping)
        self.now = max(self.now, at)
        if action is not None:
            action()
        elif actor is not None and actor.is_parked and actor.turn == turn:
            actor.is_parked = False
            self._ready.append(actor)

    def _live(self, actor: Actor, function: Callable[[], object]) -> None:
        try:
            function()
        except (Died, greenlet.GreenletExit):
            pass
        except BaseException as error:  # noqa: BLE001 - told as a violation: a thread of the engine has died
            if actor.process is None or not actor.process.is_dead:
                self.failures.append((actor.name, error))
        actor.is_over = True
        self.actors.pop(actor, None)
        if actor.process is not None:
            actor.process.actors.pop(actor, None)
        for joiner in actor.joiners:
            self.wake(joiner)

    def _bury(self) -> None:
        process = self._dying.pop()
        process.held = []
        for actor in list(process.actors):
            if actor.greenlet:
                # Whatever it does on its way out, no store and no clock answers it any more.
                self.current = actor
                actor.greenlet.throw(Died)
                self.current = None
        process.actors.clear()
