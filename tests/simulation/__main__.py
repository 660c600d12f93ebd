"""Seeds by the thousand: `python -m tests.simulation --seeds 20000 --processes 2`, or `--mutants`, or `--seed 7`."""

import argparse
import sys
from time import perf_counter

from tests.simulation.hunting import Summary, hunt, run_in_processes
from tests.simulation.mutants import MUTANTS
from tests.simulation.simulation import plan_of, run_plan

SHOWN_VIOLATIONS = 20


def main() -> int:
    """Exits with 1 if anything was violated, or a mutant not found."""
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    parser.add_argument("--seeds", type=int, default=1_000, help="how many seeds to run")
    parser.add_argument("--first", type=int, default=0, help="the first of them")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--seed", type=int, help="run this one, and show its trace")
    parser.add_argument("--mutants", action="store_true", help="apply each mutant, and look for the seed that finds it")
    parser.add_argument("--only", default="", help="with --mutants: those with this in their name")
    options = parser.parse_args()
    if options.seed is not None:
        return show(options.seed)
    if options.mutants:
        return show_mutants(options.only)
    return run_many(options.first, options.seeds, processes=options.processes)


def show(seed: int) -> int:
    """The whole trace of one seed."""
    result = run_plan(plan_of(seed), is_verbose=True)
    print(result.shown(lines=len(result.trace)))
    print(f"trace {result.trace_hash}, faults {dict(result.faults)}")
    return bool(result.violations)


def show_mutants(only: str) -> int:
    """A table: each mutant, and how many seeds it took to find it."""
    missed = 0
    for mutant in MUTANTS:
        if only not in mutant.name:
            continue
        found = hunt(mutant)
        missed += found.result is None
        seeds = "not found" if found.result is None else f"{found.seeds:4} seeds"
        why = "" if found.result is None else found.result.violations[0].split(" ", 1)[1]
        print(f"{mutant.name:52} {seeds:>10} of {mutant.within:4} {found.seconds:6.1f} s  {why[:110]}", flush=True)
    return bool(missed)


def run_many(first: int, count: int, *, processes: int) -> int:
    """What all seeds came to."""
    begun, total = perf_counter(), Summary()
    for summary in run_in_processes(first, count, processes=processes):
        for seed, shape, violations in summary.violations[: SHOWN_VIOLATIONS - len(total.violations)]:
            print(f"seed {seed} ({shape}): {len(violations)} violations, first {violations[0]}", flush=True)
        total.join(summary)
        if total.seeds % 1_000 < summary.seeds:
            print(f"{total.seeds} seeds, {total.seeds / (perf_counter() - begun):.1f} a second", flush=True)
    seconds = perf_counter() - begun
    print(f"{total.seeds} seeds in {seconds:.0f} s, {total.seeds / seconds:.1f} a second, in {processes} processes")
    print(f"{total.starts} starts, {total.slots} rows of slots, {total.steps} turns")
    for name, found in (("faults", total.faults), ("shapes", total.shapes)):
        print(f"{name}: {', '.join(f'{kind} {number}' for kind, number in sorted(found.items()))}")
    print(f"{len(total.violations)} seeds with violations")
    return bool(total.violations)


if __name__ == "__main__":
    sys.exit(main())
