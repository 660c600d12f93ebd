"""How late 100 other jobs of 1 s start while one run does nothing but compute in pure Python."""

from pathlib import Path

from benchmarks import dispatch_latency
from benchmarks.contenders.catalogue import BY_NAME
from benchmarks.figures import Row
from benchmarks.options import Options, read_options
from benchmarks.plan import Plan, steady
from benchmarks.rounds import observations
from benchmarks.tables import print_table

JOBS = 100
LEAD_SECONDS = 7.0
HEADER = ("one run computes", *dispatch_latency.HEADER[1:])
COMPANIONS = {"": "nothing else runs", "compute": "in the pool", "compute_in_process": 'isolation="process"'}


def measure_all(options: Options) -> list[Row]:
    """A row for each place where the run computes; the first, without it, is the control."""
    rows = [_measure_beside(companion, options) for companion in COMPANIONS]
    print_table(f"computing: {JOBS} slots a second beside it", HEADER, [cells_of(row) for row in rows])
    return rows


def cells_of(row: Row) -> list[str]:
    return dispatch_latency.cells_of(row)


def _measure_beside(companion: str, options: Options) -> Row:
    span_seconds = dispatch_latency.WARM_UP_SECONDS + options.seconds

    def plan_in(folder: Path) -> Plan:
        return steady(JOBS, str(folder), span_seconds=span_seconds, lead_seconds=LEAD_SECONDS, companion=companion)

    service = BY_NAME["service"]
    observed = observations([service], options.repeats, plan_in)[service.name]
    return {"companion": companion, "label": COMPANIONS[companion]} | dispatch_latency.figures_of(observed)


if __name__ == "__main__":
    measure_all(read_options())
