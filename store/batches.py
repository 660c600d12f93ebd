"""Many rows in one step: what is done for each slot, done for all of a batch at once.

On SQLite each row of an `executemany`, and each row that is read, lets go of the interpreter and has to wait for it
again; a batch of two hundred would be as many switches of threads. There, rows are written as VALUES of one statement.
On PostgreSQL each row of an `executemany` is a statement, for the driver and for the server; there, a batch is one
statement with a list for each column.
"""

import json
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from enum import StrEnum
from functools import lru_cache
from itertools import chain, repeat
from operator import attrgetter
from typing import Any
from uuid import UUID

import orjson
from sqlalchemy import (
    ARRAY,
    JSON,
    Column,
    ColumnElement,
    Connection,
    Dialect,
    Enum,
    Table,
    Text,
    TypeDecorator,
    Uuid,
    any_,
    bindparam,
)
from sqlalchemy.dialects import postgresql
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.visitors import InternalTraversal

from store.columns import UtcDateTime, in_utc, instant_text

_POSTGRESQL: Dialect = postgresql.dialect()  # type: ignore[no-untyped-call]

MOST_ROWS = 128
"""Rows of one statement: each power of two up to here is a text of its own, which the driver keeps prepared. What is
left of its places is filled with NULL, which is no row: two statements cost more."""

Values = Sequence[Any]


class _ListInJson(TypeDecorator[Sequence[UUID | str]]):
    """Ids or words as one parameter."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: Sequence[UUID | str] | None, dialect: Dialect) -> str:  # noqa: ARG002 - SQLAlchemy's signature
        return orjson.dumps([each.hex if isinstance(each, UUID) else each for each in value or ()]).decode()


class OneOf(ColumnElement[bool]):
    """Whether a column is among the values of a parameter that holds a list.

    A text that is the same for any number of values: those of `IN` are written anew for each, and prepared anew.
    """

    inherit_cache = True
    _traverse_internals = [  # noqa: RUF012 - as SQLAlchemy declares it
        ("in_json", InternalTraversal.dp_clauseelement),
        ("in_list", InternalTraversal.dp_clauseelement),
        ("column", InternalTraversal.dp_clauseelement),
    ]

    def __init__(self, column: Column[Any], name: str) -> None:
        self.column = column
        self.in_json = bindparam(name, type_=_ListInJson())
        self.in_list = column == any_(bindparam(name, type_=ARRAY(column.type)))


@compiles(OneOf, "postgresql")
def _in_list(element: OneOf, compiler: SQLCompiler, **options: Any) -> str:
    return str(compiler.process(element.in_list, **options))


@compiles(OneOf, "sqlite")
def _in_json(element: OneOf, compiler: SQLCompiler, **options: Any) -> str:
    column, values = (compiler.process(each, **options) for each in (element.column, element.in_json))
    return f"{column} IN (SELECT value FROM json_each({values}))"  # noqa: S608 - of names and places, no values


class BatchInsert:
    """Inserts rows with values for some of a table's columns, of which the first is never NULL."""

    def __init__(self, table: Table, columns: Sequence[Column[Any]]) -> None:
        self._columns = tuple(columns)
        names = ", ".join(f'"{column.name}"' for column in self._columns)
        self._head = f'INSERT INTO "{table.name}" ({names}) SELECT * FROM (VALUES '  # noqa: S608 - of names, no values
        self._tail = ") WHERE column1 IS NOT NULL"
        self._of_lists = f'INSERT INTO "{table.name}" ({names}) SELECT * FROM {_lists(self._columns)}'  # noqa: S608 - likewise

    def execute(self, connection: Connection, rows: Sequence[Values]) -> None:
        """Each row has the values of the columns in their order."""
        if not rows:
            return
        if connection.dialect.name == "postgresql":
            connection.exec_driver_sql(self._of_lists, _parameter_lists(self._columns, rows))
            return
        for part in _parts(rows):
            text = self._head + _places(len(self._columns), _rounded(len(part))) + self._tail
            connection.exec_driver_sql(text, _parameters(self._columns, part))


