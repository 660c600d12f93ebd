"""The check that follows each measurement: what it must not overlook."""

import pytest

from benchmarks.checker import judge
from benchmarks.plan import burst, steady

PLAN = steady(2, "", span_seconds=2.0, lead_seconds=0)
CALLS = [(100.001, 0), (100.501, 1), (101.001, 0), (101.501, 1)]
ALL_RUN = {"succeeded": 4}


def test_each_slot_called_once_is_complete() -> None:
    verdict = judge(PLAN, 100.0, CALLS, ALL_RUN)
    assert verdict.is_complete
    assert verdict.late_ms(0, 200) == pytest.approx([1.0] * 4)


def test_warming_up_is_left_out_of_the_figures() -> None:
    assert len(judge(PLAN, 100.0, CALLS, ALL_RUN).late_ms(101.0, 200)) == 2


@pytest.mark.parametrize(
    ("calls", "runs"),
    [
        (CALLS[:-1], ALL_RUN),
        (CALLS[1:], ALL_RUN),
        ([*CALLS, (101.9, 1)], ALL_RUN),
        ([(99.9, 0), *CALLS[1:]], ALL_RUN),
        (CALLS, {"succeeded": 3}),
        (CALLS, {"succeeded": 3, "missed": 1}),
        (CALLS, {"succeeded": 4, "skipped": 1}),
    ],
    ids=["last lost", "first lost", "doubled", "early", "no row", "missed", "a row too many"],
)
def test_what_went_wrong_is_seen(calls: list[tuple[float, int]], runs: dict[str, int]) -> None:
    assert not judge(PLAN, 100.0, calls, runs).is_complete


def test_calls_after_the_end_are_not_doubled() -> None:
    assert judge(PLAN, 100.0, [*CALLS, (102.001, 0)], ALL_RUN).is_complete


def test_bystanders_of_a_burst_count_until_its_last_call() -> None:
    plan = burst(2, "", span_seconds=60, lead_seconds=0)
    calls = [(100.01, 0), (100.07, 2), (100.1, 1), (100.16, 3)]
    verdict = judge(plan, 100.0, calls, {"succeeded": 2})
    assert verdict.is_complete
    assert verdict.slots == 3
