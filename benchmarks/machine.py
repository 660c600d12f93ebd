"""What figures depend on, to be written beside them; nothing that says whose machine it was."""

import os
import platform
import sqlite3
import timeit
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

_LOOP = "sum(number * number for number in range(100_000))"


def describe_machine() -> dict[str, str | int | float]:
    """Processor, versions, and the day."""
    return {
        "date": datetime.now(UTC).date().isoformat(),
        "processor": _processor(),
        "cores": len(os.sched_getaffinity(0)),
        "kernel": f"{platform.system()} {platform.release().split('-')[0]}",
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "sqlite": sqlite3.sqlite_version,
        "sqlalchemy": version("sqlalchemy"),
        "loop_ms": _loop_milliseconds(),
    }


def _loop_milliseconds() -> float:
    """How fast Python is here today, to hold figures of two days against each other: the best of a few."""
    return round(min(timeit.repeat(_LOOP, number=1, repeat=7)) * 1_000, 2)


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return platform.machine()
