"""The type of instants."""

from datetime import UTC, datetime, timedelta, timezone, tzinfo
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import create_engine
from sqlalchemy.exc import StatementError

from store import SqlStore
from store.columns import UtcDateTime
from tests.factories import NOON, make_job

SQLITE, POSTGRESQL = (create_engine(f"{name}://").dialect for name in ("sqlite", "postgresql"))


def test_a_naive_instant_is_refused(store: SqlStore) -> None:
    with pytest.raises(StatementError, match="has no time zone"):
        store.add_job(make_job(created_at=datetime(2026, 11, 23, 12, 0)))  # noqa: DTZ001 - the mistake this is about
    assert store.views.jobs_page(after=None, limit=1) == []


@pytest.mark.parametrize("zone", [UTC, timezone(timedelta(hours=-4)), ZoneInfo("America/New_York")])
def test_an_instant_of_any_zone_is_kept_as_utc(store: SqlStore, zone: tzinfo) -> None:
    job = make_job(created_at=NOON.astimezone(zone))
    store.add_job(job)
    stored = store.job(job.id)
    assert stored is not None
    assert (stored.created_at, stored.created_at.tzinfo) == (NOON, UTC)


def test_the_two_passes_of_an_overlap_stay_apart(store: SqlStore) -> None:
    first = datetime(2026, 11, 1, 1, 30, tzinfo=ZoneInfo("America/New_York"))
    second = first.replace(fold=1)
    job = make_job(created_at=first, updated_at=second)
    store.add_job(job)
    stored = store.job(job.id)
    assert stored is not None
    assert stored.updated_at - stored.created_at == timedelta(hours=1)


def test_the_text_in_sqlite_sorts_as_time() -> None:
    instants = [
        datetime(1, 1, 1, tzinfo=UTC),
        datetime(999, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC),
        NOON,
        NOON + timedelta(microseconds=1),
        NOON + timedelta(seconds=1),
        datetime(9999, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC),
    ]
    texts = [str(UtcDateTime().process_bind_param(instant, SQLITE)) for instant in instants]
    assert texts == sorted(texts)
    assert len({len(text) for text in texts}) == 1


def test_nothing_stays_nothing() -> None:
    for dialect in (SQLITE, POSTGRESQL):
        assert UtcDateTime().process_bind_param(None, dialect) is None
        assert UtcDateTime().process_result_value(None, dialect) is None
