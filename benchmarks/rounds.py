"""The same plan for all contenders, one after the other, round after round: what the machine does meets all alike."""

import statistics
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from benchmarks.contenders.catalogue import Contender
from benchmarks.figures import Row
from benchmarks.measurement import Observation, measure
from benchmarks.plan import Plan
from benchmarks.service_process import new_folder
from tests.store.postgres import running_server

DURABLE = {"fsync": "on", "full_page_writes": "on", "synchronous_commit": "on", "shared_buffers": "128MB"}
"""As a server is set up by default."""

BEHIND_MS = 1_000
"""A job's next slot is due by then."""


def observations(
    contenders: list[Contender], repeats: int, plan_in: Callable[[Path], Plan]
) -> dict[str, list[Observation]]:
    """By the contender's name, in the order of the rounds. Those that can't take part here are left out."""
    seen: dict[str, list[Observation]] = {contender.name: [] for contender in _present(contenders)}
    for round_number in range(repeats):
        for contender in _present(contenders):
            if round_number and not contender.is_repeated:
                continue
            with new_folder() as folder, database_for(contender) as url:
                plan = replace(plan_in(folder), database_url=url)
                seen[contender.name].append(measure(contender, plan))
            print(".", end="", file=sys.stderr, flush=True)
    return seen


@contextmanager
def database_for(contender: Contender) -> Iterator[str]:
    """The address of a new server that forgets no commit, for those that want PostgreSQL; else nothing."""
    if contender.store != "postgresql":
        yield ""
        return
    with running_server(**DURABLE) as server:
        assert server is not None, "no PostgreSQL binaries"
        yield server.url("postgres")


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
        "skipped": sum(verdict.skipped for verdict in verdicts),
        "unrecorded": sum(verdict.unrecorded for verdict in verdicts),
        "peak_mib": round(statistics.median(observation.facts["peak_mib"] for observation in observed), 1),
    }


def told_of_checks(row: Row) -> str:
    """For a table: that each slot started once, or what did not."""
    told = []
    if row.get("p50_ms", 0) > BEHIND_MS:
        told.append("saturated: falls behind")
    if row["started"] < row["slots"]:
        told.append(f"saturated: {row['started']:,} of {row['slots']:,} slots")
    told += [f"{row[name]:,} {name}" for name in ("doubled", "early", "skipped", "unrecorded") if row[name]]
    return "; ".join(told) or f"all {row['slots']:,} slots, once"
