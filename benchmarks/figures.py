"""From many measurements to few figures."""

import statistics
from collections.abc import Sequence
from typing import Any

Row = dict[str, Any]
"""What one contender did in one measurement, as it goes into the JSON."""

CURVE_SHARES = [0.001, *(share / 100 for share in range(1, 100)), 0.995, 0.999, 0.9995, 0.9999, 1.0]
"""Shares of slots for which the curve of a contender has a point."""


def quantile(ordered: Sequence[float], share: float) -> float:
    """The value that so large a share does not exceed; of values in order."""
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def summary_of(milliseconds: list[float]) -> dict[str, float]:
    """The quantiles that the tables show; nothing of nothing."""
    if not milliseconds:
        return {}
    ordered = sorted(milliseconds)
    shares = {"p50_ms": 0.5, "p90_ms": 0.9, "p99_ms": 0.99, "p999_ms": 0.999, "max_ms": 1.0}
    return {name: round(quantile(ordered, share), 4) for name, share in shares.items()}


def curve_of(milliseconds: list[float]) -> list[float]:
    """Lateness at each of CURVE_SHARES."""
    ordered = sorted(milliseconds)
    return [round(quantile(ordered, share), 4) for share in CURVE_SHARES] if ordered else []


def medians(repeats: list[dict[str, float]]) -> dict[str, float]:
    """Each figure's median, over the repeats that have it."""
    names = dict.fromkeys(name for repeat in repeats for name in repeat)
    return {name: statistics.median(repeat[name] for repeat in repeats if name in repeat) for name in names}
