"""From a log event to one line of text, as JSON or for a reader, whatever values it carries. Never raises."""

import math
import traceback
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from decimal import Decimal
from enum import Enum
from itertools import islice
from pathlib import PurePath
from types import TracebackType
from typing import Any, TypeVar
from uuid import UUID

import orjson
import structlog

MAX_TEXT_LENGTH = 8_192
"""Characters of one string value; a longer one loses its middle."""

MAX_SHOWN_LENGTH = 1_024
"""Characters of a value that is only shown, because JSON has no form for it."""

MAX_KEY_LENGTH = 256

MAX_ITEMS = 1_000
"""Values in one event, those inside containers included."""

MAX_DEPTH = 8

NAMES_OF_THE_LINE = frozenset({"timestamp", "level", "logger", "event", "exception", "exc_info"})
"""Keys that a line or its renderer uses itself; a fact of the same name gets an underscore behind it."""

ExceptionInfo = tuple[type[BaseException], BaseException, TracebackType | None]
Renderer = Callable[["LogEvent"], bytes]
Item = TypeVar("Item")


@dataclass(frozen=True, slots=True)
class LogEvent:
    """What the calling thread collects; `created_at` is in seconds since the epoch, values are as they were given."""

    created_at: float
    level: str
    logger: str
    event: object
    facts: Mapping[str, object]
    exception: ExceptionInfo | None = None


def json_line(event: LogEvent) -> bytes:
    """One line of JSON, newline included."""
    return _without_unicode_newlines(orjson.dumps(_safe_fields(event))) + b"\n"


def console_line(*, colors: bool) -> Renderer:
    """A renderer of lines for people, coloured if `colors`."""
    # The plain formatter only keeps structlog from warning: exceptions arrive here as text.
    renderer = structlog.dev.ConsoleRenderer(colors=colors, exception_formatter=structlog.dev.plain_traceback)

    def render(event: LogEvent) -> bytes:
        fields = {_printable(key): _for_console(key, value) for key, value in _safe_fields(event).items()}
        return f"{renderer(None, event.level, fields)}\n".encode()

    return render


def shown(value: object) -> str:
    """The value's repr, bounded; if it has none, its type and address."""
    try:
        return _bounded(_encodable(repr(value)), MAX_SHOWN_LENGTH)
    except BaseException:  # noqa: BLE001 - a foreign __repr__ may raise anything, SystemExit included
        return _bounded(_encodable(object.__repr__(value)), MAX_SHOWN_LENGTH)


def _safe_fields(event: LogEvent) -> dict[str, object]:
    try:
        return _fields(event)
    except Exception as error:  # noqa: BLE001 - a log line must come out, if only to say that it could not
        return {
            "timestamp": _instant(event.created_at),
            "level": "error",
            "logger": shown(event.logger),
            "event": "log event not renderable",
            "error": shown(error),
        }


def _fields(event: LogEvent) -> dict[str, object]:
    fields: dict[str, object] = {
        "timestamp": _instant(event.created_at),
        "level": _text(event.level),
        "logger": _text(event.logger),
        "event": _text(event.event) if isinstance(event.event, str) else shown(event.event),
    }
    for key, value in PlainValues().mapping(event.facts).items():
        fields[f"{key}_" if key in NAMES_OF_THE_LINE else key] = value
    if event.exception is not None:
        fields["exception"] = _exception_text(event.exception)
    return fields


def _instant(created_at: float) -> str:
    return _zulu(datetime.fromtimestamp(created_at, UTC).isoformat(timespec="microseconds"))


def _zulu(text: str) -> str:
    return text.removesuffix("+00:00") + "Z" if text.endswith("+00:00") else text


def _exception_text(exception: ExceptionInfo) -> str:
    try:
        return _text("".join(traceback.format_exception(*exception)).rstrip("\n"))
    except BaseException:  # noqa: BLE001 - it runs the exception's own code, which may raise anything
        return shown(exception[1])


class PlainValues:
    """Turns the values of one event into what JSON has; the number of values is bounded over the whole event."""

    def __init__(self) -> None:
        self._items_left = MAX_ITEMS

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
                return _text(value)
            case int():
                return _number(value)
            case float():
                return float(value) if math.isfinite(value) else str(float(value))
            case datetime() | date() | time():
                return _zulu(value.isoformat())
            case UUID() | PurePath() | Decimal():
                return _text(str(value))
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
    return _bounded(_encodable(str.__str__(key)), MAX_KEY_LENGTH) if isinstance(key, str) else shown(key)


def _number(value: int) -> object:
    if -(2**63) <= value < 2**64:
        return int(value)
    # str() takes quadratic time, and refuses more than 4,300 digits.
    return str(value) if value.bit_length() <= MAX_SHOWN_LENGTH else f"<integer of {value.bit_length()} bits>"


def _text(text: str) -> str:
    return _encodable(_bounded(str.__str__(text), MAX_TEXT_LENGTH))


def _bounded(text: str, limit: int) -> str:
    """Both ends are kept: a message starts with what it is about, a traceback ends with it."""
    if len(text) <= limit:
        return text
    half = limit // 2
    return f"{text[:half]} <{len(text) - 2 * half} characters left out> {text[-half:]}"


def _encodable(text: str) -> str:
    return text if text.isascii() else text.encode("utf-8", "backslashreplace").decode()


def _without_unicode_newlines(line: bytes) -> bytes:
    """JSON allows them bare, but Python's splitlines() would see two lines."""
    if line.isascii():
        return line
    for character in ("\x85", "\u2028", "\u2029"):
        line = line.replace(character.encode(), f"\\u{ord(character):04x}".encode())
    return line


def _for_console(key: str, value: object) -> object:
    if key in {"exception", "stack"}:
        # Indented, so that a message with a newline in it can't pose as the next event.
        return "\n".join(f"    {_printable(line)}" for line in str(value).split("\n"))
    return _printable(value) if isinstance(value, str) else value


def _printable(text: str) -> str:
    """Control characters as their escapes: they could forge a line or drive the terminal."""
    if text.isprintable():
        return text
    return "".join(character if character.isprintable() else _escape(character) for character in text)


def _escape(character: str) -> str:
    return character.encode("unicode_escape").decode()
