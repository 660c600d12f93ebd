"""Lateness curves of one run: `python -m benchmarks.picture FOLDER`, in the environment that has matplotlib."""

import sys
from pathlib import Path
from typing import Any

from benchmarks.figures import CURVE_SHARES
from benchmarks.results import Results, read_results

FILE = "lateness.png"


def main() -> None:
    """Draw what the folder's JSON has."""
    folder = Path(sys.argv[1])
    draw(read_results(folder), folder / FILE)


def draw(results: Results, path: Path) -> None:
    """A panel for each rate, a curve for each contender: the share of slots that started within so many ms."""
    # Here, as the environment of the service has none.
    from matplotlib import pyplot  # noqa: PLC0415

    rates = list(dict.fromkeys(row["rate"] for row in results["dispatch_latency"]))
    figure, panels = pyplot.subplots(1, len(rates), figsize=(4.5 * len(rates), 4.5), sharey=True, squeeze=False)
    for rate, panel in zip(rates, panels[0], strict=True):
        _draw_rate([row for row in results["dispatch_latency"] if row["rate"] == rate], panel)
        panel.set_title(f"{rate:,} slots a second")
    panels[0][0].set_ylabel("share of slots, %")
    # Whoever fell behind at the first rate has no curve anywhere.
    figure.legend(*panels[0][0].get_legend_handles_labels(), loc="lower center", ncols=5, fontsize="small")
    figure.tight_layout(rect=(0, 0.12, 1, 1))
    figure.savefig(path, dpi=110, metadata={"Software": None})


def _draw_rate(rows: list[dict[str, Any]], panel: Any) -> None:
    for row in rows:
        if row["curve"]:
            # On a logarithmic axis nothing is at or left of zero.
            late = [max(0.01, milliseconds) for milliseconds in row["curve"]]
            panel.plot(late, [share * 100 for share in CURVE_SHARES], label=row["label"])
    panel.set_xscale("log")
    panel.set_xlabel("started within, ms")
    panel.grid(visible=True, alpha=0.3)


if __name__ == "__main__":
    main()
