"""Who asks, and whether they may: the caller of a request, and what a route takes of them."""

from dataclasses import dataclass

from fastapi import Request
from starlette.types import Scope as AsgiScope

from api.refusals import Forbidden
from engine.access import Scope
from engine.key_ring import KeyRing


@dataclass(frozen=True, slots=True)
class Caller:
    """Whoever sent a request: the holder of a key, or anybody, where no key is asked for."""

    name: str
    scope: Scope
    key_prefix: str | None = None


def path_of(scope: AsgiScope) -> str:
    """The path of a request below the one that the service is mounted at."""
    root = scope.get("root_path", "")
    path: str = scope["path"]
    return path.removeprefix(root) if root and path.startswith(f"{root}/") else path


def header_of(scope: AsgiScope, name: bytes) -> str | None:
    """The first header of this name, which is in lower case; None if there is none."""
    for given, value in scope["headers"]:
        if given == name:
            return str(value, "latin-1")
    return None


ANYBODY = Caller("anybody", Scope.ADMIN)
"""Where no key is asked for, everything is open."""


@dataclass(frozen=True, slots=True)
class Access:
    """What a request takes to be served.

    `requires_key`: a key, but for `/healthz`. If not, `serves_network` says whether requests from other machines are
    served all the same. `shows_documentation`: the pages about the API are open to everybody.
    """

    keys: KeyRing
    requires_key: bool
    serves_network: bool
    shows_documentation: bool


NEEDED = {
    Scope.READ: (
        "list_jobs",
        "get_job",
        "preview_job",
        "preview_schedule",
        "explain_slot",
        "list_runs",
        "list_runs_of_job",
        "get_run",
        "get_run_logs",
        "list_backfills",
        "get_backfill",
        "list_runs_of_backfill",
        "list_calendars",
        "get_calendar",
        "get_pause",
        "list_functions",
        "list_nodes",
        "get_readiness",
        # Not asked for a key at all: see Authentication.
        "get_health",
    ),
    Scope.RUN: (
        "run_job_now",
        "cancel_run",
        "create_backfill",
        "cancel_backfill",
        "pause_job",
        "resume_job",
    ),
    Scope.WRITE: (
        "create_job",
        "replace_job",
        "change_job",
        "delete_job",
        "delete_all_jobs",
        "create_calendar",
        "replace_calendar",
        "import_calendar",
        "delete_calendar",
        "pause_everything",
        "resume_everything",
    ),
    Scope.ADMIN: ("create_key", "list_keys", "revoke_key"),
}
"""The scope that each route takes, by the route's name."""

SCOPES = {name: scope for scope, names in NEEDED.items() for name in names}


async def authorize(request: Request) -> None:
    """Raise Forbidden unless the caller may use the route. The dependency of every route."""
    caller: Caller = request.state.caller
    wanted = SCOPES[request.scope["route"].name]
    if not caller.scope.covers(wanted):
        raise Forbidden(caller.scope, wanted)
