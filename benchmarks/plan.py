"""What a contender is asked to do, as values that go to its process as JSON."""

import json
import os
from dataclasses import asdict, dataclass
from typing import Self

PLAN_VARIABLE = "BENCHMARK_PLAN"
RUN_NEVER_AGAIN = 86_400


@dataclass(frozen=True)
class Plan:
    """Jobs numbered from 0, each due every `interval_seconds`, their phases spread over `spread_seconds`.

    The bystanders come after them: jobs of 1 s, spread over the second. Slots count from the instant that the contender
    itself names once it is ready, `lead_seconds` after its jobs are known to it; `span_seconds` later all is over.
    """

    folder: str
    jobs: int
    interval_seconds: int
    spread_seconds: float
    span_seconds: float
    lead_seconds: float
    bystanders: int = 0
    store: str = "memory"
    database_url: str = ""
    processes: int = 1
    companion: str = ""
    """A function of the service that one run of computes with, from before the first slot to after the last."""

    @property
    def numbers(self) -> range:
        return range(self.jobs + self.bystanders)

    @property
    def capacity(self) -> int:
        """Calls that one process may note: all that are due, and as many again for what is doubled."""
        return 2 * (self.jobs * max(1, int(self.span_seconds / self.interval_seconds) + 2) + 10_000)

    def interval_of(self, number: int) -> int:
        """In seconds."""
        return self.interval_seconds if number < self.jobs else 1

    def phase_of(self, number: int) -> float:
        """Seconds from the first slot of job 0 to that of this one."""
        if number < self.jobs:
            return number * self.spread_seconds / self.jobs
        return (number - self.jobs + 0.5) / self.bystanders

    def to_json(self) -> str:
        return json.dumps(asdict(self))

    @classmethod
    def from_environment(cls) -> Self:
        """The plan of this contender's process."""
        return cls(**json.loads(os.environ[PLAN_VARIABLE]))


def steady(rate: int, folder: str, *, span_seconds: float, lead_seconds: float, companion: str = "") -> Plan:
    """So many slots a second, evenly spread: each job runs once a second."""
    return Plan(
        folder=folder,
        jobs=rate,
        interval_seconds=1,
        spread_seconds=1.0,
        span_seconds=span_seconds,
        lead_seconds=lead_seconds,
        companion=companion,
    )


def burst(jobs: int, folder: str, *, span_seconds: float, lead_seconds: float) -> Plan:
    """All due at one instant, and ten bystanders, of which one is due each tenth of a second."""
    return Plan(
        folder=folder,
        jobs=jobs,
        interval_seconds=RUN_NEVER_AGAIN,
        spread_seconds=0.0,
        span_seconds=span_seconds,
        lead_seconds=lead_seconds,
        bystanders=10,
    )
