"""The job functions of a simulation: they take virtual time, and end well, badly, or not at all."""

from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from registry import FunctionRegistry, RunContext
from tests.simulation.calls import Entry
from tests.simulation.plans import Plan
from tests.simulation.rules import Rules
from tests.simulation.world import SECOND, Actor, World


class Failure(Exception):
    """What a function raises that fails."""


@dataclass(slots=True)
class Bodies:
    """Functions that note their calls. Once `is_calm`, all return soon."""

    world: World
    rules: Rules
    plan: Plan
    is_calm: bool = False
    longest: float = 8.0
    failing: float = 0.2
    sleeping: dict[Actor, None] = field(default_factory=dict)

    def functions(self) -> FunctionRegistry:
        registry = FunctionRegistry()
        registry.register("work", self.work)
        registry.register("cooperative", self.cooperative)
        return registry

    def work(self, job_id: str, run: RunContext) -> str:
        """Returns when it has done its work."""
        return self._do(run, is_cooperative=False)

    def cooperative(self, job_id: str, run: RunContext) -> str:
        """Looks whether it is to end."""
        return self._do(run, is_cooperative=True)

    def calm(self) -> None:
        """Whoever sleeps wakes up, and nobody sleeps for long any more."""
        self.is_calm = True
        for actor in list(self.sleeping):
            self.world.wake(actor)

    def _do(self, run: RunContext, *, is_cooperative: bool) -> str:
        entry = self._called(run)
        fails = not self.is_calm and self.world.random.random() < self.failing
        self._sleep(self._length(), run if is_cooperative else None)
        entry.end, entry.ended_at = "raised" if fails else "returned", self.world.now
        self.world.note(f"{entry.end} {entry.run_id} attempt {entry.attempt}")
        if fails:
            raise Failure("simulated")
        return "done"

    def _called(self, run: RunContext) -> Entry:
        world = self.world
        assert world.current is not None
        process: Any = world.current.process
        entry = self.rules.calls.latest(process, UUID(run.id), run.attempt)
        assert entry is not None, "a function is called without its gate"
        if entry.called_at is not None:
            self.rules.violated(f"run {run.id} attempt {run.attempt} is called twice by {process.name}")
        entry.called_at = world.now
        world.note(f"call {run.id} attempt {run.attempt}")
        return entry

    def _length(self) -> int | None:
        random = self.world.random
        if self.is_calm:
            return int(random.uniform(0.01, 0.2) * SECOND)
        kind = random.random()
        if self.plan.has_retries:
            return int(random.uniform(2.0, 8.0) * SECOND)
        if kind < 0.05:
            return None
        longest = self.longest if kind < (0.5 if self.plan.has_queues else 0.25) else 1.0
        return int(random.random() * longest * SECOND)

    def _sleep(self, length: int | None, run: RunContext | None) -> None:
        world = self.world
        ends_at = None if length is None else world.now + length
        actor = world.current
        assert actor is not None
        self.sleeping[actor] = None
        while (ends_at is None or world.now < ends_at) and not (run is not None and run.cancelled.is_set()):
            left = None if ends_at is None else ends_at - world.now
            look = left if run is None else min(SECOND // 2, left or SECOND // 2)
            if world.park(look) or (self.is_calm and ends_at is None):
                break
        self.sleeping.pop(actor, None)
