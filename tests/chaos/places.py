"""Databases for scenes: a file in a folder, or a schema of its own on a server, perhaps behind a proxy."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

from tests.chaos.postgres import PostgresServer
from tests.chaos.proxy import Proxy
from tests.chaos.run_table import PostgresRunTable, SqliteRunTable
from tests.chaos.scene import Place


def sqlite_place(folder: Path, *, database_folder: Path | None = None) -> Place:
    file = (database_folder or folder) / "scheduler.db"
    return Place("SQLite", f"sqlite:///{file}", SqliteRunTable(file), folder)


def postgres_place(server: PostgresServer, folder: Path, *, port: int | None = None) -> Place:
    """An empty schema: as good as a database of its own. With `port`, the service goes through a proxy there."""
    schema = f"chaos_{uuid4().hex}"
    server.execute(f"CREATE SCHEMA {schema}")
    return Place("PostgreSQL", server.url(schema, port=port), PostgresRunTable(server.conninfo(schema)), folder)


@contextmanager
def proxied_place(server: PostgresServer, folder: Path) -> Iterator[tuple[Place, Proxy]]:
    proxy = Proxy(server.socket).start()
    try:
        yield postgres_place(server, folder, port=proxy.port), proxy
    finally:
        proxy.stop()
