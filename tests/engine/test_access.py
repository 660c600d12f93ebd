"""Scopes, and what of a key is kept."""

from dataclasses import replace
from datetime import timedelta
from uuid import uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.access import ApiKey, Scope, digest_of, new_key_text, prefix_of
from tests.factories import NOON


def key_of(text: str) -> ApiKey:
    return ApiKey(uuid4(), "a key", prefix_of(text) or "", digest_of(text), Scope.READ, NOON)


def test_each_scope_covers_itself_and_those_before_it() -> None:
    order = [Scope.READ, Scope.RUN, Scope.WRITE, Scope.ADMIN]
    for given_place, given_scope in enumerate(order):
        for wanted_place, wanted in enumerate(order):
            assert given_scope.covers(wanted) is (given_place >= wanted_place)


def test_no_two_keys_are_alike_and_each_has_256_bits() -> None:
    texts = {new_key_text() for _ in range(100)}
    assert len(texts) == len({prefix_of(text) for text in texts}) == 100
    # 43 characters of 6 bits each.
    assert {len(text.removeprefix("sched_")[9:]) for text in texts} == {43}


def test_a_key_is_known_by_its_text_and_by_no_other() -> None:
    text = new_key_text()
    key = key_of(text)
    assert key.is_of(text)
    assert not key.is_of(text[:-1] + ("A" if text[-1] != "A" else "B"))
    assert text.removeprefix("sched_")[9:] not in repr(key)


@pytest.mark.parametrize(
    "text", ["", "sched_", "sched_12345678_é" + "a" * 42, "sched_1234567é_" + "a" * 43, "Bearer x"]
)
def test_what_is_no_text_of_a_key_has_no_prefix(text: str) -> None:
    assert prefix_of(text) is None


@given(st.text())
def test_any_text_can_be_asked_for_its_prefix(text: str) -> None:
    assert prefix_of(text) is None
    assert prefix_of(new_key_text() + text) is None or text == ""


def test_a_key_is_over_once_it_is_revoked_or_at_its_expiry() -> None:
    key = key_of(new_key_text())
    moment = timedelta(microseconds=1)
    assert not key.is_over(NOON)
    assert replace(key, revoked_at=NOON).is_over(NOON)
    assert replace(key, expires_at=NOON).is_over(NOON)
    assert not replace(key, expires_at=NOON + moment).is_over(NOON)
