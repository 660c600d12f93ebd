"""How often a node does what it does by itself."""

from dataclasses import dataclass

from engine.limits import (
    CLAIM_AHEAD_SECONDS,
    CLAIM_REST_SECONDS,
    GAP_BEATS,
    GATHER_SECONDS,
    HEARTBEAT_SECONDS,
    LEASE_BEATS,
    LOOK_AROUND_SECONDS,
    MAX_WAIT_SECONDS,
    SHORT_CALL_PATIENCE_SECONDS,
    TRUST_BEATS,
    WINDOW_SECONDS,
)


@dataclass(frozen=True, slots=True)
class Rhythm:
    """In seconds. All nodes on a database must have the same heartbeat: they judge each other by it.

    `ahead_seconds` is how long before its instant a slot is claimed, `rest_seconds` for how long slots are collected
    for one claim, `gather_seconds` for how long outcomes are for one transaction; 0 each: not at all.

    `patience_seconds` is how long a run is left to a thread that is in a short call; 0: not at all.

    `max_wait_seconds` is the longest that the timer sleeps. `window_seconds` is how far ahead the heap reaches; with
    `math.inf` it holds all jobs. `look_around_seconds` is how often what others change is looked for without word.
    """

    heartbeat_seconds: float = HEARTBEAT_SECONDS
    look_around_seconds: float = LOOK_AROUND_SECONDS
    window_seconds: float = WINDOW_SECONDS
    max_wait_seconds: float = MAX_WAIT_SECONDS
    ahead_seconds: float = CLAIM_AHEAD_SECONDS
    rest_seconds: float = CLAIM_REST_SECONDS
    gather_seconds: float = GATHER_SECONDS
    patience_seconds: float = SHORT_CALL_PATIENCE_SECONDS

    @property
    def trust_seconds(self) -> float:
        """For how long after a write the node may start what it has claimed."""
        return TRUST_BEATS * self.heartbeat_seconds

    @property
    def lease_seconds(self) -> float:
        """For how long others must see nothing of a node before they declare it lost."""
        return LEASE_BEATS * self.heartbeat_seconds

    @property
    def gap_seconds(self) -> float:
        """After so long without a look at the others, the node knows nothing of them any more."""
        return GAP_BEATS * self.heartbeat_seconds


REGULAR = Rhythm()
