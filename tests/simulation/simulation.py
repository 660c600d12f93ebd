"""One seed: a world is made, jobs are created, things go wrong, calm returns, and all that must hold is looked at."""

import hashlib
from collections import Counter
from collections.abc import Callable, Collection
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from typing import Any
from uuid import UUID

from tests.simulation import quiet, shapes
from tests.simulation.bodies import Bodies
from tests.simulation.clients import Clients
from tests.simulation.database import the_database
from tests.simulation.faults import Faults, freeze_length
from tests.simulation.nodes import NodeProcess, cooperative_engine
from tests.simulation.plans import Plan, random_plan
from tests.simulation.rules import Rules
from tests.simulation.world import SECOND, Stalled, World


@dataclass(slots=True)
class Result:
    """What a seed came to."""

    plan: Plan
    violations: list[str]
    faults: Counter[str]
    trace: list[tuple[int, str, str]]
    starts: int
    slots: int
    steps: int

    @property
    def trace_hash(self) -> str:
        """The same for each replay."""
        return hashlib.blake2b(repr(self.trace).encode(), digest_size=16).hexdigest()

    def shown(self, *, lines: int = 400) -> str:
        """The violations, and the trace to the first of them."""
        trace = [f"{at / SECOND:11.6f}  {name:22} {text}" for at, name, text in self.trace]
        first = next((n for n, (_, _, text) in enumerate(self.trace) if text.startswith("VIOLATION")), len(trace))
        told = "\n".join(trace[max(first - lines, 0) : first + 1])
        return f"{told}\n\nseed {self.plan.seed} ({self.plan.shape}):\n  " + "\n  ".join(self.violations)


