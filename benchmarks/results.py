"""The figures of one run as JSON: what the picture and the tables of the documents are made from."""

import json
from pathlib import Path
from typing import Any

from benchmarks.figures import Row
from benchmarks.machine import describe_machine

FILE = "results.json"

Results = dict[str, Any]


def write_results(folder: Path, rows: dict[str, list[Row]]) -> Path:
    """Rows by the name of their measurement."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / FILE
    path.write_text(json.dumps({"machine": describe_machine(), **rows}, indent=1) + "\n")
    return path


def read_results(folder: Path) -> Results:
    results: Results = json.loads((folder / FILE).read_text())
    return results
