"""The same plan for all contenders, one after the other, round after round: what the machine does meets all alike."""

import statistics
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from benchmarks.contenders.catalogue import Contender
from benchmarks.measurement import Observation, measure
from benchmarks.plan import Plan
from benchmarks.service_process import new_folder

Row = dict[str, Any]


def observations(
    contenders: list[Contender], repeats: int, plan_in: Callable[[Path], Plan]
) -> dict[str, list[Observation]]:
    """By the contender's name, in the order of the rounds. Those that can't take part here are named and left out."""
    seen: dict[str, list[Observation]] = {contender.name: [] for contender in _present(contenders)}
    for _ in range(repeats):
        for contender in _present(contenders):
            with new_folder() as folder:
                seen[contender.name].append(measure(contender, plan_in(folder)))
            print(".", end="", file=sys.stderr, flush=True)
    return seen


def _present(contenders: list[Contender]) -> Iterator[Contender]:
    return (contender for contender in contenders if not contender.missing)


def checks_of(observed: list[Observation]) -> Row:
    """Of all repeats together: slots that were due, started, and whatever must be none; and the peak of memory."""
    verdicts = [observation.verdict for observation in observed]
    return {
        "slots": sum(verdict.slots for verdict in verdicts),
        "started": sum(verdict.started for verdict in verdicts),
        "doubled": sum(verdict.doubled for verdict in verdicts),
        "early": sum(verdict.early for verdict in verdicts),
        "unrecorded": sum(verdict.unrecorded for verdict in verdicts),
        "peak_mib": round(statistics.median(observation.facts["peak_mib"] for observation in observed), 1),
    }


def told_of_checks(row: Row) -> str:
    """For a table: that each slot started once, or what did not."""
    told = []
    if row["started"] < row["slots"]:
        told.append(f"saturated: {row['started']:,} of {row['slots']:,} slots")
    told += [f"{row[name]:,} {name}" for name in ("doubled", "early", "unrecorded") if row[name]]
    return "; ".join(told) or f"all {row['slots']:,} slots, once"
