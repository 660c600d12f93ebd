"""Lists of jobs: filtered, ordered, page by page. Every function works inside the caller's transaction."""

from typing import Any

from sqlalchemy import ColumnElement, Connection, and_, func, or_, select

from engine.job_listing import JobFilter, JobOrder, JobPosition, SortKey
from engine.nouns import Job
from store.job_rows import JOB_COLUMNS, job_of
from store.tables import jobs


def page_of_listing(
    connection: Connection, wanted: JobFilter, order: JobOrder, after: JobPosition | None, limit: int
) -> list[Job]:
    """The first of the jobs behind the position."""
    key = _key(connection, order.key)
    page = select(*JOB_COLUMNS).where(*_conditions(wanted)).limit(limit)
    if after is not None:
        page = page.where(_is_behind(key, order, after))
    by_key, by_id = (key.desc(), jobs.c.id.desc()) if order.is_descending else (key, jobs.c.id)
    # In words that both databases know; PostgreSQL would put what has no value first or last by the direction.
    return [job_of(row) for row in connection.execute(page.order_by(key.is_(None), by_key, by_id))]


def count_of_listing(connection: Connection, wanted: JobFilter) -> int:
    """How many jobs there are of the kind."""
    return connection.execute(select(func.count()).select_from(jobs).where(*_conditions(wanted))).scalar_one()


def _conditions(wanted: JobFilter) -> list[ColumnElement[bool]]:
    conditions: list[ColumnElement[bool]] = []
    if wanted.status is not None:
        conditions.append(jobs.c.status == wanted.status)
    if wanted.function_name is not None:
        conditions.append(jobs.c.function_name == wanted.function_name)
    if wanted.name_contains is not None:
        conditions.append(jobs.c.name.icontains(wanted.name_contains, autoescape=True))
    if wanted.due_before is not None:
        conditions.append(jobs.c.next_run_at < wanted.due_before)
    return conditions


def _key(connection: Connection, key: SortKey) -> ColumnElement[Any]:
    column = jobs.c[key.value]
    # PostgreSQL would order names by the language of the database, and SQLite does so by their bytes.
    is_collated = key is SortKey.NAME and connection.dialect.name == "postgresql"
    return column.collate("C") if is_collated else column


def _is_behind(key: ColumnElement[Any], order: JobOrder, after: JobPosition) -> ColumnElement[bool]:
    has_later_id = jobs.c.id < after.job_id if order.is_descending else jobs.c.id > after.job_id
    if after.value is None:
        return and_(key.is_(None), has_later_id)
    has_later_key = key < after.value if order.is_descending else key > after.value
    return or_(has_later_key, and_(key == after.value, has_later_id), key.is_(None))
