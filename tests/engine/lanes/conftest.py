"""A lane of two workers that the tests of a file share: each leaves it fit for the next."""

from collections.abc import Iterator

import pytest

from engine.lanes.process_lane import ProcessLane
from tests.engine.lanes.calls import FUNCTIONS
from tests.fakes import REAL_SECONDS


@pytest.fixture(scope="module")
def lane() -> Iterator[ProcessLane]:
    lane = ProcessLane(workers=2, modules=(FUNCTIONS,))
    lane.start()
    yield lane
    assert lane.stop(REAL_SECONDS), "workers or their threads are left"