@dataclass(slots=True)
class Simulation:
    """The parts of one seed, put together."""

    plan: Plan
    world: World
    rules: Rules = field(init=False)
    faults: Faults = field(init=False)
    bodies: Bodies = field(init=False)
    clients: Clients = field(init=False)
    processes: list[NodeProcess] = field(default_factory=list)
    functions: Any = None

    def __post_init__(self) -> None:
        plan = self.plan
        self.rules = Rules(self.world)
        self.rules.processes = lambda: self.processes
        self.faults = Faults(self.world, plan.rates, ends_at=plan.trouble)
        self.faults.troubled = self._troubled
        self.bodies = Bodies(self.world, self.rules, plan)
        self.clients = Clients(self.world, self.rules, plan)
        self.functions = self.bodies.functions()

    @property
    def is_calm(self) -> bool:
        return self.world.now >= self.plan.trouble

    @property
    def alive(self) -> list[NodeProcess]:
        return [each for each in self.processes if not each.is_dead]

    def run(self) -> None:
        """From the first start to the last look."""
        world, plan = self.world, self.plan
        world.spawn("supervisor", None, self._supervise)
        world.spawn("clients", None, self._request)
        world.spawn("calm", None, self._resume)
        for every, act in self._disasters():
            if every is not None:
                world.spawn("fate", None, partial(self._strike, every, act))
        world.run(plan.trouble)
        self.bodies.calm()
        world.run(plan.trouble + plan.settling)
        world.run(plan.trouble + plan.settling + plan.watching)
        quiet.check(self)

    def new_process(self) -> NodeProcess:
        process = NodeProcess(
            f"n{len(self.processes) + 1}",
            world=self.world,
            faults=self.faults,
            rules=self.rules,
            functions=self.functions,
            threads=self.plan.threads,
            gone_nodes=self._gone_nodes,
            is_one_host=self.plan.is_one_host,
            tell_others=self._tell_others,
        )
        if not any(each.answers for each in self.processes):
            self._troubled(process, None)
        self.processes.append(process)
        self.world.note(f"START {process.name} {process.node}")
        self.world.spawn(f"{process.name} main", process, process.start)
        return process

    def _troubled(self, process: NodeProcess | None, until: int | None) -> None:
        """Something happens to this process, or to all."""
        others = [each for each in self.processes if each is not process and each.answers]
        since = self.world.now - 5 * SECOND
        is_small = process is not None and any(each.troubled_until < since for each in others)
        self.rules.troubled(until, is_small=is_small)

    def _gone_nodes(self, nodes: Collection[UUID]) -> set[UUID]:
        if not self.plan.is_one_host:
            return set()
        return {each.node for each in self.processes if each.is_dead and each.node in nodes}

    def _tell_others(self, who: NodeProcess) -> None:
        if self.plan.tells_changes:
            for each in self.processes:
                if each is not who and each.feed is not None and not each.is_dead:
                    self.world.wake(each.feed)

    def _supervise(self) -> None:
        """Have as many processes as there are to be; who dies comes back as another one, after a while."""
        world = self.world
        while True:
            while len(self.alive) < self.plan.nodes:
                self.new_process()
            world.pass_time(
                SECOND // 10 if self.is_calm else int(world.random.random() ** 2 * self.plan.restart_seconds * SECOND)
            )

    def _request(self) -> None:
        world, plan = self.world, self.plan
        for _ in range(plan.jobs):
            self._send("create")
        while not self.is_calm:
            world.pass_time(int(world.random.expovariate(1 / plan.request_every) * SECOND))
            if not self.is_calm:
                self._send(None)

    def _resume(self) -> None:
        """Calm is when all runs again."""
        self.world.pass_time(self.plan.trouble + SECOND)
        while self.rules.pause_of_all is not None or any(each.scheduler.pausing.current for each in self.alive):
            self._send("resume_all")
            self.world.pass_time(SECOND)

    def _send(self, kind: str | None) -> None:
        while not (there := [each for each in self.processes if each.answers]):
            self.world.pass_time(SECOND // 5)
        process = self.world.random.choice(there)
        if kind is None:
            # It may have waited for a process until all is to be calm.
            if not self.is_calm:
                self.clients.send_any(process)
        else:
            self.clients.send(process, kind)

    def _disasters(self) -> list[tuple[float | None, Callable[[NodeProcess], None]]]:
        plan, random = self.plan, self.world.random
        return [
            (plan.crash_every, self.faults.crash),
            (plan.freeze_every, lambda one: self.faults.freeze(one, freeze_length(random.random(), random.random()))),
            (plan.away_every, lambda _: self.faults.go_away(int(random.random() ** 2 * 9 * SECOND))),
            (plan.step_every, lambda one: self.faults.step(one, round(random.choice([-1, 1]) * self._step()))),
            (plan.stop_every, self._stop),
        ]

    def _step(self) -> float:
        return self.world.random.choice([0.2, 3.0, 20.0]) * self.world.random.random() * SECOND

    def _stop(self, process: NodeProcess) -> None:
        self.faults.counts["stop"] += 1
        self._troubled(process, None)
        grace = self.world.random.choice([0.0, 2.0])
        self.world.spawn(f"{process.name} stop", process, lambda: process.stop(grace))

    def _strike(self, every: float, act: Callable[[NodeProcess], None]) -> None:
        world = self.world
        while True:
            world.pass_time(int(world.random.expovariate(1 / every) * SECOND))
            if self.is_calm:
                return
            there = [each for each in self.processes if each.is_ready and not each.is_gone and not each.is_frozen]
            if there:
                act(world.random.choice(there))


def plan_of(seed: int, *, nodes: int | None = None) -> Plan:
    """Even seeds are random, odd ones directed."""
    return shapes.directed_plan(seed, nodes=nodes) if seed % 2 else random_plan(seed, nodes=nodes)


def run_plan(plan: Plan, *, is_verbose: bool = False) -> Result:
    """One seed, from an empty database."""
    the_database().clear()
    world = World(f"world {plan.seed} {plan.shape}")
    world.brush_rate = plan.brush_rate
    with ExitStack() as stack:
        stack.enter_context(cooperative_engine(world, is_verbose=is_verbose))
        simulation = Simulation(plan, world)
        shapes.prepare(simulation)
        try:
            simulation.run()
        except Stalled as stalled:
            simulation.rules.violated(f"no end: {stalled}")
        for name, error in world.failures:
            simulation.rules.violated(f"{name} ended with {type(error).__name__}: {error}")
        world.end()
    rules = simulation.rules
    return Result(
        plan,
        rules.violations,
        simulation.faults.counts,
        world.trace,
        starts=sum(map(len, rules.calls.by_run.values())),
        slots=sum(len(epoch.rows) for epochs in rules.ledger.epochs.values() for epoch in epochs),
        steps=world.steps,
    )
