"""Nodes as clients get them."""

from dataclasses import asdict
from datetime import datetime
from typing import Literal, Self
from uuid import UUID

from pydantic import BaseModel

from engine.nodes import NodeRecord, Role


class NodeView(BaseModel):
    """A process of the service. `running_runs` is as of `seen_at`; `permits` is how many runs it may have at once.

    It is `live` until it says that it stops, or until the others have seen nothing of it for some seconds (`lost`).
    """

    id: UUID
    state: Literal["live", "stopped", "lost"]
    role: Role
    version: str
    host: str
    process_id: int
    started_at: datetime
    seen_at: datetime
    stopped_at: datetime | None
    lost_at: datetime | None
    running_runs: int
    permits: int

    @classmethod
    def of(cls, record: NodeRecord) -> Self:
        """As clients see the node."""
        return cls(
            id=record.id,
            state="live" if record.is_live else "stopped" if record.lost_at is None else "lost",
            started_at=record.started_at,
            seen_at=record.seen_at,
            stopped_at=record.stopped_at,
            lost_at=record.lost_at,
            **asdict(record.presence),
            **asdict(record.load),
        )
