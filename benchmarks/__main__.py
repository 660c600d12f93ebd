"""`python -m benchmarks`: every measurement but the hostile functions, which take five minutes, one after the other."""

import argparse
from pathlib import Path

from benchmarks import api, burst, cron_cost, dispatch_latency, downtime, service_figures


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--others", type=Path, help="the Python of an environment with benchmarks/requirements.txt")
    options = parser.parse_args()
    dispatch_latency.measure(others=options.others)
    burst.measure()
    service_figures.main()
    api.main()
    downtime.main()
    cron_cost.main()


if __name__ == "__main__":
    main()
