"""The memory in SQLite or PostgreSQL: jobs, runs, calendars. One method is one transaction, plain values in and out."""

from store.opening import migrate_database, open_store
from store.prompt_reads import WouldWait
from store.sql_store import SqlStore

__all__ = ["SqlStore", "WouldWait", "migrate_database", "open_store"]
