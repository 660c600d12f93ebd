"""What is known of migrations: the revisions of this code, and bringing a database to the newest."""

from functools import cache
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, text

from engine.errors import StoreRefused

VERSION_TABLE = "scheduler_version"
"""Alembic's table. Its name also says that a database is ours."""

_MIGRATIONS = Path(__file__).parent / "migrations"


@cache
def known_revisions() -> frozenset[str]:
    """The revisions of a database that this code can use or migrate."""
    return frozenset(script.revision for script in ScriptDirectory(str(_MIGRATIONS)).walk_revisions())


@cache
def newest_revisions() -> frozenset[str]:
    """What a database holds that this code can use as it is."""
    return frozenset(ScriptDirectory(str(_MIGRATIONS)).get_heads())


def upgrade(connection: Connection) -> None:
    """Bring the database to the newest revision, inside the caller's transaction: all of it or nothing."""
    if connection.dialect.name == "postgresql":
        # A new index on a long history takes longer than any statement of daily work may.
        connection.execute(text("SET LOCAL statement_timeout = 0"))
    command.upgrade(configuration(connection), "head")


def configuration(connection: Connection) -> Config:
    """What alembic's commands need to move the database of this connection to another revision."""
    config = Config()
    # ConfigParser reads a lone % as the start of a substitution.
    config.set_main_option("script_location", str(_MIGRATIONS).replace("%", "%%"))
    config.attributes["connection"] = connection
    return config


def refuse_foreign(place: str, *, tables: set[str], revisions: set[str]) -> None:
    """Raise StoreRefused if the tables found at `place` are another program's, or of a release newer than this."""
    others = sorted(tables - {VERSION_TABLE})
    if others and not revisions:
        raise StoreRefused(
            f"{place} holds tables that this scheduler did not make ({', '.join(others)}); nothing in it was touched. "
            "Point DATABASE_URL at a database of the scheduler's own, or at a new one"
        )
    unknown = sorted(revisions - known_revisions())
    if unknown:
        raise StoreRefused(
            f"{place} was written by a newer release of this scheduler (schema {', '.join(unknown)} is not known "
            "here); nothing in it was touched. Start that release, or restore a backup from before the upgrade"
        )
