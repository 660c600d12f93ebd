"""Many jobs due at one instant: how fast they start and are on record, and how late others start meanwhile."""

from pathlib import Path

from benchmarks.figures import Row, medians
from benchmarks.measurement import Observation
from benchmarks.options import Options, read_options
from benchmarks.plan import Plan, burst
from benchmarks.rounds import checks_of, observations, told_of_checks
from benchmarks.tables import number, print_table

SPAN_SECONDS = 60.0
"""Who has not drained a burst by then is saturated."""
HEADER = ("contender", "started/s", "recorded/s", "drained s", "others' max ms", "MiB", "checked")


def measure_all(options: Options) -> list[Row]:
    """A row for each size and contender."""
    rows = []
    for size in options.sizes:
        rows_of_size = _measure_size(size, options)
        print_table(f"burst: {size:,} jobs due at once", HEADER, [cells_of(row) for row in rows_of_size])
        rows += rows_of_size
    return rows


def cells_of(row: Row) -> list[str]:
    shown = [number(row.get("started_per_second"), 0), number(row.get("recorded_per_second"), 0)]
    shown += [number(row.get("drained_seconds")), number(row.get("others_max_ms"), 1), number(row["peak_mib"], 0)]
    return [row["label"], *shown, told_of_checks(row)]


def _measure_size(size: int, options: Options) -> list[Row]:
    def plan_in(folder: Path) -> Plan:
        return burst(size, str(folder), span_seconds=SPAN_SECONDS, lead_seconds=6 + size / 10_000)

    contenders = [contender for contender in options.contenders if size <= contender.most_jobs]
    seen = observations(contenders, options.repeats, plan_in)
    return [
        {"contender": contender.name, "label": contender.label, "jobs": size, "repeats": len(observed)}
        | medians([figures_of(observation, size) for observation in observed])
        | checks_of(observed)
        for contender in contenders
        if (observed := seen.get(contender.name))
    ]


def figures_of(observation: Observation, size: int) -> dict[str, float]:
    """From the instant of the burst: to its last start, and to its last outcome's commit where outcomes are kept."""
    verdict = observation.verdict
    starts = [slot + late - observation.first_at for slot, late, job in verdict.lateness if job < size]
    others = [late * 1_000 for _, late, job in verdict.lateness if job >= size]
    figures = {"started_per_second": len(starts) / max(starts), "drained_seconds": max(starts)} if starts else {}
    if others:
        figures["others_max_ms"] = max(others)
    if recorded_at := observation.facts.get("recorded_at"):
        seconds = recorded_at - observation.first_at
        figures |= {"recorded_per_second": size / seconds, "drained_seconds": seconds}
    return figures


if __name__ == "__main__":
    measure_all(read_options())
