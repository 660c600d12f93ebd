"""A collapse of speed, by a factor that no noise of a shared machine explains."""

from collections.abc import Callable
from pathlib import Path

import pytest

from benchmarks.burst import figures_of
from benchmarks.contenders.catalogue import BY_NAME
from benchmarks.dispatch_latency import WARM_UP_SECONDS
from benchmarks.figures import summary_of
from benchmarks.measurement import measure
from benchmarks.plan import burst, steady

pytestmark = [pytest.mark.once, pytest.mark.real_time]

MOST_TIMES_THE_FLOOR = 40
"""Of the median: 3 on a quiet machine, where 50 ms on the way of a slot are more than 100."""
LEAST_RECORDED_PER_SECOND = 250
"""Two shared cores under load record more than 1,000; one transaction a run, and it is less than this."""
RATE, SECONDS = 100, 2
BURST = 1_000
START_SECONDS = 5.0


def test_slots_start_within_a_multiple_of_the_floor(tmp_path: Path) -> None:
    holds_at_the_second_try(tmp_path, starts_within_a_multiple)


def test_a_burst_is_recorded_quickly(tmp_path: Path) -> None:
    holds_at_the_second_try(tmp_path, records_a_burst)


def holds_at_the_second_try(folder: Path, measurement: Callable[[Path], None]) -> None:
    """A machine may stall once."""
    (folder / "first").mkdir()
    try:
        measurement(folder / "first")
    except AssertionError:
        (folder / "second").mkdir()
        measurement(folder / "second")


def starts_within_a_multiple(folder: Path) -> None:
    floor = median_ms("floor", folder, lead_seconds=1.0)
    service = median_ms("service", folder, lead_seconds=START_SECONDS)
    assert service < MOST_TIMES_THE_FLOOR * floor


def median_ms(contender: str, folder: Path, *, lead_seconds: float) -> float:
    own = folder / contender
    own.mkdir()
    plan = steady(RATE, str(own), span_seconds=WARM_UP_SECONDS + SECONDS, lead_seconds=lead_seconds)
    observation = measure(BY_NAME[contender], plan)
    assert observation.verdict.is_complete, observation.facts
    return summary_of(observation.verdict.late_ms(observation.first_at + WARM_UP_SECONDS, float("inf")))["p50_ms"]


def records_a_burst(folder: Path) -> None:
    plan = burst(BURST, str(folder), span_seconds=15, lead_seconds=START_SECONDS)
    observation = measure(BY_NAME["service"], plan)
    assert observation.verdict.is_complete, observation.facts
    assert figures_of(observation, BURST)["recorded_per_second"] > LEAST_RECORDED_PER_SECOND
