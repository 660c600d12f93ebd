"""How many runs may be claimed before there is room for them: as many as there will be room for in a moment."""

from engine.limits import MAX_READ_AHEAD, PACE_SECONDS


class ReadAhead:
    """The stated read-ahead of law 7, of one lane. Not thread-safe. Instants are on the monotonic clock.

    Where runs take a moment, a claim for each permit that comes back would be a transaction a run; so as many are
    claimed as short runs have come home within the last PACE_SECONDS, if those are more than there are permits: at this
    pace they wait no longer than that for a thread. Where runs are long, nothing is claimed that would wait for them.
    """

    def __init__(self, permits: int) -> None:
        self._permits = permits
        self.taken = 0
        """How many are claimed beyond the permits."""
        self._since = 0.0
        self._counted = 0
        self._counted_before = 0

    def allowed(self, now: float) -> int:
        """How many may be claimed beyond the permits in all."""
        self._turn(now)
        return min(max(self._counted, self._counted_before, self._permits) - self._permits, MAX_READ_AHEAD)

    def take(self, runs: int) -> None:
        """So many more are claimed beyond the permits; none if that is negative."""
        self.taken += max(runs, 0)

    def give_back(self, permits: int, *, short_runs: int, now: float) -> None:
        """So many have come home: what is claimed beyond the permits gets theirs."""
        self._turn(now)
        self._counted += short_runs
        self.taken = max(self.taken - permits, 0)

    def _turn(self, now: float) -> None:
        """Count anew after each PACE_SECONDS, and remember what was counted before."""
        passed = now - self._since
        if passed >= PACE_SECONDS:
            self._counted_before = self._counted if passed < 2 * PACE_SECONDS else 0
            self._counted, self._since = 0, now
