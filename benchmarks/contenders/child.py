"""What every contender's process does: say when the first slot is, go on until told, say what it knows."""

import json
import math
import sys
import time
from pathlib import Path
from typing import Any

POOL_SIZE = 16
"""Threads of everybody's pool, as the service has them by default."""


def first_slot_after(seconds: float) -> float:
    """A whole second since 1970, at least so far away."""
    return float(math.ceil(time.time() + seconds))


def say(**facts: object) -> None:
    print(json.dumps(facts), flush=True)


def wait_until_told() -> None:
    sys.stdin.read()


def use_pragmas_of_the_service(connection: Any, _record: Any) -> None:
    """For others' connections to SQLite; a listener of SQLAlchemy's `connect`."""
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")


def peak_mib() -> float:
    """The largest resident set that this process ever had, in MiB (Linux)."""
    status = Path("/proc/self/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) / 1024
