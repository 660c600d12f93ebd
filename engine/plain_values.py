"""Values of any kind made plain: what JSON has, bounded, whatever they are. Never raises."""

import math
from collections.abc import Collection, Mapping
from datetime import date, datetime, time
from decimal import Decimal
from enum import Enum
from itertools import islice
from pathlib import PurePath
from typing import Any, TypeVar
from uuid import UUID

MAX_TEXT_LENGTH = 8_192
"""Characters of one string value; a longer one loses its middle."""

MAX_SHOWN_LENGTH = 1_024
"""Characters of a value that is only shown, because JSON has no form for it."""

MAX_KEY_LENGTH = 256

MAX_ITEMS = 1_000
"""Values in one event, those inside containers included."""

MAX_DEPTH = 8

Item = TypeVar("Item")

_SMALL = 2**63


def is_plain(values: Mapping[Any, object]) -> bool:
    """Whether the values of an event are plain already and within all bounds, as those of the service's own events are:
    then PlainValues would leave each as it is, one by one."""
    return len(values) <= MAX_ITEMS and all(map(_is_plain_text, values)) and all(map(_is_plain, values.values()))


def _is_plain(value: object) -> bool:
    kind = type(value)
    if kind is str:
        return _is_plain_text(value)
    if kind is float:
        return math.isfinite(value)  # type: ignore[arg-type]  # it is a float
    return value is None or kind is bool or (kind is int and -_SMALL <= value < _SMALL)  # type: ignore[operator]  # an int


def _is_plain_text(text: object) -> bool:
    return type(text) is str and len(text) <= MAX_KEY_LENGTH and text.isascii()


def shown(value: object) -> str:
    """The value's repr, bounded; if it has none, its type and address."""
    try:
        return bounded(encodable(repr(value)), MAX_SHOWN_LENGTH)
    except BaseException:  # noqa: BLE001 - a foreign __repr__ may raise anything, SystemExit included
        return bounded(encodable(object.__repr__(value)), MAX_SHOWN_LENGTH)


def plain_text(text: str) -> str:
    """The text as UTF-8 has it, bounded; also of a subclass of str that would rather not."""
    return encodable(bounded(str.__str__(text), MAX_TEXT_LENGTH))


def bounded(text: str, limit: int) -> str:
    """Both ends are kept: a message starts with what it is about, a traceback ends with it."""
    if len(text) <= limit:
        return text
    half = limit // 2
    return f"{text[:half]} <{len(text) - 2 * half} characters left out> {text[-half:]}"


def encodable(text: str) -> str:
    """The text with what UTF-8 refuses, halves of surrogate pairs, written as escapes."""
    return text if text.isascii() else text.encode("utf-8", "backslashreplace").decode()


def zulu(text: str) -> str:
    """An ISO 8601 text with Z for the offset of UTC."""
    return text.removesuffix("+00:00") + "Z" if text.endswith("+00:00") else text


class PlainValues:
    """Turns the values of one event into what JSON has; the number of values is bounded over the whole event."""

    def __init__(self, *, at_most: int = MAX_ITEMS) -> None:
        self._items_left = at_most

    def mapping(self, values: Mapping[Any, object], depth: int = 0) -> dict[str, object]:
        """The same mapping with plain keys and values; what is too much is only counted."""
        items, left_out = self._take(values.items())
        plain = {_key(key): self.plain(value, depth) for key, value in items}
        return {**plain, "left_out": left_out} if left_out else plain

    def plain(self, value: object, depth: int) -> object:
        """The value as JSON has it, or as it is shown."""
        try:
            return self._plain(value, depth)
        except BaseException:  # noqa: BLE001 - lazy proxies and subclasses run foreign code in any operation
            return shown(value)

    def _plain(self, value: object, depth: int) -> object:
        match value:
            case None | bool():
                return value
            case Enum():
                return self.plain(value.value, depth + 1) if depth < MAX_DEPTH else shown(value)
            case str():
                return plain_text(value)
            case int():
                return _number(value)
            case float():
                return float(value) if math.isfinite(value) else str(float(value))
            case datetime() | date() | time():
                return zulu(value.isoformat())
            case UUID() | PurePath() | Decimal():
                return plain_text(str(value))
            case bytes() | bytearray():
                return shown(bytes(value[:MAX_SHOWN_LENGTH]))
            case _:
                return self._container(value, depth + 1)

    def _container(self, value: object, depth: int) -> object:
        if depth > MAX_DEPTH:
            return f"<{type(value).__name__} nested too deep>"
        if isinstance(value, dict):
            return self.mapping(value, depth)
        if isinstance(value, list | tuple | set | frozenset):
            return self._sequence(value, depth)
        return shown(value)

    def _sequence(self, values: Collection[object], depth: int) -> list[object]:
        items, left_out = self._take(values)
        plain = [self.plain(item, depth) for item in items]
        return [*plain, f"<{left_out} left out>"] if left_out else plain

    def _take(self, values: Collection[Item]) -> tuple[list[Item], int]:
        # A copy in one step: the owner may change its container while this thread goes over it.
        items = list(islice(values, self._items_left))
        self._items_left -= len(items)
        return items, len(values) - len(items)


def _key(key: object) -> str:
    return bounded(encodable(str.__str__(key)), MAX_KEY_LENGTH) if isinstance(key, str) else shown(key)


def _number(value: int) -> object:
    if -(2**63) <= value < 2**64:
        return int(value)
    # str() takes quadratic time, and refuses more than 4,300 digits.
    return str(value) if value.bit_length() <= MAX_SHOWN_LENGTH else f"<integer of {value.bit_length()} bits>"
