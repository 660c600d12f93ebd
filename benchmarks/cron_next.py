"""What the next slot of a cron schedule costs, beside others who compute one, and whether all find the same."""

import json
import os
import statistics
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from benchmarks.contenders.catalogue import APSCHEDULER_3
from benchmarks.figures import Row, quantile
from benchmarks.options import Options, read_options
from benchmarks.service_process import ROOT
from benchmarks.tables import number, print_table

FROM = datetime(2026, 1, 1, 0, 0, 30, tzinfo=UTC)
INSTANTS = [(FROM + count * timedelta(days=365) / 1_000).timestamp() for count in range(1_000)]
"""Spread over a year, so that each clock change of a zone lies between two of them."""

EXPRESSIONS = [
    ("* * * * *", "UTC"),
    ("*/5 * * * *", "Europe/Berlin"),
    ("30 2 * * *", "America/New_York"),
    ("0 9-17 * * mon-fri", "Australia/Lord_Howe"),
    ("0 0 1 */3 *", "Asia/Kolkata"),
    ("0 0 29 2 *", "Europe/Berlin"),
]
"""Such as all of them read in the same way."""

CONTENDERS = {
    "service": ("this service", sys.executable),
    "croniter": ("croniter", sys.executable),
    "apscheduler3": ("APScheduler 3", str(ROOT / APSCHEDULER_3 / "bin" / "python")),
}
HEADER = ("next slot of", "contender", "median us", "p99 us", "max us", "slots like this service's")


def measure_all(_options: Options) -> list[Row]:
    """A row for each expression and contender. There are no choices."""
    told = {name: ask(name, python) for name, (_, python) in CONTENDERS.items() if Path(python).exists()}
    rows = [
        row_of(name, number_of_expression, answers, told["service"][number_of_expression]["slots"])
        for number_of_expression in range(len(EXPRESSIONS))
        for name, answers in told.items()
    ]
    print_table("cron_next: 1,000 instants of a year", HEADER, [cells_of(row) for row in rows])
    return rows


def cells_of(row: Row) -> list[str]:
    costs = [number(row[name], 1) for name in ("median_us", "p99_us", "max_us")]
    agree = f"{row['agreeing']:,} of {row['slots']:,}"
    return [f"`{row['expression']}` {row['timezone']}", row["label"], *costs, agree]


def ask(contender: str, python: str) -> list[dict[str, Any]]:
    """In a process of its own, with the packages of its environment."""
    questions = [
        {"expression": expression, "timezone": timezone, "instants": INSTANTS} for expression, timezone in EXPRESSIONS
    ]
    answered = subprocess.run(
        [python, "-m", "benchmarks.contenders.cron_next", contender],
        input=json.dumps(questions),
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    answers: list[dict[str, Any]] = json.loads(answered.stdout)
    return answers


def row_of(contender: str, expression: int, answers: list[dict[str, Any]], ours: list[float | None]) -> Row:
    costs = sorted(answers[expression]["microseconds"])
    slots = answers[expression]["slots"]
    text, timezone = EXPRESSIONS[expression]
    return {
        "contender": contender,
        "label": CONTENDERS[contender][0],
        "expression": text,
        "timezone": timezone,
        "median_us": round(statistics.median(costs), 2),
        "p99_us": round(quantile(costs, 0.99), 2),
        "max_us": round(costs[-1], 2),
        "slots": len(slots),
        "agreeing": sum(one == other for one, other in zip(slots, ours, strict=True)),
    }


if __name__ == "__main__":
    measure_all(read_options())
