"""The short version: some hundred seeds without a violation, each replayable, and every mutant found."""

import pytest

from tests.simulation.hunting import hunt, run_seeds
from tests.simulation.mutants import MUTANTS, QUICK
from tests.simulation.mutation import Mutant
from tests.simulation.simulation import plan_of, run_plan

pytestmark = pytest.mark.once

EASY = [mutant for mutant in MUTANTS if mutant.within <= QUICK]
"""Those that a few seeds find; `python -m tests.simulation --mutants` looks for all."""


@pytest.mark.parametrize("first", range(0, 160, 40))
def test_nothing_is_violated_whatever_happens(first: int) -> None:
    summary = run_seeds(range(first, first + 40))

    assert summary.violations == []
    assert summary.starts > 500


@pytest.mark.parametrize("seed", [6, 7])
def test_a_seed_replays_exactly(seed: int) -> None:
    first, second = (run_plan(plan_of(seed)) for _ in range(2))

    assert len(first.trace) > 50
    assert first.trace_hash == second.trace_hash


@pytest.mark.parametrize("mutant", EASY, ids=lambda mutant: mutant.name)
def test_a_mutant_is_found(mutant: Mutant) -> None:
    found = hunt(mutant)

    assert found.result is not None, f"{mutant.what}: not found in {mutant.within} seeds"


def test_there_are_mutants_enough() -> None:
    assert len(EASY) >= 12
    assert len({mutant.name for mutant in MUTANTS}) == len(MUTANTS)
