"""Run by alembic: migrates over the connection that store/revisions.py hands in, inside that one's transaction."""

from alembic import context

from store.revisions import VERSION_TABLE
from store.tables import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    version_table=VERSION_TABLE,
    render_as_batch=True,  # SQLite cannot alter a column in place
)
with context.begin_transaction():
    context.run_migrations()
