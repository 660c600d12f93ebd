"""`python -m benchmarks`: every measurement but the hostile functions, which take five minutes, one after the other."""

from benchmarks import api, cron_cost, dispatch_latency, downtime, service_figures

if __name__ == "__main__":
    service_figures.main()
    api.main()
    dispatch_latency.main()
    downtime.main()
    cron_cost.main()
