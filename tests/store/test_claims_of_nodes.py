"""Claims as nodes make them: fenced by their own row, and judged by the database's clock where that counts."""

from datetime import UTC, datetime, timedelta

from engine.nodes import Claimant
from store import SqlStore
from tests.factories import make_advance, make_job, make_node

SECOND = timedelta(seconds=1)


def test_a_claim_beats_for_its_node(store: SqlStore) -> None:
    record, job = make_node(), make_job()
    store.node_started(record)
    store.add_job(job)
    store.advance([make_advance(job)], by=Claimant(record.id, record.started_at + SECOND))
    (seen,) = store.live_nodes()
    assert (seen.beats, seen.seen_at) == (record.beats + 1, record.started_at + SECOND)


def test_what_is_not_due_by_the_databases_clock_is_not_claimed_there(store: SqlStore) -> None:
    """However far ahead the clock of the node that claims is."""
    record = make_node()
    store.node_started(record)
    soon = datetime.now(UTC).replace(microsecond=0) + 3_600 * SECOND
    due, early = make_job(), make_job(next_run_at=soon)
    for job in (due, early):
        store.add_job(job)
    recorded = store.advance([make_advance(due), make_advance(early)], by=Claimant(record.id, soon))
    assert set(recorded) == ({due.id, early.id} if store.time() is None else {due.id})
    # Nobody starts anything by an advance that no node makes: catching up, and passing over what is paused.
    assert set(store.advance([make_advance(early)])) == (set() if early.id in recorded else {early.id})
