"""The short version of what `make chaos` does for an hour: a few kills and freezes on each store.

What counts is what is right: the long version judges how fast it is, on a machine with time to spare.
"""

import pytest

from tests.chaos.conftest import NODES, WORKERS
from tests.chaos.scenarios.freezes import freezes
from tests.chaos.scenarios.kills import kill_rounds, kill_under_load
from tests.chaos.scene import Place

pytestmark = [pytest.mark.real_time, pytest.mark.once, pytest.mark.chaos, pytest.mark.timeout(400)]


def test_kill_9_of_workers_and_of_all_doubles_nothing_and_loses_nothing(place: Place) -> None:
    verdict = kill_rounds(place, WORKERS, rounds=3)

    verdict.assert_correct(f"{place.kind}, kill -9")


def test_under_load_every_slot_starts_once_though_workers_are_killed(place: Place) -> None:
    verdict = kill_under_load(place, WORKERS, jobs=20, seconds=3, every=3)

    verdict.assert_correct(f"{place.kind}, kill -9 under load")


def test_what_was_frozen_past_the_lease_starts_nothing_and_overwrites_nothing(place: Place) -> None:
    verdict = freezes(place, NODES, count=1)

    verdict.assert_correct(f"{place.kind}, freeze")
    assert "freeze 1" in verdict.facts["faults"]
