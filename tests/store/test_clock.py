"""The clock that decides: the server's, where there is one."""

from datetime import UTC, datetime, timedelta

import pytest

from store import open_store


@pytest.mark.parametrize("driver", ["psycopg", "psycopg2"])
def test_a_postgresql_server_tells_the_time(postgres_url: str, driver: str) -> None:
    store = open_store(postgres_url.replace("+psycopg:", f"+{driver}:"))
    first, second = store.time(), store.time()
    store.close()
    assert first is not None
    assert second is not None
    assert first.tzinfo is UTC
    assert first < second
    assert abs(datetime.now(UTC) - second) < timedelta(minutes=1)


def test_sqlite_has_the_time_of_its_host(sqlite_url: str) -> None:
    store = open_store(sqlite_url)
    assert store.time() is None
    store.close()
