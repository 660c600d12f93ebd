"""How late slots start at a steady rate: instants noted by the function itself, everybody in the same run."""

from pathlib import Path

from benchmarks.figures import Row, curve_of, medians, summary_of
from benchmarks.measurement import Observation
from benchmarks.options import Options, read_options
from benchmarks.plan import Plan, steady
from benchmarks.rounds import checks_of, observations, told_of_checks
from benchmarks.tables import number, print_table

WARM_UP_SECONDS = 2.0
"""The first slots are counted but not timed: pools and caches fill."""
HEADER = ("contender", "p50 ms", "p90 ms", "p99 ms", "p99.9 ms", "max ms", "MiB", "checked")
SHOWN = ("p50_ms", "p90_ms", "p99_ms", "p999_ms", "max_ms")


def measure_all(options: Options) -> list[Row]:
    """A row for each rate and contender."""
    rows = []
    for rate in options.rates:
        rows_of_rate = _measure_rate(rate, options)
        print_table(f"dispatch_latency: {rate:,} slots a second", HEADER, [cells_of(row) for row in rows_of_rate])
        rows += rows_of_rate
    return rows


def cells_of(row: Row) -> list[str]:
    return [row["label"], *(number(row.get(name)) for name in SHOWN), number(row["peak_mib"], 0), told_of_checks(row)]


def _measure_rate(rate: int, options: Options) -> list[Row]:
    def plan_in(folder: Path) -> Plan:
        # Time to make the jobs known, and for the service to start: 4 s, and 1 s for each 2,500 jobs.
        return steady(rate, str(folder), span_seconds=WARM_UP_SECONDS + options.seconds, lead_seconds=6 + rate / 2_500)

    contenders = [contender for contender in options.contenders if rate <= contender.most_jobs]
    seen = observations(contenders, options.repeats, plan_in)
    return [
        {"contender": contender.name, "label": contender.label, "rate": rate} | figures_of(observed)
        for contender in contenders
        if (observed := seen.get(contender.name))
    ]


def figures_of(observed: list[Observation]) -> Row:
    """Medians of the repeats' quantiles, the checks, and the curve of all repeats together."""
    late = [seen.verdict.late_ms(seen.first_at + WARM_UP_SECONDS, float("inf")) for seen in observed]
    figures = medians([summary_of(repeat) for repeat in late])
    curve = curve_of([each for repeat in late for each in repeat])
    return {"repeats": len(observed)} | figures | checks_of(observed) | {"curve": curve}


if __name__ == "__main__":
    measure_all(read_options())
