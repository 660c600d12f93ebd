"""The keys of the API in the store, and the ring that goes by them, the same on both databases."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from threading import Barrier
from uuid import uuid4

import pytest

from engine.access import ApiKey, Scope, digest_of, new_key_text, prefix_of
from engine.errors import KeyNotFound, StoreUnavailable, TooManyKeys
from engine.key_ring import FAILED_SECONDS, FRESH_SECONDS, USE_NOTED_SECONDS, KeyRing
from store import SqlStore
from tests.fakes import NOON, ManualClock

LATER = NOON + timedelta(hours=1)


def made(name: str = "a key", scope: Scope = Scope.READ) -> ApiKey:
    text = new_key_text()
    return ApiKey(uuid4(), name, prefix_of(text) or "", digest_of(text), scope, NOON)


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def ring(store: SqlStore, clock: ManualClock) -> KeyRing:
    return KeyRing(store=store.keys, clock=clock, new_id=uuid4)


@pytest.mark.parametrize("scope", list(Scope))
def test_a_key_comes_back_as_it_was_kept(store: SqlStore, scope: Scope) -> None:
    key = replace(made("Grüße 🌍", scope), expires_at=LATER, last_used_at=LATER)
    assert store.keys.add(key)
    assert store.keys.all() == [key]


def test_keys_come_in_the_order_of_their_making(store: SqlStore) -> None:
    keys = [replace(made(), created_at=NOON + timedelta(seconds=second)) for second in (2, 0, 1)]
    for key in keys:
        store.keys.add(key)
    assert store.keys.all() == [keys[1], keys[2], keys[0]]


def test_a_key_is_revoked_once(store: SqlStore) -> None:
    key = made()
    store.keys.add(key)
    assert store.keys.revoke(key.id, at=NOON) == replace(key, revoked_at=NOON)
    assert store.keys.revoke(key.id, at=LATER) == replace(key, revoked_at=NOON)
    assert store.keys.revoke(uuid4(), at=NOON) is None


def test_no_more_keys_are_kept_than_may_be(store: SqlStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("store.key_rows.MAX_KEYS", 3)
    kept = [replace(made(), created_at=NOON + timedelta(seconds=second)) for second in range(3)]
    for key in kept:
        store.keys.add(key)
    with pytest.raises(TooManyKeys):
        store.keys.add(made())
    assert store.keys.all() == kept


def test_the_oldest_key_that_opens_nothing_makes_room(store: SqlStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("store.key_rows.MAX_KEYS", 3)
    kept = [replace(made(), created_at=NOON + timedelta(seconds=second)) for second in range(3)]
    kept[1] = replace(kept[1], expires_at=NOON + timedelta(seconds=5))
    for key in kept:
        store.keys.add(key)
    store.keys.revoke(kept[2].id, at=NOON)
    new = replace(made(), created_at=NOON + timedelta(seconds=5))
    assert store.keys.add(new)
    assert [key.id for key in store.keys.all()] == [kept[0].id, kept[2].id, new.id]


def test_of_many_that_want_the_first_key_one_gets_it(store: SqlStore) -> None:
    together = Barrier(8)

    def want(_: int) -> bool:
        together.wait()
        return store.keys.add(made(), only_if_none_is_valid=True)

    with ThreadPoolExecutor(8) as pool:
        assert sorted(pool.map(want, range(8))) == [False] * 7 + [True]
    assert len(store.keys.all()) == 1


@pytest.mark.parametrize("over", [{"revoked_at": NOON}, {"expires_at": NOON}])
def test_keys_that_are_over_are_none(store: SqlStore, over: dict[str, object]) -> None:
    store.keys.add(replace(made(), created_at=NOON - timedelta(hours=1), **over))  # type: ignore[arg-type]
    assert store.keys.add(made(), only_if_none_is_valid=True)


def test_a_use_is_noted_unless_a_later_one_is_known(store: SqlStore) -> None:
    key = made()
    store.keys.add(key)
    for used_at in (NOON, LATER, NOON):
        store.keys.note_uses([(key.id, used_at)])
    store.keys.note_uses([(uuid4(), NOON)])
    assert [each.last_used_at for each in store.keys.all()] == [LATER]


# The ring


def test_a_ring_knows_nothing_until_it_has_read(ring: KeyRing) -> None:
    _key, text = ring.create("a key", Scope.RUN)
    assert ring.is_stale
    assert ring.find(text) is None


def test_a_key_is_found_by_its_text_and_its_use_is_noted(store: SqlStore, ring: KeyRing, clock: ManualClock) -> None:
    key, text = ring.create("a key", Scope.RUN)
    ring.refresh()
    found = ring.find(text)
    assert found is not None
    assert (found.id, found.scope) == (key.id, Scope.RUN)
    assert ring.find(new_key_text()) is None
    assert ring.find(text[:-2] + "AA") is None

    clock.step_wall(USE_NOTED_SECONDS)
    ring._read_at = None
    ring.refresh()
    assert [each.last_used_at for each in store.keys.all()] == [NOON]


def test_a_use_is_noted_once_a_minute(store: SqlStore, ring: KeyRing, monkeypatch: pytest.MonkeyPatch) -> None:
    notes: list[object] = []
    note_uses = store.keys.note_uses

    def noted(uses: object) -> None:
        notes.append(uses)
        note_uses(uses)  # type: ignore[arg-type]

    monkeypatch.setattr(store.keys, "note_uses", noted)
    _key, text = ring.create("a key", Scope.RUN)
    for _ in range(5):
        ring._read_at = None
        ring.refresh()
        ring.find(text)
    assert len(notes) == 1


def test_a_key_that_another_process_revokes_opens_nothing_soon(
    store: SqlStore, ring: KeyRing, clock: ManualClock
) -> None:
    key, text = ring.create("a key", Scope.RUN)
    ring.refresh()
    store.keys.revoke(key.id, at=NOON)
    assert ring.find(text) is not None

    clock.advance_to_next(clock.monotonic() + FRESH_SECONDS)
    assert ring.is_stale
    ring.refresh()
    assert ring.find(text) is None


def test_a_key_that_is_revoked_here_opens_nothing_at_once(ring: KeyRing) -> None:
    key, text = ring.create("a key", Scope.RUN)
    ring.refresh()
    ring.revoke(key.id)
    assert ring.is_stale
    ring.refresh()
    assert ring.find(text) is None
    with pytest.raises(KeyNotFound):
        ring.revoke(uuid4())


def test_a_key_opens_nothing_from_its_expiry_on(ring: KeyRing, clock: ManualClock) -> None:
    _key, text = ring.create("a key", Scope.RUN, expires_at=NOON + timedelta(seconds=1))
    ring.refresh()
    assert ring.find(text) is not None
    clock.step_wall(1)
    assert ring.find(text) is None


def test_the_first_key_is_an_administrators_and_there_is_one(ring: KeyRing) -> None:
    text = new_key_text()
    assert ring.create_first(text)
    assert not ring.create_first(new_key_text())
    # Asked once more, as if the answer to its commit had been lost.
    assert ring.create_first(text)
    assert len(ring.all()) == 1
    ring.refresh()
    found = ring.find(text)
    assert found is not None
    assert found.scope is Scope.ADMIN


def test_a_store_that_is_away_is_not_asked_by_everybody(
    store: SqlStore, ring: KeyRing, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[int] = []

    def fail() -> None:
        asked.append(1)
        raise StoreUnavailable("away")

    with monkeypatch.context() as patch:
        patch.setattr(store.keys, "all", fail)
        for _ in range(3):
            with pytest.raises(StoreUnavailable, match="away"):
                ring.refresh()
    assert len(asked) == 1
    clock.advance_to_next(clock.monotonic() + FAILED_SECONDS)
    ring.refresh()
    assert not ring.is_stale


def test_what_was_read_before_a_key_was_revoked_does_not_hold(
    store: SqlStore, ring: KeyRing, monkeypatch: pytest.MonkeyPatch
) -> None:
    key, text = ring.create("a key", Scope.RUN)
    read = store.keys.all

    def read_and_be_overtaken() -> Sequence[ApiKey]:
        found = read()
        ring.revoke(key.id)
        return found

    with monkeypatch.context() as patch:
        patch.setattr(store.keys, "all", read_and_be_overtaken)
        ring.refresh()
    assert ring.is_stale
    ring.refresh()
    assert ring.find(text) is None


def test_uses_that_cannot_be_noted_lock_nobody_out(
    store: SqlStore, ring: KeyRing, monkeypatch: pytest.MonkeyPatch
) -> None:
    _key, text = ring.create("a key", Scope.RUN)
    ring.refresh()
    ring.find(text)

    def refuse(_uses: object) -> None:
        raise StoreUnavailable("the disk is full")

    monkeypatch.setattr(store.keys, "note_uses", refuse)
    ring._read_at = None
    ring.refresh()
    assert ring.find(text) is not None
