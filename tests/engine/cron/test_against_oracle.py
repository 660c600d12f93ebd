"""Random schedules against our own brute-force reading of cron, which shares no code with the engine."""

from datetime import timedelta
from itertools import islice

import pytest

from engine.cron import cron_schedule
from tests.engine.cron.cases import Case, random_case
from tests.engine.cron.stepping import shown, slots_after, slots_until

pytestmark = pytest.mark.once

GATE = [range(first, first + 500) for first in range(0, 2_000, 500)]
LONG = [range(first, first + 1_000) for first in range(2_000, 60_000, 1_000)]

STILL_COUNTED = timedelta(days=9 * 365)
"""Over longer stretches a count may be a lower bound."""


def numbered(numbers: range) -> str:
    return f"{numbers.start}-{numbers.stop - 1}"


@pytest.mark.parametrize("numbers", GATE, ids=numbered)
def test_random_schedules_have_the_slots_of_the_oracle(numbers: range) -> None:
    assert [said for number in numbers if (said := disagreement(random_case(number)))] == []


@pytest.mark.slow
@pytest.mark.parametrize("numbers", LONG, ids=numbered)
def test_many_random_schedules_have_the_slots_of_the_oracle(numbers: range) -> None:
    assert [said for number in numbers if (said := disagreement(random_case(number)))] == []


def disagreement(case: Case) -> str | None:
    """What the engine says, and what the oracle does, if they differ over a few slots before and after the instant."""
    oracle = case.oracle()
    due, been = list(islice(oracle.slots_after(case.instant), 3)), list(islice(oracle.slots_until(case.instant), 2))
    schedule = cron_schedule(
        case.expression, timezone=case.timezone, dst_gap=case.dst_gap, dst_overlap=case.dst_overlap
    )
    said_due, said_been = slots_after(schedule, case.instant, 3), slots_until(schedule, case.instant, 2)
    if (said_due, said_been) != (due, been):
        return f"{case}: {shown(said_been)} before and {shown(said_due)} after, not {shown(been)} and {shown(due)}"
    around = [*reversed(been), *due]
    if around and around[-1] - around[0] < STILL_COUNTED:
        count = schedule.count_between(around[0], around[-1])
        return None if count == (len(around), True) else f"{case}: counts {count} in {shown(around)}"
    return None
