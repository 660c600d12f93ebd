"""From a log event to one line of text, as JSON or for a reader, whatever values it carries. Never raises."""

import re
import traceback
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from functools import lru_cache
from types import TracebackType

import orjson
import structlog

from engine.plain_values import MAX_KEY_LENGTH, MAX_TEXT_LENGTH, PlainValues, is_plain, plain_text, shown
from engine.values import quick_dataclass

NAMES_OF_THE_LINE = frozenset({"timestamp", "level", "logger", "event", "exception", "exc_info"})
"""Keys that a line or its renderer uses itself; a fact of the same name gets an underscore behind it."""

ExceptionInfo = tuple[type[BaseException], BaseException, TracebackType | None]
Renderer = Callable[["LogEvent"], bytes]


@quick_dataclass(frozen=True, slots=True)
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
        line = None if colors else _ordinary_line(event)
        if line is not None:
            return line.encode()
        fields = {_printable(key): _for_console(key, value) for key, value in _safe_fields(event).items()}
        if not colors and not fields.keys() & _OF_MANY_LINES:
            return f"{_uncoloured(fields)}\n".encode()
        return f"{renderer(None, event.level, fields)}\n".encode()

    return render


_OF_MANY_LINES = {"exception", "stack", "exc_info"}
_is_bare = re.compile(rf"[!#-&(-<>-~]{{1,{MAX_TEXT_LENGTH}}}").fullmatch
"""Whether a text stands in a line as it is: printable ASCII, not too long, no blank, no quote, no equals sign."""
_REMEMBERED = 256
_MOST_ORDINARY_FACTS = 32
_LARGE_BITS = 64
_QUOTED = frozenset(" \t=\r\n\"'")
_EVENT_WIDTH = 30
_LEVEL_WIDTH = 9


def _uncoloured(fields: dict[str, object]) -> str:
    """What structlog's ConsoleRenderer makes of one line without colours, in a tenth of its time (tests compare them).

    A service that does not write to a terminal writes two of these for each run.
    """
    parts = [f"{fields.pop('timestamp')} [{fields.pop('level'):<{_LEVEL_WIDTH}}] {fields.pop('event'):<{_EVENT_WIDTH}}"]
    parts += [f"[{fields.pop(key)}]" for key in ("logger", "logger_name") if key in fields]
    parts += [f"{key}={_console_value(fields[key])}" for key in sorted(fields)]
    return " ".join(parts).rstrip(" ")


def _ordinary_line(event: LogEvent) -> str | None:
    """The same at once for an event with nothing in it that needs care, as nearly all are; None if there is."""
    facts, texts = event.facts, (event.level, event.event, event.logger)
    if event.exception is not None or type(facts) is not dict or len(facts) > _MOST_ORDINARY_FACTS:
        return None
    # Asked first: what is remembered is kept, so that it must be small, and hashed, which must not run foreign code.
    if not all(type(text) is str and len(text) <= MAX_KEY_LENGTH for text in (*texts, *facts)):
        return None
    order, head = _ordinary_order(tuple(facts)), _ordinary_head(*texts)
    if order is None or head is None:
        return None
    values = [facts[key] for key in order.keys]
    if not _are_ordinary(values):
        return None
    return f"{_instant(event.created_at)}{head}{order.template % tuple(values)}\n"


@quick_dataclass(frozen=True, slots=True)
class _Order:
    """The keys of an event in their order, and the text of a line that their values are put into."""

    keys: list[str]
    template: str


@lru_cache(maxsize=_REMEMBERED)
def _ordinary_order(keys: tuple[str, ...]) -> _Order | None:
    """If all stand as they are and none has a place of its own."""
    special = NAMES_OF_THE_LINE | _OF_MANY_LINES | {"logger_name"}
    if not special.isdisjoint(keys) or not all(map(_is_bare, keys)):
        return None
    in_order = sorted(keys)
    return _Order(in_order, "".join(f" {key.replace('%', '%%')}=%s" for key in in_order))


@lru_cache(maxsize=_REMEMBERED)
def _ordinary_head(level: str, event: object, logger: str) -> str | None:
    text = str(event)
    is_ordinary = text.isascii() and text.isprintable() and _is_bare(level) and _is_bare(logger)
    return f" [{level:<{_LEVEL_WIDTH}}] {text:<{_EVENT_WIDTH}} [{logger}]" if is_ordinary else None


def _are_ordinary(values: list[object]) -> bool:
    """Whether each value stands in a line as `str` has it."""
    texts: list[str] = []
    for value in values:
        if type(value) is str:
            texts.append(value)
        elif type(value) is int:
            if value.bit_length() >= _LARGE_BITS:
                return False
        elif type(value) is not float and type(value) is not bool and value is not None:
            return False
    # Asked of all at once: of texts that are each bare, and of no others, what they make together is bare.
    return all(texts) and (not texts or _is_bare("".join(texts)) is not None)


def _console_value(value: object) -> str:
    if isinstance(value, str):
        return value if _QUOTED.isdisjoint(value) else repr(value)
    return repr(value)


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
        "level": plain_text(event.level),
        "logger": plain_text(event.logger),
        "event": plain_text(event.event) if isinstance(event.event, str) else shown(event.event),
    }
    facts = event.facts if is_plain(event.facts) else PlainValues().mapping(event.facts)
    for key, value in facts.items():
        fields[f"{key}_" if key in NAMES_OF_THE_LINE else key] = value
    if event.exception is not None:
        fields["exception"] = _exception_text(event.exception)
    return fields


def _instant(created_at: float) -> str:
    second, microsecond = divmod(round(created_at * 1_000_000), 1_000_000)
    return f"{_to_the_second(second)}.{microsecond:06}Z"


@lru_cache(maxsize=4)
def _to_the_second(seconds: int) -> str:
    """Most lines are of the same second as the one before."""
    return datetime.fromtimestamp(seconds, UTC).isoformat().removesuffix("+00:00")


def _exception_text(exception: ExceptionInfo) -> str:
    try:
        return plain_text("".join(traceback.format_exception(*exception)).rstrip("\n"))
    except BaseException:  # noqa: BLE001 - it runs the exception's own code, which may raise anything
        return shown(exception[1])


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
