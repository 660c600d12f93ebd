"""Column types: instants that cannot lose their zone, words from an enumeration, and lists of names."""

from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import JSON, DateTime, Dialect, Enum, Row, String, TypeDecorator
from sqlalchemy.types import TypeEngine

AnyRow = Row[*tuple[Any, ...]]
"""A row of whatever columns were asked for."""

INSTANT_TEXT_LENGTH = len("2026-11-23 10:00:00.000000+00:00")


class UtcDateTime(TypeDecorator[datetime]):
    """An instant: aware in any zone going in, aware UTC coming out. A naive value is refused.

    SQLite has no type for it, and SQLAlchemy's own silently drops the offset there. It is kept as text of constant
    length that sorts as time, which SQLite's date functions also read.
    """

    impl = DateTime(timezone=True)
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[datetime] | TypeEngine[str]:
        if dialect.name == "sqlite":
            return dialect.type_descriptor(String(INSTANT_TEXT_LENGTH))
        return dialect.type_descriptor(DateTime(timezone=True))

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | str | None:
        if value is None:
            return None
        return instant_text(value) if dialect.name == "sqlite" else in_utc(value)

    def process_result_value(self, value: datetime | str | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002 - SQLAlchemy's signature
        if value is None:
            return None
        return datetime.fromisoformat(value) if isinstance(value, str) else value.astimezone(UTC)


def instant_text(instant: datetime) -> str:
    """An aware instant as SQLite keeps it. Raises ValueError of a naive one."""
    return in_utc(instant).isoformat(" ", "microseconds")


def in_utc(instant: datetime) -> datetime:
    """An aware instant as PostgreSQL's drivers take it. Raises ValueError of a naive one."""
    if instant.tzinfo is UTC:
        return instant
    if instant.utcoffset() is None:
        raise ValueError(f"{instant!r} has no time zone: instants are aware")
    return instant.astimezone(UTC)


class Names(TypeDecorator[tuple[str, ...]]):
    """Names in an order that counts, as a list in JSON."""

    impl = JSON
    cache_ok = True

    def process_bind_param(self, value: tuple[str, ...] | None, dialect: Dialect) -> list[str] | None:  # noqa: ARG002 - SQLAlchemy's signature
        return None if value is None else list(value)

    def process_result_value(self, value: Any, dialect: Dialect) -> tuple[str, ...] | None:  # noqa: ARG002 - SQLAlchemy's signature
        # JSON's null too: someone wrote that by hand.
        if not isinstance(value, list) or not all(isinstance(name, str) for name in value):
            raise ValueError(f"{value!r} is no list of names")
        return tuple(value)


def word_of(words: type[StrEnum], *, length: int = 16) -> Enum:
    """A column that holds one of the words, as text: a new word of up to `length` characters needs no migration."""
    return Enum(words, native_enum=False, length=length, values_callable=lambda each: [word.value for word in each])
