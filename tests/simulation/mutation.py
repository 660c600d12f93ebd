"""Deliberate breakages: the source of a function or a statement, changed in one place and put back afterwards."""

import ast
import importlib
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from textwrap import dedent
from types import ModuleType
from typing import Any


@dataclass(frozen=True, slots=True)
class Edit:
    """In `name` (a function, a method as `Class.method`, or a constant) of `module`, `old` becomes `new`."""

    module: str
    name: str
    old: str
    new: str


@dataclass(frozen=True, slots=True)
class Mutant:
    """One breakage. `shapes` are those of the directed seeds that are aimed at it; `within` seeds it is found."""

    name: str
    what: str
    edits: tuple[Edit, ...]
    shapes: tuple[str, ...] = ()
    within: int = 200


class EditDoesNotApply(Exception):
    """The source is not any more as the mutant says: it is for its author to say what breaks it now."""


@contextmanager
def applied(mutant: Mutant) -> Iterator[None]:
    """The engine as the mutant has it."""
    undo: list[tuple[Any, str, Any]] = []
    try:
        for module, name in dict.fromkeys((edit.module, edit.name) for edit in mutant.edits):
            undo += _apply([edit for edit in mutant.edits if (edit.module, edit.name) == (module, name)])
        yield
    finally:
        for owner, name, value in reversed(undo):
            setattr(owner, name, value)


def _apply(edits: Sequence[Edit]) -> list[tuple[Any, str, Any]]:
    """All edits of one function or constant."""
    edit = edits[0]
    module = importlib.import_module(edit.module)
    owner: Any = module
    *path, name = edit.name.split(".")
    for part in path:
        owner = getattr(owner, part)
    source = _changed_source(module, edits)
    places: dict[str, Any] = {}
    # In the module's own names, so that what it calls is found there; a constant leaves its new value in `places`.
    exec(compile(source, f"<mutant of {edit.module}.{edit.name}>", "exec"), module.__dict__, places)
    old, new = owner.__dict__[name], places[name]
    undo = [(owner, name, old)]
    setattr(owner, name, new)
    if owner is module:
        undo += _imported_elsewhere(name, old, new)
    return undo


def _imported_elsewhere(name: str, old: Any, new: Any) -> list[tuple[Any, str, Any]]:
    undo = []
    for other in list(sys.modules.values()):
        if other.__dict__.get(name) is old and other.__name__.partition(".")[0] in ("engine", "store"):
            setattr(other, name, new)
            undo.append((other, name, old))
    return undo


def _changed_source(module: ModuleType, edits: Sequence[Edit]) -> str:
    edit = edits[0]
    assert module.__file__ is not None
    text = Path(module.__file__).read_text("utf-8")
    nodes: list[ast.stmt] = ast.parse(text).body
    found: ast.stmt | None = None
    for part in edit.name.split("."):
        found = next((node for node in nodes if _name_of(node) == part), None)
        if found is None:
            raise EditDoesNotApply(f"{edit.module} has no {edit.name}")
        nodes = getattr(found, "body", [])
    assert found is not None
    first = min([found.lineno, *(each.lineno for each in getattr(found, "decorator_list", []))])
    source = dedent("\n".join(text.splitlines()[first - 1 : found.end_lineno]) + "\n")
    for each in edits:
        if each.old not in source:
            raise EditDoesNotApply(f"{each.module}.{each.name} has no {each.old!r}")
        source = source.replace(each.old, each.new)
    return source


def _name_of(node: ast.stmt) -> str | None:
    if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
        return node.targets[0].id
    return getattr(node, "name", None)
