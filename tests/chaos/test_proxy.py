"""The proxy against a real server: what it loses is lost on the side that was asked for, and nothing else is."""

from collections.abc import Iterator

import psycopg
import pytest

from tests.chaos.postgres import PostgresServer
from tests.chaos.protocol import PARSE, QUERY, Messages, Session, describe
from tests.chaos.proxy import Proxy, When
from tests.chaos.waiting import wait_until

pytestmark = pytest.mark.real_time


@pytest.fixture
def proxy(chaos_postgres: PostgresServer) -> Iterator[Proxy]:
    chaos_postgres.execute("DROP TABLE IF EXISTS proxied")
    chaos_postgres.execute("CREATE TABLE proxied (number int)")
    proxy = Proxy(chaos_postgres.socket).start()
    yield proxy
    proxy.stop()


def connected(proxy: Proxy) -> psycopg.Connection:
    return psycopg.connect(host="127.0.0.1", port=proxy.port, user="scheduler", dbname="postgres")


def count(server: PostgresServer) -> int:
    with psycopg.connect(server.conninfo("public")) as connection:
        (found,) = connection.execute("SELECT count(*) FROM proxied").fetchone() or (None,)
    assert isinstance(found, int)
    return found


def insert_and_commit(connection: psycopg.Connection) -> None:
    connection.execute("INSERT INTO proxied VALUES (%s)", (1,))
    connection.commit()


def test_what_is_not_to_be_lost_goes_through(proxy: Proxy, chaos_postgres: PostgresServer) -> None:
    proxy.lose_commits(1, "after", writing="insert elsewhere")
    with connected(proxy) as connection:
        # More often than the driver needs to prepare a statement of its own.
        for _ in range(10):
            insert_and_commit(connection)
    assert count(chaos_postgres) == 10
    assert not proxy.await_lost(0)


@pytest.mark.parametrize(("when", "rows"), [("before", 7), ("after", 8)])
def test_a_lost_commit_is_committed_or_not_and_the_client_cannot_tell(
    proxy: Proxy, chaos_postgres: PostgresServer, when: When, rows: int
) -> None:
    connection = connected(proxy)
    for _ in range(7):
        insert_and_commit(connection)
    proxy.lose_commits(1, when, writing="insert proxied")
    with pytest.raises(psycopg.OperationalError):
        insert_and_commit(connection)
    assert proxy.await_lost(5)
    assert count(chaos_postgres) == rows
    assert dict(proxy.lost) == {f"{when} the commit: insert proxied": 1}
    with connected(proxy) as again:
        insert_and_commit(again)
    assert count(chaos_postgres) == rows + 1


def test_cutting_breaks_what_is_open_and_takes_what_comes(proxy: Proxy) -> None:
    connection = connected(proxy)
    connection.execute("SELECT 1")
    assert proxy.cut() == 1
    with pytest.raises(psycopg.OperationalError):
        connection.execute("SELECT 1")
    connected(proxy).close()


def test_silence_holds_answers_back_until_it_ends(proxy: Proxy) -> None:
    connection = connected(proxy)
    connection.autocommit = True
    proxy.go_silent()
    connection.pgconn.send_query(b"SELECT 1")
    connection.pgconn.flush()
    with pytest.raises(psycopg.errors.ConnectionTimeout):
        psycopg.connect(host="127.0.0.1", port=proxy.port, user="scheduler", dbname="postgres", connect_timeout=2)
    connection.pgconn.consume_input()
    assert connection.pgconn.is_busy()
    proxy.go_on()
    # Not by waiting in libpq, which would hold the interpreter that the proxy's thread needs.
    wait_until(lambda: has_answer(connection), "the answer arrives")
    answer = connection.pgconn.get_result()
    assert answer is not None
    assert answer.get_value(0, 0) == b"1"
    connection.close()


def has_answer(connection: psycopg.Connection) -> bool:
    connection.pgconn.consume_input()
    return not connection.pgconn.is_busy()


def test_messages_are_cut_out_of_any_pieces() -> None:
    startup = b"\0\0\0\x08\0\x03\0\0"
    stream = startup + b"Q\0\0\0\x0bCOMMIT\0" + b"S\0\0\0\x04"
    messages = Messages(is_frontend=True)
    found = [message for index in range(len(stream)) for message in messages.feed(stream[index : index + 1])]
    assert [(kind, body) for kind, body, _ in found] == [(b"", b"\0\x03\0\0"), (b"Q", b"COMMIT\0"), (b"S", b"")]
    assert b"".join(whole for _, _, whole in found) == stream


def test_a_session_says_what_a_commit_commits() -> None:
    session = Session()
    assert session.hear(QUERY, b"BEGIN\0") is None
    assert session.hear(PARSE, b"p1\0INSERT INTO runs (id) VALUES ($1)\0\0\0") is None
    assert session.hear(b"B", b"\0p1\0\0\0") is None
    assert session.hear(QUERY, b"COMMIT\0") == "insert runs"
    session.hear(QUERY, b"BEGIN\0")
    assert session.hear(PARSE, b"\0COMMIT\0\0\0") is None
    assert session.hear(b"B", b"\0\0\0\0") == ""


def test_writes_are_named_by_their_tables() -> None:
    statements = [
        b"SELECT id FROM jobs FOR UPDATE",
        b'WITH a AS (UPDATE "jobs" SET version = 2) INSERT INTO runs(id) VALUES (1) ON CONFLICT DO UPDATE SET id = 2',
        b"DELETE FROM pauses",
    ]
    assert describe(statements) == "insert runs, update jobs, delete pauses"
