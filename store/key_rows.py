"""The keys of the API as rows: digests, never a text that opens anything."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, Row, and_, bindparam, delete, func, insert, not_, or_, select, text, update

from engine.access import ApiKey, Scope
from engine.errors import TooManyKeys
from engine.limits import MAX_KEYS
from store.tables import api_keys
from store.transactions import Transactions

_ALL = select(api_keys).order_by(api_keys.c.created_at, api_keys.c.id)
_COUNT = select(func.count()).select_from(api_keys)
_IS_VALID = (
    api_keys.c.revoked_at.is_(None),
    or_(api_keys.c.expires_at.is_(None), api_keys.c.expires_at > bindparam("now", type_=api_keys.c.expires_at.type)),
)
_VALID = select(api_keys.c.digest).where(*_IS_VALID)
_OVER = select(api_keys.c.id).where(not_(and_(*_IS_VALID))).order_by(api_keys.c.created_at, api_keys.c.id).limit(1)
_INSERT = insert(api_keys)
_FORGET = delete(api_keys).where(api_keys.c.id == bindparam("key_id"))
_BY_ID = select(api_keys).where(api_keys.c.id == bindparam("key_id"))
_REVOKE = update(api_keys).where(api_keys.c.id == bindparam("key_id"), api_keys.c.revoked_at.is_(None))
_NOTE_USE = update(api_keys).where(
    api_keys.c.id == bindparam("key_id"),
    or_(api_keys.c.last_used_at.is_(None), api_keys.c.last_used_at < bindparam("used_at")),
)
# No row can be locked that is not there yet. SQLite has one writer anyway.
_LOCK_TABLE = text("LOCK TABLE api_keys IN SHARE ROW EXCLUSIVE MODE")


class StoredKeys:
    """Implements engine.key_ring.KeyStore."""

    def __init__(self, transactions: Transactions) -> None:
        self._reading, self._writing = transactions.reading, transactions.writing

    def all(self) -> Sequence[ApiKey]:
        with self._reading() as connection:
            return [_key_of(row) for row in connection.execute(_ALL)]

    def add(self, key: ApiKey, *, only_if_none_is_valid: bool = False) -> bool:
        with self._writing() as connection:
            if connection.dialect.name == "postgresql":
                connection.execute(_LOCK_TABLE)
            if only_if_none_is_valid:
                valid = connection.execute(_VALID, {"now": key.created_at}).scalars().all()
                # Its own, if the answer to the commit of an earlier try was lost.
                if valid:
                    return key.digest in valid
            if connection.execute(_COUNT).scalar_one() >= MAX_KEYS:
                _forget_one(connection, key.created_at)
            connection.execute(_INSERT, _row_of(key))
            return True

    def revoke(self, key_id: UUID, *, at: datetime) -> ApiKey | None:
        with self._writing() as connection:
            connection.execute(_REVOKE, {"key_id": key_id, "revoked_at": at})
            row = connection.execute(_BY_ID, {"key_id": key_id}).first()
            return None if row is None else _key_of(row)

    def note_uses(self, uses: Sequence[tuple[UUID, datetime]]) -> None:
        with self._writing() as connection:
            for key_id, used_at in sorted(uses):
                connection.execute(_NOTE_USE, {"key_id": key_id, "used_at": used_at, "last_used_at": used_at})


def _forget_one(connection: Connection, now: datetime) -> None:
    """Make room by the oldest of the keys that open nothing. Raises TooManyKeys if there is none."""
    over = connection.execute(_OVER, {"now": now}).scalar()
    if over is None:
        raise TooManyKeys(MAX_KEYS)
    connection.execute(_FORGET, {"key_id": over})


def _row_of(key: ApiKey) -> dict[str, Any]:
    return {column.name: getattr(key, column.name) for column in api_keys.columns}


def _key_of(row: Row[Any]) -> ApiKey:
    return ApiKey(
        id=row.id,
        name=row.name,
        prefix=row.prefix,
        digest=row.digest,
        scope=Scope(row.scope),
        created_at=row.created_at,
        expires_at=row.expires_at,
        revoked_at=row.revoked_at,
        last_used_at=row.last_used_at,
    )
