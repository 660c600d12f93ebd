"""Keys that were tried and are none, by the address they came from: who goes on guessing is told to wait."""

from collections import OrderedDict
from ipaddress import IPv6Address, ip_address

from api.limits import (
    ATTEMPTS_WINDOW_SECONDS,
    MAX_FAILED_ATTEMPTS,
    MAX_WATCHED_ADDRESSES,
)
from engine.ports import Clock


class FailedAttempts:
    """Counts per address within a window. For the event loop only.

    A client of IPv6 has a network of its own, so it is the network that counts.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        # From the one that was seen last longest ago on: that is the one to forget where there are too many.
        self._seen: OrderedDict[str, tuple[float, int]] = OrderedDict()

    def seconds_blocked(self, address: str) -> float:
        """For how long wrong keys from there are told to wait; 0.0 if they are not."""
        since, count = self._seen.get(_network(address), (0.0, 0))
        left = since + ATTEMPTS_WINDOW_SECONDS - self._clock.monotonic()
        return max(left, 0.0) if count >= MAX_FAILED_ATTEMPTS else 0.0

    def add(self, address: str) -> None:
        """One more from there."""
        network, now = _network(address), self._clock.monotonic()
        since, count = self._seen.pop(network, (now, 0))
        if now - since >= ATTEMPTS_WINDOW_SECONDS:
            since, count = now, 0
        self._seen[network] = (since, count + 1)
        if len(self._seen) > MAX_WATCHED_ADDRESSES:
            self._seen.popitem(last=False)


def _network(address: str) -> str:
    try:
        known = ip_address(address)
    except ValueError:
        return address
    if not isinstance(known, IPv6Address):
        return address
    mapped = known.ipv4_mapped
    return str(mapped) if mapped is not None else known.exploded[:19]
