"""What a start does while the database is away, on a clock that the test moves."""

import math
import multiprocessing
import threading

import pytest
from structlog.testing import capture_logs

from app.patience import PATIENCE_SECONDS, PatientStart, patience_of_this_process
from engine.errors import StoreRefused, StoreUnavailable
from tests.fakes import REAL_SECONDS, ManualClock


class LeapingClock(ManualClock):
    """Whoever waits finds at once that the time has passed."""

    def wait(self, condition: threading.Condition, seconds: float) -> None:
        self._elapsed += seconds


class Database:
    """Away for some tries."""

    def __init__(self, away: float) -> None:
        self.away = away
        self.tries = 0

    def start(self) -> None:
        self.tries += 1
        if self.tries <= self.away:
            raise StoreUnavailable("no connection")


def test_a_start_goes_on_once_the_database_is_back() -> None:
    database = Database(away=100)

    with capture_logs() as lines:
        PatientStart(clock=LeapingClock(), seconds=math.inf).run(database.start)

    assert database.tries == 101
    told = [(line["log_level"], line["event"]) for line in lines]
    assert told == [("error", "start waits for the database"), ("info", "database there for the start")]
    assert lines[0]["error"] == "no connection"


def test_a_start_gives_up_after_its_patience() -> None:
    clock, database = LeapingClock(), Database(away=math.inf)

    with pytest.raises(StoreUnavailable, match="no connection"):
        PatientStart(clock=clock, seconds=10).run(database.start)

    assert 10 <= clock.monotonic() <= 20
    assert database.tries > 3


def test_a_stop_ends_the_wait() -> None:
    clock, errors = ManualClock(), []
    patience = PatientStart(clock=clock, seconds=math.inf)

    def run() -> None:
        try:
            patience.run(Database(away=math.inf).start)
        except StoreUnavailable as error:
            errors.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    clock.await_parking(after=0)
    patience.end()
    thread.join(REAL_SECONDS)

    assert len(errors) == 1


def test_after_a_stop_a_start_is_tried_once() -> None:
    database = Database(away=math.inf)
    patience = PatientStart(clock=ManualClock(), seconds=math.inf)
    patience.end()

    with pytest.raises(StoreUnavailable):
        patience.run(database.start)
    assert database.tries == 1


def test_what_waiting_does_not_mend_is_raised_at_once() -> None:
    def refuse() -> None:
        raise StoreRefused("a newer release was here")

    with pytest.raises(StoreRefused):
        PatientStart(clock=ManualClock(), seconds=math.inf).run(refuse)


def test_a_worker_process_of_a_server_waits_without_an_end() -> None:
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        assert pool.apply(patience_of_this_process) == math.inf
    assert patience_of_this_process() == PATIENCE_SECONDS
