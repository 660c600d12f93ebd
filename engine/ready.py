"""What is due and waits for room in its lane: the most urgent first."""

import heapq
from collections.abc import Callable
from datetime import datetime, timedelta
from itertools import count
from uuid import UUID

from engine.limits import PRIORITY_SECONDS
from engine.nouns import DueHint
from registry import Lane

Entry = tuple[datetime, int, DueHint]


class Ready:
    """Due hints by lane. Not thread-safe.

    Who has waited longer goes first, and each level of priority counts as PRIORITY_SECONDS of waiting: so nothing waits
    for ever behind what is more important, and no entry is ever moved.
    """

    def __init__(self, lane_of: Callable[[DueHint], Lane]) -> None:
        self._lane_of = lane_of
        self._heaps: dict[Lane, list[Entry]] = {lane: [] for lane in Lane}
        self._live: dict[UUID, Entry] = {}
        self._counter = count()

    def __len__(self) -> int:
        return len(self._live)

    def add(self, hint: DueHint) -> None:
        """Have the hint wait, in the place of one for the same job or run."""
        known = self._live.get(hint.key)
        if known is not None and known[2] == hint:
            # Whoever looks around brings it again and again while there is no room: a dead entry each time.
            return
        entry = (_urgency(hint), next(self._counter), hint)
        self._live[hint.key] = entry
        heapq.heappush(self._heaps[self._lane_of(hint)], entry)

    def knows(self, hint: DueHint) -> bool:
        """Whether the job or run waits already, by this version or a newer one."""
        known = self._live.get(hint.key)
        return known is not None and known[2].version >= hint.version

    def discard(self, key: UUID, *, up_to_version: int) -> None:
        """Forget what waits of a job or run, unless that is newer (law 2)."""
        known = self._live.get(key)
        if known is not None and known[2].version <= up_to_version:
            del self._live[key]

    def has(self, lane: Lane) -> bool:
        """Whether anything waits there."""
        heap = self._heaps[lane]
        while heap and self._live.get(heap[0][2].key) is not heap[0]:
            heapq.heappop(heap)
        return bool(heap)

    def take(self, lane: Lane, *, at_most: int) -> list[DueHint]:
        """Take out the most urgent of the lane."""
        taken: list[DueHint] = []
        while len(taken) < at_most and self.has(lane):
            hint = heapq.heappop(self._heaps[lane])[2]
            del self._live[hint.key]
            taken.append(hint)
        return taken


def _urgency(hint: DueHint) -> datetime:
    try:
        return hint.due_at - timedelta(seconds=hint.priority * PRIORITY_SECONDS)
    except OverflowError:
        return hint.due_at
