"""The routes of keys, for administrators."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Body, Depends, Path, Request
from fastapi.exceptions import RequestValidationError
from fastapi.openapi.models import Example

from api.access import Access
from api.errors import documented
from api.json_bodies import StrictRoute
from api.key_bodies import CI_KEY, KeyCreate, KeyView, NewKeyView
from api.refusals import BodyTooLarge, InvalidKeyId, KeyWouldBeOver, UnreadableBody
from api.service import TheService, parsed_id
from engine.errors import KeyNotFound, StoreUnavailable, TooManyKeys
from engine.key_ring import KeyRing

router = APIRouter(prefix="/keys", tags=["keys"], route_class=StrictRoute)

WantedKey = Annotated[KeyCreate, Body(openapi_examples={"pipeline": Example(summary="For a pipeline", value=CI_KEY)})]


async def _key_id(
    key_id: Annotated[str, Path(description="The key's UUID", json_schema_extra={"format": "uuid"})],
) -> UUID:
    return parsed_id(key_id, InvalidKeyId)


async def _keys(request: Request) -> KeyRing:
    access: Access = request.app.state.access
    return access.keys


KeyId = Annotated[UUID, Depends(_key_id)]
TheKeys = Annotated[KeyRing, Depends(_keys)]


@router.post(
    "",
    summary="Create a key",
    responses=documented(
        UnreadableBody, BodyTooLarge, RequestValidationError, KeyWouldBeOver, TooManyKeys, StoreUnavailable
    ),
)
def create_key(body: WantedKey, keys: TheKeys, service: TheService) -> NewKeyView:
    """Its text is in this answer and nowhere else."""
    if body.expires_at is not None and body.expires_at <= service.clock.now():
        raise KeyWouldBeOver
    key, text = keys.create(body.name, body.scope, expires_at=body.expires_at)
    return NewKeyView.made(key, text)


@router.get("", summary="List all keys", responses=documented(StoreUnavailable))
def list_keys(keys: TheKeys) -> list[KeyView]:
    """The oldest first, those that are revoked or expired included."""
    return [KeyView.of(key) for key in keys.all()]


@router.post(
    "/{key_id}/revoke", summary="Revoke a key", responses=documented(InvalidKeyId, KeyNotFound, StoreUnavailable)
)
def revoke_key(key_id: KeyId, keys: TheKeys) -> KeyView:
    """It opens nothing any more: here at once, on other nodes within two seconds. A second time changes nothing."""
    return KeyView.of(keys.revoke(key_id))
