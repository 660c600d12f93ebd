"""The clock of a database server that many nodes share, with a machine whose time the test moves."""

from datetime import datetime, timedelta
from typing import Any

import pytest

from engine.clock import DatabaseClock
from tests.fakes import NOON, ManualClock


class Server:
    """A database server that tells the time, `ahead` seconds of the machine, in `before` and `after` of asking."""

    def __init__(self, machine: ManualClock, *, ahead: float = 0.0) -> None:
        self.machine = machine
        self.ahead = ahead
        self.before, self.after = 0.0, 0.0

    @property
    def time(self) -> datetime:
        return NOON + timedelta(seconds=self.machine.monotonic() + self.ahead)

    def tell(self) -> datetime:
        self.machine.advance_to_next(self.machine.monotonic() + self.before)
        answer = self.time
        self.machine.advance_to_next(self.machine.monotonic() + self.after)
        return answer


def make_clock(**options: Any) -> tuple[DatabaseClock, Server]:
    machine = ManualClock()
    clock: Any = machine
    return DatabaseClock(clock), Server(machine, **options)


def behind(clock: DatabaseClock, server: Server) -> float:
    return round((server.time - clock.now()).total_seconds(), 3)


def test_before_it_is_asked_and_where_there_is_no_server_the_machine_tells_the_time() -> None:
    clock, server = make_clock(ahead=30.0)
    assert clock.now() == NOON

    clock.adjust(lambda: None)
    assert clock.now() == server.machine.now()


@pytest.mark.parametrize("ahead", [-30.0, 30.0, 86_400.0])
def test_the_servers_time_counts_whatever_the_machine_has_and_is_set_to(ahead: float) -> None:
    clock, server = make_clock(ahead=ahead)
    clock.adjust(server.tell)

    server.machine.step_wall(3_600)
    server.machine.advance_to_next(100)

    assert behind(clock, server) == 0.0


def test_the_first_answer_may_be_old_and_the_clock_is_never_ahead_of_it() -> None:
    clock, server = make_clock()
    server.before, server.after = 0.5, 2.0
    clock.adjust(server.tell)
    assert behind(clock, server) == 2.0

    server.before, server.after = 0.001, 0.001
    clock.adjust(server.tell)
    assert behind(clock, server) == 0.001


@pytest.mark.parametrize(("drift", "expected"), [(-0.06, 0.06), (-0.09, 0.09), (0.0, 0.1), (-0.11, 0.1), (0.02, 0.1)])
def test_an_answer_sets_a_clock_that_is_not_between_it_and_the_middle_of_the_asking(
    drift: float, expected: float
) -> None:
    """`drift` is what the clock is ahead of the server, which answers at once; the answer is on its way for 0.1 s."""
    clock, server = make_clock()
    clock.adjust(server.tell)
    server.ahead = -drift
    server.after = 0.1

    clock.adjust(server.tell)

    assert behind(clock, server) == expected


@pytest.mark.parametrize(("drift", "expected"), [(0.0, 0.0), (-3.0, 3.0), (-5.0, 4.0), (1.0, 4.0)])
def test_an_answer_that_took_long_moves_only_a_clock_that_can_not_be_right(drift: float, expected: float) -> None:
    """`drift` is what the clock is ahead of the server, which answers at once; the answer is on its way for 4 s."""
    clock, server = make_clock()
    clock.adjust(server.tell)
    server.ahead = -drift
    server.after = 4.0

    clock.adjust(server.tell)

    assert behind(clock, server) == expected
