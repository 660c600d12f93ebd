"""`python -m benchmarks`: those that are published beside others' figures, into benchmarks/results/."""

from benchmarks import api, burst, computing, cron_next, dispatch_latency, scale
from benchmarks.options import read_options
from benchmarks.results import write_results

MEASUREMENTS = {
    "dispatch_latency": dispatch_latency.measure_all,
    "burst": burst.measure_all,
    "computing": computing.measure_all,
    "scale": scale.measure_all,
    "api": api.measure_all,
    "cron_next": cron_next.measure_all,
}


def main() -> None:
    """Measure, print and write."""
    options = read_options()
    rows = {}
    for name, measure_all in MEASUREMENTS.items():
        rows[name] = measure_all(options)
        # After each: a run that is broken off has still measured something.
        write_results(options.output, rows)


if __name__ == "__main__":
    main()
