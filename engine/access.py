"""Who may ask for what: scopes, and the keys that carry them. Nothing of a key is kept but its digest."""

import re
import secrets
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from hashlib import sha256
from hmac import compare_digest
from uuid import UUID

SECRET_BYTES = 32
"""256 bits of the system's randomness: nobody guesses that, so that a fast digest is enough."""

_TEXT = re.compile(r"sched_([0-9a-f]{8})_[A-Za-z0-9_-]{43}", re.ASCII)


class Scope(StrEnum):
    """What a key is good for; each includes those before it.

    `READ`: see everything but keys. `RUN`: start, cancel and back-fill runs; pause and resume a job. `WRITE`: create,
    change and delete jobs and calendars; pause and resume everything. `ADMIN`: create and revoke keys.
    """

    READ = "read"
    RUN = "run"
    WRITE = "write"
    ADMIN = "admin"

    def covers(self, wanted: "Scope") -> bool:
        """Whether a key of this scope may do what takes the other one."""
        return _ORDER.index(self) >= _ORDER.index(wanted)


_ORDER = list(Scope)


@dataclass(frozen=True, slots=True)
class ApiKey:
    """A key as it is kept. `prefix` is the public part of its text, by which it is found and named.

    `last_used_at` may be up to a minute old. A key is over at `expires_at` or, for good, once `revoked_at` is there.
    """

    id: UUID
    name: str
    prefix: str
    digest: str
    scope: Scope
    created_at: datetime
    expires_at: datetime | None = None
    revoked_at: datetime | None = None
    last_used_at: datetime | None = None

    def is_over(self, now: datetime) -> bool:
        """Whether it opens nothing any more."""
        return self.revoked_at is not None or (self.expires_at is not None and self.expires_at <= now)

    def is_of(self, text: str) -> bool:
        """Whether this is the key of this text; takes as long for a wrong one as for the right one."""
        return compare_digest(self.digest, digest_of(text))

    def used(self, at: datetime) -> "ApiKey":
        """The same, used just now."""
        return replace(self, last_used_at=at)


def new_key_text() -> str:
    """The text of a new key, which is shown once and not kept."""
    return f"sched_{secrets.token_hex(4)}_{secrets.token_urlsafe(SECRET_BYTES)}"


def prefix_of(text: str) -> str | None:
    """The public part of a key's text; None if this is no text of a key, whatever it is."""
    match = _TEXT.fullmatch(text)
    return None if match is None else match[1]


def digest_of(text: str) -> str:
    """SHA-256, in hexadecimal digits."""
    return sha256(text.encode()).hexdigest()
