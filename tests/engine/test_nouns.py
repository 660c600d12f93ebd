"""Outcomes that say two things at once."""

from typing import Any

import pytest

from engine.nouns import Contradiction, RunError, RunState
from tests.factories import make_outcome, make_run

ERROR = RunError(type="ValueError", message="no luck", traceback="")


@pytest.mark.parametrize(
    "facts",
    [
        {"state": RunState.RUNNING},
        {"state": RunState.MISSED},
        {"state": RunState.FAILED},
        {"state": RunState.SUCCEEDED, "error": ERROR},
        {"state": RunState.LOST, "error": ERROR},
        {"state": RunState.SKIPPED, "result_json": "1"},
        {"state": RunState.FAILED, "error": ERROR, "result_json": "1"},
    ],
)
def test_an_outcome_does_not_contradict_itself(facts: dict[str, Any]) -> None:
    with pytest.raises(Contradiction):
        make_outcome(make_run(), **facts)


@pytest.mark.parametrize("state", [RunState.SUCCEEDED, RunState.SKIPPED, RunState.LOST])
def test_an_outcome_without_an_error_is_one_that_has_none(state: RunState) -> None:
    assert make_outcome(make_run(), state=state).error is None
