"""How much is asked at once, and how often by whom: more is refused at once, and told when to come again."""

import math
from collections import OrderedDict
from dataclasses import dataclass

from starlette.types import ASGIApp, Receive, Scope, Send

from api.access import Caller, path_of
from api.limits import MAX_HEADER_BYTES, MAX_RATED_KEYS, MAX_URL_BYTES
from api.problems import refusal

TOO_BUSY = "As many requests are being served as may be; try again in a moment"
TOO_MANY = "This key sends more requests than it may; try again in a moment"
URL_TOO_LONG = f"The address is too long: at most {MAX_URL_BYTES} bytes are taken"
HEADERS_TOO_LARGE = f"The headers are too large: at most {MAX_HEADER_BYTES} bytes are taken"
RETRY_AFTER_SECONDS = 1
BURST_SECONDS = 10


@dataclass(frozen=True, slots=True)
class TrafficLimits:
    """How many requests are served at once, and how many a second of each key; None: as many as come."""

    concurrent_requests: int = 1_000
    requests_per_second: float | None = None


class Crowd:
    """Refuses requests with too long an address or too large headers, and those beyond `at_most` at once.

    Whoever follows a log is not counted: how many do is bounded by itself.
    """

    def __init__(self, app: ASGIApp, *, at_most: int, unconcerned: str) -> None:
        """`unconcerned` is the path that is always served."""
        self.app = app
        self.at_most = at_most
        self.unconcerned = unconcerned
        self._served = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection."""
        if scope["type"] != "http" or path_of(scope) == self.unconcerned:
            await self.app(scope, receive, send)
        elif len(scope.get("raw_path") or scope["path"]) + len(scope["query_string"]) > MAX_URL_BYTES:
            await refusal(414, URL_TOO_LONG)(scope, receive, send)
        elif sum(len(name) + len(value) for name, value in scope["headers"]) > MAX_HEADER_BYTES:
            await refusal(431, HEADERS_TOO_LARGE)(scope, receive, send)
        elif scope["path"].endswith("/logs"):
            await self.app(scope, receive, send)
        else:
            await self._serve(scope, receive, send)

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self._served >= self.at_most:
            await refusal(503, TOO_BUSY, {"Retry-After": str(RETRY_AFTER_SECONDS)})(scope, receive, send)
            return
        self._served += 1
        try:
            await self.app(scope, receive, send)
        finally:
            self._served -= 1


class KeyRate:
    """Refuses the requests of a key that come faster than `per_second`, but for those of ten seconds at once."""

    def __init__(self, app: ASGIApp, *, per_second: float) -> None:
        self.app = app
        self.per_second = per_second
        # A bucket a key: how many requests it held, and when. One that nobody used for long is forgotten: it is full.
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection."""
        seconds = self._seconds_to_wait(scope) if scope["type"] == "http" else 0.0
        if seconds > 0:
            await refusal(429, TOO_MANY, {"Retry-After": str(math.ceil(seconds))})(scope, receive, send)
        else:
            await self.app(scope, receive, send)

    def _seconds_to_wait(self, scope: Scope) -> float:
        caller: Caller = scope["state"]["caller"]
        if caller.key_prefix is None:
            return 0.0
        now, most = scope["app"].state.service.clock.monotonic(), max(self.per_second * BURST_SECONDS, 1.0)
        held, since = self._buckets.pop(caller.key_prefix, (most, now))
        held = min(held + (now - since) * self.per_second, most)
        is_served = held >= 1
        self._buckets[caller.key_prefix] = (held - is_served, now)
        if len(self._buckets) > MAX_RATED_KEYS:
            self._buckets.popitem(last=False)
        return 0.0 if is_served else (1 - held) / self.per_second
