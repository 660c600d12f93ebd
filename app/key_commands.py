"""`scheduler keys`: the keys of the API, made and revoked beside a running service, or before there is one."""

import math
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Annotated
from uuid import uuid4

import structlog
import typer

from app.settings import SettingsError, load_settings
from engine.access import ApiKey, Scope
from engine.clock import SystemClock
from engine.errors import RequestRefused, StoreRefused, StoreUnavailable
from engine.key_ring import KeyRing
from engine.limits import MAX_NAME_LENGTH
from store import open_store

REFUSED = 2

commands = typer.Typer(name="keys", help="Make, list and revoke keys of the API.", no_args_is_help=True)

_CLOCK = SystemClock()


@commands.command()
def create(
    name: Annotated[str, typer.Option(help="Who or what uses it.")],
    scope: Annotated[Scope, typer.Option(help="Each includes those before it.")] = Scope.READ,
    expires_in_days: Annotated[float | None, typer.Option(min=0.001, max=36_500, help="Never, if not given.")] = None,
) -> None:
    """Make a key and print it, alone, to standard output. It is shown this once.

    Exit codes: 0 made, 2 refused.
    """
    if not name.strip() or len(name) > MAX_NAME_LENGTH or not name.isprintable():
        raise _refusal(f"--name is {name[:MAX_NAME_LENGTH]!r}: 1 to {MAX_NAME_LENGTH} printable characters are wanted")
    if expires_in_days is not None and not math.isfinite(expires_in_days):
        raise _refusal(f"--expires-in-days is {expires_in_days}: a number of days is wanted")
    with _key_ring() as keys:
        expires_at = None if expires_in_days is None else _CLOCK.now() + timedelta(days=expires_in_days)
        _key, text = keys.create(name, scope, expires_at=expires_at)
        typer.echo(text)


@commands.command(name="list")
def list_keys() -> None:
    """List all keys, the oldest first. Exit codes: 0 listed, 2 refused."""
    with _key_ring() as keys:
        now = _CLOCK.now()
        typer.echo(_line("PREFIX", "SCOPE", "STATE", "CREATED", "LAST USED", "NAME"))
        for key in keys.all():
            typer.echo(
                _line(key.prefix, key.scope, _state(key, now), _day(key.created_at), _day(key.last_used_at), key.name)
            )


@commands.command()
def revoke(prefix: Annotated[str, typer.Argument(help="The key's prefix, as `list` shows it.")]) -> None:
    """Have a key open nothing any more: running services notice within two seconds.

    Exit codes: 0 revoked, also if it was before; 2 no such key, or refused.
    """
    with _key_ring() as keys:
        found = [key for key in keys.all() if key.prefix == prefix]
        if not found:
            raise _refusal(f"no key has the prefix {prefix!r}")
        keys.revoke(found[0].id)


@contextmanager
def _key_ring() -> Iterator[KeyRing]:
    try:
        store = open_store(load_settings().database_url)
    except (SettingsError, StoreRefused, StoreUnavailable) as error:
        raise _refusal(str(error)) from None
    try:
        with _logging_to_standard_error():
            yield KeyRing(store=store.keys, clock=_CLOCK, new_id=uuid4)
    except (RequestRefused, StoreUnavailable) as error:
        raise _refusal(str(error)) from None
    finally:
        store.close()


@contextmanager
def _logging_to_standard_error() -> Iterator[None]:
    """What a command prints is its answer, and nothing else."""
    before = structlog.get_config()
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
    try:
        yield
    finally:
        structlog.configure(**before)


def _refusal(message: str) -> typer.Exit:
    typer.echo(message, err=True)
    return typer.Exit(REFUSED)


def _state(key: ApiKey, now: datetime) -> str:
    if key.revoked_at is not None:
        return "revoked"
    return "expired" if key.is_over(now) else "valid"


def _day(instant: datetime | None) -> str:
    return "never" if instant is None else f"{instant:%Y-%m-%d %H:%M}Z"


def _line(*cells: str) -> str:
    return "  ".join(f"{cell:<{width}}" for cell, width in zip(cells, _WIDTHS, strict=True)).rstrip()


_WIDTHS = (8, 5, 7, 17, 17, 0)
