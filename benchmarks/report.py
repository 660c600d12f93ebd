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
    """Markdown: the machine, the picture, a table for each measurement."""
    machine = results["machine"]
    told = f"{machine['processor']}, {machine['cores']} cores, {machine['python']}, SQLite {machine['sqlite']}"
    told += f"; 100,000 turns of a loop in Python took {machine['loop_ms']} ms"
    parts = [f"Measured on {machine['date']}: {told}.", f"![Share of slots by lateness]({PICTURE})"]
    for rate in _different(results, "dispatch_latency", "rate"):
        rows = [row for row in results["dispatch_latency"] if row["rate"] == rate]
        header: Cells = dispatch_latency.HEADER
        cells = [dispatch_latency.cells_of(row) for row in rows]
        parts += [f"{rate:,} slots a second:", markdown_table(header, cells)]
    for size in _different(results, "burst", "jobs"):
        rows = [row for row in results["burst"] if row["jobs"] == size]
        parts += [f"{size:,} jobs due at once:", markdown_table(burst.HEADER, [burst.cells_of(row) for row in rows])]
    for name, (heading, measurement) in SINGLE_TABLES.items():
        if name in results:
            cells = [measurement.cells_of(row) for row in results[name]]
            parts += [f"{heading}:", markdown_table(measurement.HEADER, cells)]
    return "\n\n".join(parts)


def _different(results: Results, measurement: str, key: str) -> list[int]:
    return list(dict.fromkeys(row[key] for row in results[measurement]))


if __name__ == "__main__":
    main()
