"""The published figures in the README, and their picture, from the JSON of one run: `python -m benchmarks.report`."""

from typing import Any

from benchmarks import api, burst, computing, cron_next, dispatch_latency, scale
from benchmarks.options import RESULTS
from benchmarks.results import Results, read_results
from benchmarks.service_process import ROOT
from benchmarks.tables import Cells, markdown_table

README = ROOT / "README.md"
BEGIN, END = "<!-- benchmarks: begin -->", "<!-- benchmarks: end -->"
SINGLE_TABLES: dict[str, tuple[str, Any]] = {
    "computing": ("100 slots a second of other jobs, while one run only computes", computing),
    "scale": ("Jobs that are due later than the look-ahead window", scale),
    "api": ("Requests, the first two of a server that does nothing", api),
    "cron_next": ("The next slot of a cron schedule, at 1,000 instants of a year", cron_next),
}
SHOWN = ("100 slots a second", "10,000 jobs due at once")
PICTURE = "benchmarks/results/lateness.png"


def main() -> None:
    """Put the tables between the README's markers."""
    README.write_text(with_section(README.read_text(), section_of(read_results(RESULTS))))


def with_section(document: str, section: str) -> str:
    """The document with another text between its markers. Raises ValueError without them."""
    before, _, rest = document.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not end:
        raise ValueError(f"there is no {BEGIN} ... {END}")
    return f"{before}{BEGIN}\n{section}\n{END}{after}"


def section_of(results: Results) -> str:
    """Markdown: the machine, the picture, the two tables that say most, and the others folded up."""
    machine = results["machine"]
    told = f"{machine['processor']}, {machine['cores']} cores, {machine['python']}, SQLite {machine['sqlite']}"
    told += f"; 100,000 turns of a loop in Python took {machine['loop_ms']} ms"
    tables = _tables(results)
    shown = [tables.pop(heading) for heading in SHOWN if heading in tables]
    folded = ["<details><summary>All other tables</summary>", *tables.values(), "</details>"] if tables else []
    picture = f"![Share of slots by lateness]({PICTURE})"
    return "\n\n".join([f"Measured on {machine['date']}: {told}.", picture, *shown, *folded])


def _tables(results: Results) -> dict[str, str]:
    """By their headings, which are in them."""
    tables: dict[str, str] = {}

    def add(heading: str, header: Cells, cells: list[list[str]]) -> None:
        tables[heading] = f"{heading}:\n\n{markdown_table(header, cells)}"

    for rate in _different(results, "dispatch_latency", "rate"):
        rows = [row for row in results["dispatch_latency"] if row["rate"] == rate]
        add(f"{rate:,} slots a second", dispatch_latency.HEADER, [dispatch_latency.cells_of(row) for row in rows])
    for size in _different(results, "burst", "jobs"):
        rows = [row for row in results["burst"] if row["jobs"] == size]
        add(f"{size:,} jobs due at once", burst.HEADER, [burst.cells_of(row) for row in rows])
    for name, (heading, measurement) in SINGLE_TABLES.items():
        if name in results:
            add(heading, measurement.HEADER, [measurement.cells_of(row) for row in results[name]])
    return tables


def _different(results: Results, measurement: str, key: str) -> list[int]:
    return list(dict.fromkeys(row[key] for row in results[measurement]))


if __name__ == "__main__":
    main()
