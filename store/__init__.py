"""The memory: jobs and runs in SQLite or PostgreSQL. One method is one transaction, plain values in and out."""

from store.opening import migrate_database, open_store
from store.sql_store import SqlStore

__all__ = ["SqlStore", "migrate_database", "open_store"]
