"""The first thing asked of a request: who sends it. Nothing of its body has been read by then."""

import math
from functools import lru_cache
from ipaddress import ip_address

import structlog
from fastapi import Request
from fastapi.responses import JSONResponse
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from api.access import ANYBODY, Access, Caller, path_of
from api.attempts import FailedAttempts
from api.errors import answer_error
from api.problems import refusal
from engine.access import ApiKey
from engine.errors import StoreUnavailable

log = structlog.get_logger("scheduler.access")

DOCUMENTATION = frozenset({"/docs", "/docs/oauth2-redirect", "/redoc", "/openapi.json"})
DOCUMENTATION_FILES = "/static-offline-docs/"
"""Where the pages about the API are, and what they load."""

REMEMBERED = 256
"""Addresses that are read once."""

CHALLENGE = {"WWW-Authenticate": 'Bearer realm="scheduler"'}
NO_KEY = "An API key is wanted, as Authorization: Bearer KEY or as X-API-Key: KEY"
WRONG_KEY = "The API key is not known, revoked or expired"
TOO_MANY_ATTEMPTS = "Too many wrong API keys came from this address; try again later"
NETWORK_REFUSED = (
    "This service asks for no API keys, so it serves this machine only. Set AUTH=required to serve others, "
    "or AUTH=off to serve everybody"
)


class Authentication:
    """Lets a request in with its caller in `request.state.caller`, or answers 401, 403 or 429 by itself."""

    def __init__(self, app: ASGIApp, *, open_path: str) -> None:
        """`open_path` is served to everybody."""
        self.app = app
        self.open_path = open_path

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        caller = await self._caller(scope)
        if isinstance(caller, JSONResponse):
            await caller(scope, receive, send)
            return
        scope.setdefault("state", {})["caller"] = caller
        await self.app(scope, receive, send)

    async def _caller(self, scope: Scope) -> Caller | JSONResponse:
        access: Access | None = scope["app"].state.access
        if access is None or path_of(scope) == self.open_path:
            return ANYBODY
        if not access.requires_key:
            is_served = access.serves_network or is_of_this_machine(scope)
            return ANYBODY if is_served else refusal(403, NETWORK_REFUSED)
        if access.shows_documentation and _is_documentation(path_of(scope)):
            return ANYBODY
        return await self._holder(scope, access)

    async def _holder(self, scope: Scope, access: Access) -> Caller | JSONResponse:
        """Whoever has the key that was sent."""
        presented = presented_key(Headers(scope=scope))
        if presented is None:
            return refusal(401, NO_KEY, CHALLENGE)
        try:
            key = await _find(access, presented)
        except StoreUnavailable as error:
            return await answer_error(Request(scope), error)
        # A right key is let in, wherever wrong ones come from: behind a proxy all come from one address.
        return _wrong_key(scope) if key is None else Caller(key.name, key.scope, key.prefix)


async def _find(access: Access, presented: str) -> ApiKey | None:
    keys = access.keys
    if keys.is_stale:
        await run_in_threadpool(keys.refresh)
    elif keys.may_be_new(presented):
        await run_in_threadpool(keys.refresh, is_urgent=True)
    return keys.find(presented)


def _wrong_key(scope: Scope) -> JSONResponse:
    attempts: FailedAttempts = scope["app"].state.failed_attempts
    address = _address(scope, "client")
    blocked_seconds = attempts.seconds_blocked(address)
    if blocked_seconds > 0:
        return refusal(429, TOO_MANY_ATTEMPTS, {"Retry-After": str(math.ceil(blocked_seconds))})
    attempts.add(address)
    log.warning("wrong key", client=address, path=scope["path"])
    return refusal(401, WRONG_KEY, CHALLENGE)


def presented_key(headers: Headers) -> str | None:
    """The key that a request was sent with; one that is sent in both ways is the same twice, or it is none."""
    scheme, _, credentials = headers.get("authorization", "").partition(" ")
    bearer = credentials.strip() if scheme.lower() == "bearer" else None
    other = headers.get("x-api-key")
    if bearer is not None and other is not None and bearer != other:
        return ""
    return other if bearer is None else bearer


def is_of_this_machine(scope: Scope) -> bool:
    """Whether a request came over a loopback address, from one and to one: what a proxy says of its client counts.

    A server that has no address (a socket file, a test client) is reached by this machine only; a client that has none
    that can be read may be anybody.
    """
    server, client = _address(scope, "server"), _address(scope, "client")
    is_here = _is_loopback(server) if _is_address(server) else True
    return is_here and (client in _CLIENTS_WITHOUT_ADDRESS or _is_loopback(client))


_CLIENTS_WITHOUT_ADDRESS = ("", "testclient")
"""Of a socket file, and of Starlette's test client."""


@lru_cache(maxsize=REMEMBERED)
def _is_address(text: str) -> bool:
    try:
        ip_address(text)
    except ValueError:
        return False
    return True


def _is_documentation(path: str) -> bool:
    return path in DOCUMENTATION or path.startswith(DOCUMENTATION_FILES)


@lru_cache(maxsize=REMEMBERED)
def _is_loopback(address: str) -> bool:
    try:
        known = ip_address(address)
    except ValueError:
        return False
    mapped = getattr(known, "ipv4_mapped", None)
    return (mapped or known).is_loopback


def _address(scope: Scope, end: str) -> str:
    place = scope.get(end)
    return str(place[0]) if place else ""
