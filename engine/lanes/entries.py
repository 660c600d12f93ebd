"""One line that a run printed or logged in a worker process, as plain values."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from engine.limits import MAX_FACTS_PER_LINE, MAX_LINE_LENGTH
from engine.plain_values import PlainValues
from engine.text import clean_text


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
    return PlainValues(at_most=MAX_FACTS_PER_LINE).mapping(facts)


def plain_text(value: object) -> str:
    """Text, bounded, or the repr of what is none. Raises nothing, but what a signal handler of the function raises."""
    if type(value) is str:
        # Nothing here can raise by itself; swallowed below would be the time-out that a function has set itself.
        return clean_text(value, at_most=MAX_LINE_LENGTH)
    try:
        return clean_text(str.__str__(value) if isinstance(value, str) else repr(value), at_most=MAX_LINE_LENGTH)
    # A foreign __repr__ may raise anything.
    except BaseException:  # noqa: BLE001 - see above
        return object.__repr__(value)
