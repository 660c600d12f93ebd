"""Who is there: GET /nodes."""

from typing import Annotated

from fastapi import APIRouter, Query
from fastapi.exceptions import RequestValidationError

from api.errors import documented
from api.json_bodies import StrictRoute
from api.node_views import NodeView
from api.service import TheService
from engine.errors import StoreUnavailable

MAX_LISTED_NODES = 1_000
DEFAULT_LISTED_NODES = 100

router = APIRouter(tags=["service"], route_class=StrictRoute)


@router.get("/nodes", responses=documented(RequestValidationError, StoreUnavailable))
def list_nodes(
    service: TheService,
    limit: Annotated[
        int, Query(ge=1, le=MAX_LISTED_NODES, description="The nodes that are live, and then those that were seen last")
    ] = DEFAULT_LISTED_NODES,
) -> list[NodeView]:
    """The processes that work on this database, since when, and how busy they are; then those that have gone."""
    return [NodeView.of(record) for record in service.store.latest_nodes(limit=limit)]
