"""What a browser may be made to do by somebody else's page: nothing that changes anything here."""

from collections.abc import Collection
from functools import lru_cache
from ipaddress import ip_address
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from api.access import Access, header_of
from api.problems import refusal

REMEMBERED = 64
"""Hosts that are read once: nearly all requests name one of few."""

SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
OF_FORMS = ("multipart/form-data",)
"""What only a form sends; the other types of forms are also what curl says of a body, and of an empty one."""

OTHER_SITE = "A page of another site asked a browser for this; list its origin in CORS_ORIGINS if it may"
OTHER_HOST = "This service does not go by that host name; list it in ALLOWED_HOSTS if it does"
NO_FORMS = "Forms are not taken here: JSON is wanted"


class BrowserGuard:
    """Refuses what other sites have a browser do: by a form, by a script, or by a name that they give this address."""

    def __init__(
        self, app: ASGIApp, *, allowed_origins: Collection[str] = (), allowed_hosts: Collection[str] = ()
    ) -> None:
        """`allowed_hosts` are the names it goes by; without any, all of them where keys are asked for, and else what
        is no name on the internet. `allowed_origins` are those of pages that may ask for anything."""
        self.app = app
        self.allowed_origins = frozenset(allowed_origins)
        self.allowed_hosts = frozenset(allowed_hosts)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection."""
        problem = self._problem(scope) if scope["type"] == "http" else None
        if problem is None:
            await self.app(scope, receive, send)
        else:
            await refusal(*problem)(scope, receive, send)

    def _problem(self, scope: Scope) -> tuple[int, str] | None:
        host = header_of(scope, b"host") or ""
        if not self._is_ours(host, scope["app"].state.access):
            return 421, OTHER_HOST
        if scope["method"] in SAFE_METHODS:
            return None
        headers = Headers(scope=scope)
        if self._is_of_other_site(headers, host):
            return 403, OTHER_SITE
        return (415, NO_FORMS) if headers.get("content-type", "").lower().startswith(OF_FORMS) else None

    def _is_ours(self, host: str, access: Access | None) -> bool:
        name = name_of(host)
        if self.allowed_hosts:
            return name in self.allowed_hosts or is_address_or_local(name)
        return access is None or access.requires_key or is_address_or_local(name)

    def _is_of_other_site(self, headers: Headers, host: str) -> bool:
        origin = headers.get("origin")
        if origin is not None:
            return origin not in self.allowed_origins and _host_of(origin) != host.lower()
        return headers.get("sec-fetch-site", "none") not in {"same-origin", "none"}


def _host_of(origin: str) -> str | None:
    try:
        return urlsplit(origin).netloc.lower() or None
    except ValueError:
        return None


@lru_cache(maxsize=REMEMBERED)
def name_of(host: str) -> str:
    """A Host header without its port, in lower case."""
    name = host.rpartition(":")[0] if host.rpartition(":")[2].isdecimal() else host
    return name.strip("[]").lower().removesuffix(".")


@lru_cache(maxsize=REMEMBERED)
def is_address_or_local(name: str) -> bool:
    """Whether nobody on the internet can have a name server say that the name is this machine."""
    try:
        ip_address(name)
    except ValueError:
        return "." not in name
    return True