class BatchUpdate:
    """Updates rows, each by its key, to values of its own."""

    def __init__(
        self, table: Table, *, keys: Sequence[Column[Any]], sets: Sequence[Column[Any]], also: str = "", only: str = ""
    ) -> None:
        """`also` is set as well, `only` is asked of the row that is there: texts of SQL over the table and `new`."""
        self._columns = (*keys, *sets)
        given = ", ".join(f"key_{column.name}" for column in keys)
        new = ", ".join(f'"{column.name}"' for column in sets)
        assignments = [f'"{column.name}" = new."{column.name}"' for column in sets] + ([also] if also else [])
        conditions = [f'"{table.name}"."{column.name}" = new.key_{column.name}' for column in keys]
        where = " AND ".join(conditions + ([only] if only else []))
        self._head = f"WITH new ({given}, {new}) AS (VALUES "
        update = f'UPDATE "{table.name}" SET {", ".join(assignments)}'  # noqa: S608 - likewise
        self._tail = f") {update} FROM new WHERE {where}"
        self._of_lists = f"{update} FROM {_lists(self._columns)} AS new ({given}, {new}) WHERE {where}"

    def execute(self, connection: Connection, rows: Sequence[Values]) -> None:
        """Each row has the values of the keys and of what is set, in their order."""
        if not rows:
            return
        if connection.dialect.name == "postgresql":
            connection.exec_driver_sql(self._of_lists, _parameter_lists(self._columns, rows))
            return
        for part in _parts(rows):
            text = self._head + _places(len(self._columns), _rounded(len(part))) + self._tail
            connection.exec_driver_sql(text, _parameters(self._columns, part))


def _parts(rows: Sequence[Values]) -> Iterator[Sequence[Values]]:
    for done in range(0, len(rows), MOST_ROWS):
        yield rows[done : done + MOST_ROWS]


def _rounded(rows: int) -> int:
    """The power of two that holds so many."""
    return 1 << (rows - 1).bit_length()


@lru_cache(maxsize=256)
def _places(columns: int, rows: int) -> str:
    return ", ".join([f"({', '.join('?' * columns)})"] * rows)


def _lists(columns: Sequence[Column[Any]]) -> str:
    """A row for each entry of the lists, of which there is one for each column."""
    kinds = [column.type.compile(dialect=_POSTGRESQL) for column in columns]
    return f"unnest({', '.join(f'%s::{kind}[]' for kind in kinds)})"


def _parameter_lists(columns: Sequence[Column[Any]], rows: Sequence[Values]) -> tuple[list[Any], ...]:
    converted = [
        _for_postgresql(column, values) for column, values in zip(columns, zip(*rows, strict=True), strict=True)
    ]
    return tuple(converted)


def _for_postgresql(column: Column[Any], values: Values) -> list[Any]:
    # The driver knows ids.
    convert = in_utc if isinstance(column.type, UtcDateTime) else _WRITTEN_OUT.get(type(column.type))
    return [value if value is None or convert is None else convert(value) for value in values]


def _parameters(columns: Sequence[Column[Any]], rows: Sequence[Values]) -> tuple[Any, ...]:
    """All values, as the driver wants them: column by column, so that each conversion is looked up once a batch."""
    converted = [_converted(column, values) for column, values in zip(columns, zip(*rows, strict=True), strict=True)]
    nothing = repeat(None, len(columns) * (_rounded(len(rows)) - len(rows)))
    return tuple(chain(chain.from_iterable(zip(*converted, strict=True)), nothing))


def _converted(column: Column[Any], values: Values) -> Values:
    if isinstance(column.type, UtcDateTime):
        return _instant_texts(values)
    convert = _CONVERSIONS.get(type(column.type))
    return values if convert is None else [None if value is None else convert(value) for value in values]


def _instant_texts(values: Values) -> Values:
    # Many of a batch are of one instant.
    texts: dict[datetime | None, str | None] = {each: each and instant_text(each) for each in set(values)}
    return [texts[value] for value in values]


def _word(word: StrEnum | str) -> str:
    return word.value if isinstance(word, StrEnum) else word


_WRITTEN_OUT: dict[type, Callable[[Any], Any]] = {Enum: _word, JSON: json.dumps}
_CONVERSIONS: dict[type, Callable[[Any], Any]] = {Uuid: attrgetter("hex"), **_WRITTEN_OUT}
"""What SQLAlchemy's own types do, which it does value by value."""
