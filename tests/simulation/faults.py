"""What goes wrong: by chance at any point, or by a trigger at one exact point. Counted by kind."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from engine.errors import StoreUnavailable
from tests.simulation.world import SECOND, World

LEASE = 12 * SECOND

Action = Callable[[Any], None]
"""Done by the actor that came to the point, to the process that it is of."""


@dataclass(slots=True)
class Trigger:
    """Act once, at the nth time that some process comes to this point."""

    verb: str
    phase: str
    action: Action
    nth: int = 1
    process: Any = None
    when: Callable[[Any], bool] | None = None

    def matches(self, process: Any, verb: str, phase: str) -> bool:
        if verb != self.verb or phase != self.phase or self.nth <= 0:
            return False
        if self.when is not None and not self.when(process):
            return False
        self.nth -= 1
        return self.nth == 0


@dataclass(slots=True)
class Rates:
    """How likely each fault is at a point of a kind at which it can happen."""

    crash: float = 0.0
    freeze: float = 0.0
    lost_before: float = 0.0
    lost_after: float = 0.0
    slow: float = 0.0


@dataclass(slots=True)
class Faults:
    """Comes in at each point, until `ends_at`."""

    world: World
    rates: Rates
    triggers: list[Trigger] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)
    troubled: Callable[[Any, int | None], None] = lambda _process, _until: None
    """Told of each, whom it is about (None: all), and until when it goes on."""
    ends_at: int = 0
    away_until: int = 0

    def point(self, process: Any, verb: str, phase: str, *, writes: bool) -> None:
        """The current actor, of this process, is before or after a step; it may not come back from here."""
        world = self.world
        if world.now < self.ends_at:
            for trigger in self.triggers:
                if trigger.matches(process, verb, phase):
                    trigger.action(process)
            if world.now < self.away_until and verb != "enter":
                self._be_away(process)
            self._by_chance(process, phase, writes=writes)
        if world.random.random() < 0.7:
            world.pause()
        else:
            world.pass_time(int(world.random.random() ** 3 * 8_000))

    def crash(self, process: Any) -> None:
        self.counts["crash"] += 1
        self.world.note(f"CRASH {process.name}")
        self.troubled(process, None)
        process.die()

    def freeze(self, process: Any, microseconds: int) -> None:
        microseconds = min(microseconds, self.ends_at - self.world.now)
        self.counts["freeze past the lease" if microseconds > LEASE else "freeze"] += 1
        self.world.note(f"FREEZE {process.name} for {microseconds / SECOND:.3f}")
        process.troubled_until = max(process.troubled_until, self.world.now + microseconds)
        self.troubled(process, self.world.now + microseconds)
        self.world.freeze(process, microseconds)

    def lose_answer(self, process: Any, *, is_written: bool) -> None:
        which = "after" if is_written else "before"
        self.counts[f"answer lost, {which} the commit"] += 1
        self.world.note(f"LOST {which} the commit")
        process.troubled_until = max(process.troubled_until, self.world.now)
        self.troubled(process, None)
        raise StoreUnavailable(f"simulated: the answer was lost {which} the commit")

    def slow_down(self, process: Any, microseconds: int) -> None:
        microseconds = min(microseconds, self.ends_at - self.world.now)
        self.counts["slow store"] += 1
        self.world.note(f"SLOW for {microseconds / SECOND:.3f}")
        process.troubled_until = max(process.troubled_until, self.world.now + microseconds)
        self.troubled(process, self.world.now + microseconds)
        self.world.pass_time(microseconds)

    def go_away(self, microseconds: int) -> None:
        """The store answers nobody for so long."""
        self.counts["store away"] += 1
        self.world.note(f"AWAY for {microseconds / SECOND:.3f}")
        self.away_until = self.world.now + microseconds
        self.troubled(None, self.away_until)

    def step(self, process: Any, microseconds: int) -> None:
        """The wall clock of its machine is set: the one of all, or its own, by which nobody goes."""
        self.counts["clock step"] += 1
        self.world.note(f"STEP {process.name} by {microseconds / SECOND:.3f}")
        process.machine.step(microseconds)
        self.troubled(None, None)

    def _be_away(self, process: Any) -> None:
        process.troubled_until = max(process.troubled_until, self.away_until)
        self.world.pass_time(int(self.world.random.random() * SECOND))
        self.counts["calls while away"] += 1
        raise StoreUnavailable("simulated: the store is away")

    def _by_chance(self, process: Any, phase: str, *, writes: bool) -> None:
        random, rates = self.world.random, self.rates
        if rates.crash and random.random() < rates.crash:
            self.crash(process)
        if rates.freeze and random.random() < rates.freeze:
            self.freeze(process, freeze_length(random.random(), random.random()))
        if rates.slow and random.random() < rates.slow:
            self.slow_down(process, int(random.random() ** 2 * 4 * SECOND))
        lost = rates.lost_before if phase == "before" else rates.lost_after if writes else 0.0
        if lost and random.random() < lost:
            self.lose_answer(process, is_written=phase == "after")


def freeze_length(kind: float, part: float) -> int:
    """Of three one is past the lease, the others are shorter than it."""
    return int((LEASE + part * 10 * SECOND) if kind < 1 / 3 else part**2 * 8 * SECOND)
