"""What is due and waits for room in its lane: the most urgent first."""

import heapq
from collections.abc import Callable
from datetime import datetime, timedelta
from itertools import count
from uuid import UUID

from engine.heap import SMALLEST_REBUILD
from engine.limits import NEWEST_SHARE, PRIORITY_SECONDS
from engine.nouns import DueHint
from registry import Lane

Entry = tuple[datetime, int, DueHint]


class Ready:
    """Due hints by lane. Not thread-safe.

    Who has waited longer goes first, and each level of priority counts as PRIORITY_SECONDS of waiting: so nothing waits
    for ever behind what is more important, and no entry is ever moved. But one in NEWEST_SHARE of those that are taken
    at once are the ones that came last: who becomes due behind a crowd starts in time, and the crowd goes on.
    """

    def __init__(self, lane_of: Callable[[DueHint], Lane]) -> None:
        self._lane_of = lane_of
        self._heaps: dict[Lane, list[Entry]] = {lane: [] for lane in Lane}
        self._newest: dict[Lane, list[Entry]] = {lane: [] for lane in Lane}
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
        lane = self._lane_of(hint)
        heapq.heappush(self._heaps[lane], entry)
        self._newest[lane].append(entry)
        self._forget_taken(lane)

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
        while heap and not self._is_live(heap[0]):
            heapq.heappop(heap)
        return bool(heap)

    def take(self, lane: Lane, *, at_most: int) -> list[DueHint]:
        """Take out the most urgent of the lane, and a few that came last."""
        taken = self._take_newest(lane, at_most // NEWEST_SHARE) if len(self._heaps[lane]) > at_most else []
        while len(taken) < at_most and self.has(lane):
            taken.append(self._take_out(heapq.heappop(self._heaps[lane])))
        return taken

    def _take_newest(self, lane: Lane, at_most: int) -> list[DueHint]:
        taken: list[DueHint] = []
        newest = self._newest[lane]
        while len(taken) < at_most and newest:
            entry = newest.pop()
            if self._is_live(entry):
                taken.append(self._take_out(entry))
        return taken

    def _forget_taken(self, lane: Lane) -> None:
        """Those that went by their urgency lie below what came later: a lane that is never empty would keep them."""
        if len(self._newest[lane]) > 2 * len(self._live) + SMALLEST_REBUILD:
            self._newest[lane] = list(filter(self._is_live, self._newest[lane]))

    def _take_out(self, entry: Entry) -> DueHint:
        hint = entry[2]
        del self._live[hint.key]
        return hint

    def _is_live(self, entry: Entry) -> bool:
        return self._live.get(entry[2].key) is entry


def _urgency(hint: DueHint) -> datetime:
    try:
        return hint.due_at - timedelta(seconds=hint.priority * PRIORITY_SECONDS)
    except OverflowError:
        return hint.due_at
