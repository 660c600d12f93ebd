"""Keys as clients ask for them and see them. The text of one is in a single answer, the one that made it."""

from datetime import datetime
from typing import Any
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from api.fields import Name
from api.schedule_fields import Instant
from engine.access import ApiKey, Scope

CI_KEY: dict[str, Any] = {"name": "deploy pipeline", "scope": "write", "expires_at": "2027-06-30T00:00:00Z"}


class KeyCreate(BaseModel):
    """A key that is wanted."""

    model_config = ConfigDict(json_schema_extra={"examples": [CI_KEY]})

    name: Name = Field(description="Who or what uses it")
    scope: Scope = Field(description="read, run, write or admin; each includes those before it")
    expires_at: Instant | None = Field(default=None, description="When it is over; null: never")


class KeyView(BaseModel):
    """A key, without what opens anything."""

    id: UUID
    name: str
    prefix: str = Field(description="The public part of its text, after sched_")
    scope: Scope
    created_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None
    last_used_at: datetime | None = Field(description="To the minute")

    @classmethod
    def of(cls, key: ApiKey) -> "KeyView":
        """The key as clients see it."""
        return cls(
            id=key.id,
            name=key.name,
            prefix=key.prefix,
            scope=key.scope,
            created_at=key.created_at,
            expires_at=key.expires_at,
            revoked_at=key.revoked_at,
            last_used_at=key.last_used_at,
        )


class NewKeyView(KeyView):
    """A key that was just made, with its text."""

    key: str = Field(description="Shown this once: keep it")

    @classmethod
    def made(cls, key: ApiKey, text: str) -> "NewKeyView":
        """The key and its text."""
        return cls(**KeyView.of(key).model_dump(), key=text)
