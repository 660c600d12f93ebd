"""What the service asks of the interpreter, and takes back."""

import gc
import sys
from collections.abc import Iterator

import pytest

from app.interpreter import SWITCH_SECONDS, serve_quickly, stop_serving


@pytest.fixture(autouse=True)
def as_it_was() -> Iterator[None]:
    interval = sys.getswitchinterval()
    yield
    sys.setswitchinterval(interval)
    gc.unfreeze()


def test_a_service_that_runs_has_its_parts_out_of_the_collectors_way() -> None:
    before = gc.get_freeze_count()

    serve_quickly()

    assert gc.get_freeze_count() > before + 10_000
    assert sys.getswitchinterval() == pytest.approx(SWITCH_SECONDS)


def test_after_a_stop_they_may_be_collected() -> None:
    serve_quickly()

    stop_serving()

    assert gc.get_freeze_count() == 0
