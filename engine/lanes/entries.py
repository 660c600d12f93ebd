"""One line that a run printed or logged in a worker process, as plain values."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, time
from decimal import Decimal
from enum import Enum
from itertools import islice
from pathlib import PurePath
from typing import Any
from uuid import UUID

from engine.limits import MAX_FACT_DEPTH, MAX_FACTS_PER_LINE, MAX_LINE_LENGTH
from engine.text import clean_text

MAX_KEY_LENGTH = 256


@dataclass(frozen=True, slots=True)
class WrittenLine:
    """A printed line has a `stream` ("stdout", "stderr"); a logged one has None there, and its `facts` are JSON.

    `level` is the lower-case name of a level of the standard library. `text` is the line, or the event.
    """

    stream: str | None
    level: str
    logger: str
    text: str
    facts: Mapping[str, Any] = field(default_factory=dict)


def plain_facts(facts: Mapping[Any, Any]) -> dict[str, Any]:
    """The same facts as JSON has them: bounded, and whatever has no form there as its repr. Never raises."""
    return _Plain().mapping(facts, depth=0)


def plain_text(value: object) -> str:
    """Text, bounded, or the repr of what is none. Never raises."""
    try:
        return clean_text(str.__str__(value) if isinstance(value, str) else repr(value), at_most=MAX_LINE_LENGTH)
    # A foreign __repr__ may raise anything.
    except BaseException:  # noqa: BLE001 - see above
        return object.__repr__(value)


class _Plain:
    """Turns values into plain ones, and counts them over the whole line."""

    def __init__(self) -> None:
        self._left = MAX_FACTS_PER_LINE

    def mapping(self, values: Mapping[Any, Any], *, depth: int) -> dict[str, Any]:
        items = self._take(values.items())
        plain = {plain_text(key)[:MAX_KEY_LENGTH]: self._value(value, depth=depth + 1) for key, value in items}
        return plain if len(items) == len(values) else {**plain, "left_out": len(values) - len(items)}

    def _value(self, value: object, *, depth: int) -> Any:
        try:
            return self._plain(value, depth=depth)
        # Proxies and subclasses run foreign code in any operation.
        except BaseException:  # noqa: BLE001 - see above
            return plain_text(value)

    def _plain(self, value: object, *, depth: int) -> Any:
        match value:
            case None | bool():
                return value
            case Enum():
                return self._value(value.value, depth=depth + 1) if depth < MAX_FACT_DEPTH else plain_text(value)
            case int():
                return int(value) if -(2**63) <= value < 2**63 else plain_text(value)
            case float():
                return float(value) if math.isfinite(value) else str(float(value))
            case datetime() | date() | time():
                return value.isoformat()
            case UUID() | PurePath() | Decimal():
                return plain_text(str(value))
            case Mapping() if depth < MAX_FACT_DEPTH:
                return self.mapping(value, depth=depth)
            case list() | tuple() | set() | frozenset() if depth < MAX_FACT_DEPTH:
                return self._sequence(value, depth=depth)
            case _:
                return plain_text(value)

    def _sequence(self, values: Any, *, depth: int) -> list[Any]:
        items = self._take(values)
        plain = [self._value(item, depth=depth + 1) for item in items]
        return plain if len(items) == len(values) else [*plain, f"<{len(values) - len(items)} left out>"]

    def _take(self, values: Iterable[Any]) -> list[Any]:
        items = list(islice(values, self._left))
        self._left -= len(items)
        return items
