"""Reading many rows in one step, on SQLite: all of them as one JSON text. See store.batches for why."""

import json
from collections import namedtuple
from collections.abc import Callable, Sequence
from datetime import datetime
from functools import lru_cache
from typing import Any
from uuid import UUID

import orjson
from sqlalchemy import JSON, Column, ColumnElement, Connection, Double, Enum, Uuid, func, select
from sqlalchemy.exc import OperationalError

from store.columns import AnyRow, Names, UtcDateTime

Converter = Callable[[Any], Any]


def in_one_step(columns: Sequence[Column[Any]]) -> ColumnElement[str]:
    """What to select instead of the columns: a JSON text of one array for each row."""
    # quote() writes a number with all the digits that it takes to read it back; JSON would round it.
    values = [func.quote(each) if isinstance(each.type, Double) else each for each in columns]
    return func.json_group_array(func.json_array(*values))


def converter_of(column: Column[Any]) -> Converter | None:
    """What makes a value of the column out of what its JSON has; None if that is it. Raises what is wrong with it."""
    match column.type:
        case Double():
            return _number
        case Names():
            return _names
        case JSON():
            return json.loads
        case UtcDateTime():
            return datetime.fromisoformat
        case Uuid():
            return _id
        case Enum() as words:
            return _reader_of(words.enum_class)
        case _:
            return None


def converted(values: Sequence[Any], converters: Sequence[Converter | None]) -> list[Any]:
    """The values of columns, each by its own converter."""
    return [
        value if value is None or convert is None else convert(value)
        for value, convert in zip(values, converters, strict=True)
    ]


class RowsInOneStep:
    """The columns of the rows that conditions find; on PostgreSQL row by row, with what `locking` adds to the query."""

    def __init__(
        self, columns: Sequence[Column[Any]], *conditions: ColumnElement[bool], locking: Converter = lambda query: query
    ) -> None:
        self.by_rows = locking(select(*columns).where(*conditions))
        self._in_one_step = select(in_one_step(columns)).where(*conditions)
        self._row: Callable[..., Any] = _row_of([column.name for column in columns])
        self._converters = [converter_of(column) for column in columns]

    def read(self, connection: Connection, parameters: dict[str, Any]) -> Sequence[AnyRow]:
        """The rows, with their columns as attributes, in no order on SQLite."""
        if connection.dialect.name != "sqlite":
            return connection.execute(self.by_rows, parameters).all()
        try:
            text = connection.execute(self._in_one_step, parameters).scalar_one()
        except OperationalError:
            # What SQLite cannot write as JSON, as somebody has put bytes where a text belongs.
            return connection.execute(self.by_rows, parameters).all()
        return [self._row(*converted(values, self._converters)) for values in orjson.loads(text)]


@lru_cache(maxsize=4_096)
def _id(text: str) -> UUID:
    """The claim of a run is its id as a rule, and jobs come again and again."""
    return UUID(text)


def _reader_of(words: Any) -> Converter:
    known = {word.value: word for word in words}
    # Also raises, of a word that it does not know, what it is not.
    return lambda text: known.get(text) or words(text)


def _row_of(names: Sequence[str]) -> Callable[..., Any]:
    return namedtuple("Row", names)


def _number(text: str) -> float | None:
    return None if text == "NULL" else float(text)


def _names(text: str) -> tuple[str, ...]:
    names = json.loads(text)
    # JSON's null too: someone wrote that by hand.
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise ValueError(f"{text!r} is no list of names")
    return tuple(names)
