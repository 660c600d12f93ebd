"""`python -m benchmarks`: those that are published beside others' figures, into benchmarks/results/."""

from benchmarks import burst, dispatch_latency
from benchmarks.options import read_options
from benchmarks.results import write_results


def main() -> None:
    """Measure, print and write."""
    options = read_options()
    rows = {"dispatch_latency": dispatch_latency.measure_all(options), "burst": burst.measure_all(options)}
    print(f"\nwritten: {write_results(options.output, rows).name}")


if __name__ == "__main__":
    main()
