"""Which node looks at a job first: each job has a home, and nobody needs to be told which (DESIGN section 7)."""

from collections.abc import Mapping
from datetime import timedelta
from functools import lru_cache
from hashlib import blake2b
from uuid import UUID

from engine.limits import MAX_TAKE_OVER_SECONDS, MISSING_FUNCTION_SECONDS, TAKE_OVER_SECONDS
from engine.nouns import DueHint
from registry import JobFunction

NO_DELAY = timedelta(0)
_REMEMBERED_SCORES = 65_536


class Homes:
    """How long after its due time this node looks at a job. Read from any thread, told by the heartbeat's.

    Rendezvous hashing (Thaler and Ravishankar, 1996): each node has a score for each job, and the highest of the live
    ones is its home. When a node goes, its jobs spread over the others, and no other job moves. The node of the next
    rank looks a moment later, if the slot is still there: so a dead or busy home is covered without an election.
    """

    def __init__(self, *, me: UUID, functions: Mapping[str, JobFunction]) -> None:
        self._me = me
        self._functions = functions
        self._others: tuple[UUID, ...] = ()

    def set_live(self, nodes: frozenset[UUID]) -> bool:
        """Which nodes run jobs; whether that is news."""
        others = tuple(sorted(nodes - {self._me}))
        is_news, self._others = others != self._others, others
        return is_news

    @property
    def has_others(self) -> bool:
        """Whether another node runs jobs too."""
        return bool(self._others)

    def delay(self, hint: DueHint) -> timedelta:
        """None while there are no others."""
        if not self._others:
            return NO_DELAY
        seconds = min(self._rank(hint.job_id) * TAKE_OVER_SECONDS, MAX_TAKE_OVER_SECONDS)
        if hint.function_name is not None and hint.function_name not in self._functions:
            seconds += MISSING_FUNCTION_SECONDS
        return timedelta(seconds=seconds)

    def _rank(self, job_id: UUID) -> int:
        mine = score(job_id, self._me)
        return sum(score(job_id, node) > mine for node in self._others)


@lru_cache(maxsize=_REMEMBERED_SCORES)
def score(job_id: UUID, node: UUID) -> bytes:
    """The node's score for the job: the same everywhere, and as good as random."""
    return blake2b(job_id.bytes + node.bytes, digest_size=8).digest()
