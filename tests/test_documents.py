"""What the documents list is what the code has."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parent.parent
LEVELS = {"debug", "info", "warning", "error", "exception", "critical"}
EVENT_ARGUMENTS = {"event", "failing", "over"}
"""Parameters of ours that take an event and log it later."""

HAND_ON = {"put_off", "_put_off", "_event_of_ours"}
"""Functions of ours that are given an event and log it."""

ELSEWHERE = {"request", "log event not renderable"}
"""Of one word, and the one that stands in for a line that failed."""

EXAMPLES = {"the time"}
"""What a job function logs is its author's."""


def events_in(file: Path) -> Iterator[str]:
    """The constants that calls of the file log: first arguments of log methods and of those that hand on an event."""
    for node in ast.walk(ast.parse(file.read_text("utf-8"))):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute | ast.Name):
            name = node.func.attr if isinstance(node.func, ast.Attribute) else node.func.id
            given = [*node.args] if name in LEVELS | HAND_ON else []
            given += [keyword.value for keyword in node.keywords if keyword.arg in EVENT_ARGUMENTS]
            for value in given:
                for part in ast.walk(value):
                    if isinstance(part, ast.Constant) and isinstance(part.value, str) and " " in part.value:
                        yield part.value


def test_the_catalogue_has_every_event_and_no_other() -> None:
    packages = ("registry", "engine", "store", "api", "app")
    files = [file for package in packages for file in (ROOT / package).rglob("*.py")]
    logged = {event for file in files for event in events_in(file)} | ELSEWHERE
    rows = re.findall(r"^\| (`[^|]*`) \|", (ROOT / "docs/events.md").read_text("utf-8"), re.MULTILINE)
    listed = {event for row in rows for event in re.findall(r"`([^`]+)`", row)}

    assert logged - EXAMPLES == listed
