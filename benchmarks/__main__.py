"""`python -m benchmarks`: every measurement, one after the other."""

from benchmarks import cron_cost, dispatch_latency, service_figures

if __name__ == "__main__":
    service_figures.main()
    dispatch_latency.main()
    cron_cost.main()
