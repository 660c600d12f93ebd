"""Figures as a table in a terminal, or in Markdown."""

from collections.abc import Sequence

Cells = Sequence[str]


def print_table(title: str, header: Cells, rows: Sequence[Cells]) -> None:
    widths = [max(len(row[column]) for row in (header, *rows)) for column in range(len(header))]
    print(f"\n{title}")
    for row in (header, *rows):
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip(), flush=True)


def markdown_table(header: Cells, rows: Sequence[Cells]) -> str:
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def number(value: float | None, digits: int = 2) -> str:
    """With thousands set apart; nothing for what was not measured."""
    return "" if value is None else f"{value:,.{digits}f}"
