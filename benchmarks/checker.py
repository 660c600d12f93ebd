"""Whether each slot was started exactly once, by arithmetic, and how late."""

import math
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

from benchmarks.plan import Plan

EARLY_SECONDS = 0.0005
"""An instant is kept in microseconds and a clock is read twice: less than this is not early."""


@dataclass(frozen=True)
class Verdict:
    """What became of the slots of a plan; those `skipped` have a row that says why.

    `lateness` has slot and lateness, both in seconds, and the job's number of each start.
    """

    slots: int
    started: int
    doubled: int
    early: int
    skipped: int
    unrecorded: int
    lateness: list[tuple[float, float, int]]

    @property
    def is_complete(self) -> bool:
        """Each slot once, and a row for each where there are rows."""
        return self.started == self.slots and not (self.doubled or self.early or self.skipped or self.unrecorded)

    def late_ms(self, after: float, before: float) -> list[float]:
        """Of the slots in a span of time, in seconds since 1970."""
        return [late * 1_000 for slot, late, _ in self.lateness if after <= slot < before]


def judge(plan: Plan, first_at: float, notes: Iterable[tuple[float, int]], runs: dict[str, int] | None) -> Verdict:
    """The nth call of a job is held against its nth slot, so one that is lost makes all later ones early.

    `runs` are the slots on record before the plan's end, by state; None for those who keep none.
    """
    calls: dict[int, list[float]] = defaultdict(list)
    for instant, number in notes:
        calls[number].append(instant)
    ends = _ends_of_bystanders(plan, first_at, calls)
    slots = started = doubled = 0
    lateness: list[tuple[float, float, int]] = []
    for number in plan.numbers:
        end = first_at + plan.span_seconds if number < plan.jobs else ends
        due = slots_of(plan, number, first_at, end)
        called = sorted(calls[number])
        slots += len(due)
        started += min(len(due), len(called))
        doubled += max(0, sum(instant < end for instant in called) - len(due))
        lateness += [(slot, instant - slot, number) for slot, instant in zip(due, called, strict=False)]
    early = sum(late < -EARLY_SECONDS for _, late, _ in lateness)
    on_record = plan.jobs if plan.bystanders else slots
    skipped = 0 if runs is None else sum(runs.values()) - runs.get("succeeded", 0)
    unrecorded = 0 if runs is None else max(0, on_record - sum(runs.values()))
    return Verdict(slots, started, doubled, early, skipped, unrecorded, lateness)


def slots_of(plan: Plan, number: int, first_at: float, end: float) -> list[float]:
    """Those of one job before `end`, by its grid."""
    first, interval = first_at + plan.phase_of(number), plan.interval_of(number)
    return [first + interval * nth for nth in range(max(0, math.ceil((end - first) / interval)))]


def _ends_of_bystanders(plan: Plan, first_at: float, calls: dict[int, list[float]]) -> float:
    """With its last call a burst is over, and its contender is stopped at any time after."""
    return max((instant for number in range(plan.jobs) for instant in calls[number]), default=first_at)
