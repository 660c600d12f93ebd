"""Bodies in JSON, read strictly: not too deep, and no name twice in an object, as nobody knows which one counts."""

import json
import re
from collections import Counter
from collections.abc import Callable, Coroutine
from typing import Any

from fastapi import Request, Response
from fastapi.routing import APIRoute

from api.limits import MAX_JSON_DEPTH

_BRACKETS_OUTSIDE_TEXTS = re.compile(rb'"(?:[^"\\]|\\.)*"?|([\[{])|([\]}])', re.DOTALL)


class StrictRequest(Request):
    """A request whose body is read strictly."""

    async def json(self) -> Any:
        """The body's value. Raises JSONDecodeError, and UnicodeDecodeError where it is no text."""
        if not hasattr(self, "_json"):
            self._json = read_json(await self.body())
        return self._json


class StrictRoute(APIRoute):
    """A route whose requests are read strictly."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handle = super().get_route_handler()

        async def handle_strictly(request: Request) -> Response:
            strict = StrictRequest(request.scope, request.receive)
            try:
                return await handle(strict)
            finally:
                # What answers errors is given the request as it was, and a body can be received once.
                request.__dict__ |= {name: vars(strict)[name] for name in ("_body", "_json") if name in vars(strict)}

        return handle_strictly


def read_json(body: bytes) -> Any:
    """The value that the body is. Raises JSONDecodeError for what is no JSON, too deep, or says a name twice."""
    if depth_of(body) > MAX_JSON_DEPTH:
        raise json.JSONDecodeError(f"Nested more than {MAX_JSON_DEPTH} levels deep", "", 0)
    return json.loads(body, object_pairs_hook=_without_doubles)


def depth_of(body: bytes) -> int:
    """How many objects and arrays are open at once, at most; of a body that is no JSON, some number."""
    # Nearly always there are too few of them for that, however they stand.
    most = body.count(b"{") + body.count(b"[")
    if most <= MAX_JSON_DEPTH:
        return most
    depth = deepest = 0
    for token in _BRACKETS_OUTSIDE_TEXTS.finditer(body):
        depth += (token.start(1) >= 0) - (token.start(2) >= 0)
        deepest = max(deepest, depth)
    return deepest


def _without_doubles(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) < len(pairs):
        counts = Counter(name for name, _ in pairs)
        double = next(name for name, count in counts.items() if count > 1)
        raise json.JSONDecodeError(f"The name {double[:64]!r} stands twice in one object", "", 0)
    return value
