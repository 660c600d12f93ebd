"""Going through seeds: many at once, or until a mutant is found."""

from collections import Counter
from collections.abc import Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from multiprocessing import get_context
from time import perf_counter

from tests.simulation.mutation import Mutant, applied
from tests.simulation.plans import Plan
from tests.simulation.shapes import directed_plan
from tests.simulation.simulation import Result, plan_of, run_plan

SEEDS_PER_TASK = 25


@dataclass(slots=True)
class Summary:
    """What a number of seeds came to."""

    seeds: int = 0
    starts: int = 0
    slots: int = 0
    steps: int = 0
    faults: Counter[str] = field(default_factory=Counter)
    shapes: Counter[str] = field(default_factory=Counter)
    violations: list[tuple[int, str, list[str]]] = field(default_factory=list)

    def add(self, result: Result) -> None:
        self.seeds += 1
        self.starts += result.starts
        self.slots += result.slots
        self.steps += result.steps
        self.faults += result.faults
        self.shapes[result.plan.shape] += 1
        if result.violations:
            self.violations.append((result.plan.seed, result.plan.shape, result.violations))

    def join(self, other: "Summary") -> None:
        self.seeds += other.seeds
        self.starts += other.starts
        self.slots += other.slots
        self.steps += other.steps
        self.faults += other.faults
        self.shapes += other.shapes
        self.violations += other.violations


@dataclass(frozen=True, slots=True)
class Hunt:
    """How a mutant was found: after how many seeds, if it was."""

    mutant: Mutant
    seeds: int
    seconds: float
    result: Result | None


def run_seeds(seeds: Iterable[int]) -> Summary:
    """One after another, in this process."""
    summary = Summary()
    for seed in seeds:
        summary.add(run_plan(plan_of(seed)))
    return summary


def run_in_processes(first: int, count: int, *, processes: int) -> Iterator[Summary]:
    """Summaries as they come."""
    tasks = [
        range(begin, min(begin + SEEDS_PER_TASK, first + count))
        for begin in range(first, first + count, SEEDS_PER_TASK)
    ]
    with ProcessPoolExecutor(processes, mp_context=get_context("spawn")) as pool:
        yield from pool.map(run_seeds, tasks)


def hunt(mutant: Mutant, *, at_most: int | None = None) -> Hunt:
    """Run seeds of the shapes that are aimed at the mutant, and any, until one shows it."""
    begun, limit = perf_counter(), mutant.within if at_most is None else at_most
    with applied(mutant):
        for number in range(limit):
            result = run_plan(plan_for(mutant, number))
            if result.violations:
                return Hunt(mutant, number + 1, perf_counter() - begun, result)
    return Hunt(mutant, limit, perf_counter() - begun, None)


def plan_for(mutant: Mutant, number: int) -> Plan:
    """Three of four seeds are of a shape that is aimed at it, if there is one."""
    if mutant.shapes and number % 4 != 3:
        return directed_plan(number, shape=mutant.shapes[number % len(mutant.shapes)])
    return plan_of(number)
