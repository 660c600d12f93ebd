"""The min-heap of due times: one live entry for each job and waiting run, however often it is pushed."""

import heapq
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import replace
from datetime import datetime, timedelta
from itertools import count
from uuid import UUID

from engine.nouns import DueHint

Entry = tuple[datetime, UUID, int, DueHint]
"""When, of what; the number only keeps hints from being compared."""

SMALLEST_REBUILD = 64
"""Dead entries that are never worth a rebuild."""

DOUBT = sys.maxsize
"""The version of a hint that says no more than: look at this job."""


class DueHeap:
    """When each scheduled job is due, earliest first. A hint, not the truth (law 1). Not thread-safe.

    An entry that is replaced or removed stays in the heap, dead, until it reaches the head or until the dead outnumber
    the living: then the heap is rebuilt, as `asyncio.BaseEventLoop._run_once` does with cancelled timers.

    `delay` says how long after its due time a hint is to be looked at; or before it, if that is negative.
    """

    def __init__(self, *, delay: Callable[[DueHint], timedelta] | None = None) -> None:
        self._delay = delay
        self._heap: list[Entry] = []
        self._live: dict[UUID, Entry] = {}
        self._numbers = count()

    def __len__(self) -> int:
        return len(self._live)

    @property
    def entry_count(self) -> int:
        """Entries held, dead ones included: what the heap costs."""
        return len(self._heap)

    def push(self, hint: DueHint) -> None:
        """Remember when the job is due, unless a newer version of it is known already (law 2)."""
        known = self._live.get(hint.key)
        if known is not None and known[3].version > hint.version:
            return
        entry = self._entry(hint)
        self._live[hint.key] = entry
        heapq.heappush(self._heap, entry)
        self._rebuild_if_mostly_dead()

    def fill(self, hints: Iterable[DueHint]) -> None:
        """Push many at once: one heapify instead of as many sifts."""
        for hint in hints:
            known = self._live.get(hint.key)
            if known is None or known[3].version <= hint.version:
                self._live[hint.key] = self._entry(hint)
        self._rebuild()

    def refresh(self, hint: DueHint) -> None:
        """Push what was read of a job, unless that is known, or something newer."""
        known = self._live.get(hint.key)
        if known is None or known[3].version < hint.version:
            self.push(hint)

    def remove(self, job_id: UUID, *, up_to_version: int = DOUBT) -> None:
        """Forget the job, unless what is known of it is newer (law 2). Not knowing it is fine."""
        known = self._live.get(job_id)
        if known is not None and known[3].version <= up_to_version:
            del self._live[job_id]
            self._rebuild_if_mostly_dead()

    def hasten(self, job_id: UUID, *, due_at: datetime) -> None:
        """Have the job looked at by `due_at`, whatever is known of it: its stored state is in doubt.

        Until then the doubt outranks every version: the hint that would replace it may be the one that is wrong.
        """
        known = self._live.get(job_id)
        if known is None:
            self.push(DueHint(job_id, due_at, DOUBT))
        else:
            self.push(replace(known[3], due_at=min(known[0], due_at), version=DOUBT))

    def hints(self) -> Iterator[DueHint]:
        """What is known, in no order."""
        return (hint for _, _, _, hint in self._live.values())

    def head_due_at(self) -> datetime | None:
        """When the earliest job is to be looked at."""
        self._drop_dead_heads()
        return self._heap[0][0] if self._heap else None

    def pop_due(self, now: datetime, *, at_most: int) -> list[DueHint]:
        """Take out those to be looked at by `now`, earliest first."""
        due: list[DueHint] = []
        while len(due) < at_most:
            head_due_at = self.head_due_at()
            if head_due_at is None or head_due_at > now:
                break
            hint = heapq.heappop(self._heap)[3]
            del self._live[hint.key]
            due.append(hint)
        return due

    def _entry(self, hint: DueHint) -> Entry:
        look_at = hint.due_at
        # Not where nothing is known but that somebody is to look, nor of runs that wait: who pushes those knows why.
        if self._delay is not None and 0 < hint.version < DOUBT:
            # A job due in the year 9999 is not looked at after the end of time.
            with suppress(OverflowError):
                look_at += self._delay(hint)
        return (look_at, hint.key, next(self._numbers), hint)

    def _drop_dead_heads(self) -> None:
        # Identity, not equality: a job pushed twice with the same due time and version has one live entry.
        while self._heap and self._live.get(self._heap[0][1]) is not self._heap[0]:
            heapq.heappop(self._heap)

    def _rebuild_if_mostly_dead(self) -> None:
        if len(self._heap) > 2 * len(self._live) + SMALLEST_REBUILD:
            self._rebuild()

    def _rebuild(self) -> None:
        self._heap = list(self._live.values())
        heapq.heapify(self._heap)
