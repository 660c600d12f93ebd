"""The keys of the API: made, revoked, and looked up in memory for each request."""

import threading
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Protocol
from uuid import UUID

import structlog

from engine.access import ApiKey, Scope, digest_of, new_key_text, prefix_of
from engine.errors import KeyNotFound, StoreUnavailable
from engine.ports import Clock, Ids

log = structlog.get_logger("scheduler.access")

FRESH_SECONDS = 2.0
"""For how long what was read of the keys holds: a key that another process revokes may be good for so long."""

USE_NOTED_SECONDS = 60.0
"""How exactly it is known when a key was used last: each note is a row written."""

LOOK_AGAIN_SECONDS = 0.2
"""How old what was read must be to be read again for a key that is not in it: it may have been made elsewhere."""

FAILED_SECONDS = 1.0
"""For how long nobody asks again after the store has not answered: each would wait as long as the one before."""

FIRST_KEY_NAME = "first key"


class KeyStore(Protocol):
    """Where keys are kept; each verb is one transaction, and raises StoreUnavailable."""

    def all(self) -> Sequence[ApiKey]:
        """Every key, the oldest first."""
        ...

    def add(self, key: ApiKey, *, only_if_none_is_valid: bool = False) -> bool:
        """Keep a new key; False if it was only wanted without another that is neither revoked nor over, and itself is
        not there from an earlier try. Raises TooManyKeys."""
        ...

    def revoke(self, key_id: UUID, *, at: datetime) -> ApiKey | None:
        """The key, revoked now or before; None if there is none."""
        ...

    def note_uses(self, uses: Sequence[tuple[UUID, datetime]]) -> None:
        """When keys were used last."""
        ...


class KeyRing:
    """May be used from any thread. `find` is the only one that does not ask the store."""

    def __init__(self, *, store: KeyStore, clock: Clock, new_id: Ids) -> None:
        self._store = store
        self._clock = clock
        self._new_id = new_id
        # Held over a read of the store, against law 5: of many requests that find the keys old, one reads them.
        self._refreshing = threading.Lock()
        self._by_prefix: dict[str, ApiKey] = {}
        self._read_at: float | None = None
        self._failed: tuple[float, str] | None = None
        # Grows with each change that is made here: what was read before it is not to hold.
        self._changes = 0
        self._uses: dict[UUID, datetime] = {}

    @property
    def is_stale(self) -> bool:
        """Whether the keys are to be read again before anyone is let in."""
        return self._read_at is None or self._clock.monotonic() - self._read_at >= FRESH_SECONDS

    def may_be_new(self, text: str) -> bool:
        """Whether the text could be that of a key that was made since the keys were read."""
        prefix, read_at = prefix_of(text), self._read_at
        is_unknown = prefix is not None and prefix not in self._by_prefix
        return is_unknown and read_at is not None and self._clock.monotonic() - read_at >= LOOK_AGAIN_SECONDS

    def refresh(self, *, is_urgent: bool = False) -> None:
        """Read the keys again unless that was just done, and write down which were used. Raises StoreUnavailable.

        `is_urgent`: what is fresh enough for most is not.
        """
        with self._refreshing:
            if self._failed is not None and self._clock.monotonic() - self._failed[0] < FAILED_SECONDS:
                raise StoreUnavailable(self._failed[1])
            if not self.is_stale and not is_urgent:
                return
            try:
                # In this order: what is read has the notes, and says when the next one is due.
                self._note_uses()
                self._read()
            except StoreUnavailable as error:
                self._failed = (self._clock.monotonic(), str(error))
                raise
            self._failed = None

    def find(self, text: str) -> ApiKey | None:
        """The key of this text, if it opens anything; as fresh as the last `refresh`."""
        prefix, by_prefix = prefix_of(text), self._by_prefix
        key = None if prefix is None else by_prefix.get(prefix)
        now = self._clock.now()
        if key is None or not key.is_of(text) or key.is_over(now):
            return None
        if key.last_used_at is None or now - key.last_used_at >= timedelta(seconds=USE_NOTED_SECONDS):
            self._uses[key.id] = now
            by_prefix[key.prefix] = key.used(now)
        return key

    def all(self) -> Sequence[ApiKey]:
        """Every key, the oldest first, those that are over included."""
        return self._store.all()

    def create(self, name: str, scope: Scope, *, expires_at: datetime | None = None) -> tuple[ApiKey, str]:
        """Keep a new key; returns it and its text, which nobody can tell again. Raises TooManyKeys."""
        text = new_key_text()
        key = self._new(text, name, scope, expires_at)
        self._store.add(key)
        self._tell(key, event="key created")
        return key, text

    def create_first(self, text: str) -> bool:
        """Make a key of this text for an administrator if no other opens anything; whether it is there now.

        Who asks again after StoreUnavailable is to ask with the same text: perhaps it was kept.
        """
        key = self._new(text, FIRST_KEY_NAME, Scope.ADMIN, None)
        if not self._store.add(key, only_if_none_is_valid=True):
            return False
        self._tell(key, event="key created")
        return True

    def revoke(self, key_id: UUID) -> ApiKey:
        """Have the key open nothing any more: here at once, elsewhere within FRESH_SECONDS. Raises KeyNotFound."""
        key = self._store.revoke(key_id, at=self._clock.now())
        if key is None:
            raise KeyNotFound
        self._tell(key, event="key revoked")
        return key

    def _new(self, text: str, name: str, scope: Scope, expires_at: datetime | None) -> ApiKey:
        prefix = prefix_of(text) or ""
        return ApiKey(self._new_id(), name, prefix, digest_of(text), scope, self._clock.now(), expires_at)

    def _tell(self, key: ApiKey, *, event: str) -> None:
        self._changes += 1
        self._read_at = None
        log.info(event, key=key.prefix, name=key.name, scope=key.scope.value)

    def _read(self) -> None:
        asked_at, changes = self._clock.monotonic(), self._changes
        self._by_prefix = {key.prefix: key for key in self._store.all() if key.revoked_at is None}
        if changes == self._changes:
            self._read_at = asked_at

    def _note_uses(self) -> None:
        uses, self._uses = self._uses, {}
        if not uses:
            return
        try:
            self._store.note_uses(list(uses.items()))
        except StoreUnavailable as error:
            # A full disk must not lock anybody out: whether keys can be read is asked next.
            log.debug("use of keys not noted", keys=len(uses), error=str(error))
