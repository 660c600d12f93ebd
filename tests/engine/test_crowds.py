"""Crowds: what becomes due behind thousands that wait for room is handed out with the first of them."""

from collections.abc import Iterator
from datetime import timedelta
from uuid import UUID

from engine.agenda import Agenda, Taken
from engine.homes import Homes
from engine.limits import MAX_CLAIM_BATCH, NEWEST_SHARE
from engine.nouns import DueHint
from engine.ready import Ready
from engine.rhythm import Rhythm
from registry import Lane
from tests.fakes import NOON, QUIET, ManualClock

CROWD = 3 * MAX_CLAIM_BATCH
PERMITS = 2 * NEWEST_SHARE
LATE_COMER = UUID(int=CROWD + 1)


def behind_a_crowd(clock: ManualClock) -> Agenda:
    homes = Homes(me=UUID(int=CROWD + 2), functions={})
    permits = dict.fromkeys(Lane, PERMITS)
    agenda = Agenda(clock=clock, permits=permits, functions={}, homes=homes, rhythm=Rhythm(**QUIET))
    for number in range(CROWD):
        agenda.push(DueHint(UUID(int=number), NOON, 1))
    agenda.push(DueHint(LATE_COMER, NOON + timedelta(seconds=2), 1))
    return agenda


def turns(agenda: Agenda, count: int) -> Iterator[list[Taken]]:
    """What is handed out, turn after turn; each time all permits come back before the next one."""
    for _ in range(count):
        taken = agenda.take_due()
        yield taken
        agenda.give_back(Lane.THREAD, len(taken))


def test_a_job_that_becomes_due_behind_a_crowd_is_handed_out_at_once() -> None:
    clock = ManualClock()
    agenda = behind_a_crowd(clock)
    first, second = turns(agenda, 2)
    assert LATE_COMER not in {taken.hint.job_id for taken in (*first, *second)}
    clock.advance_to_next(3)
    (third,) = turns(agenda, 1)
    assert LATE_COMER in {taken.hint.job_id for taken in third}


def test_a_crowd_makes_slots_late_and_no_misfires() -> None:
    clock = ManualClock()
    agenda = behind_a_crowd(clock)
    list(turns(agenda, 1))
    clock.advance_to_next(60)
    (taken,) = turns(agenda, 1)
    assert {each.excused_seconds for each in taken} == {60.0}


def test_each_of_a_crowd_is_handed_out_once() -> None:
    clock = ManualClock()
    agenda = behind_a_crowd(clock)
    clock.advance_to_next(3)
    handed_out = [taken.hint.job_id for turn in turns(agenda, CROWD // PERMITS + 1) for taken in turn]
    assert len(handed_out) == len(set(handed_out)) == CROWD + 1


def test_a_lane_that_is_never_empty_keeps_nothing_of_what_has_gone() -> None:
    ready = Ready(lambda _: Lane.THREAD)
    for number in range(10_000):
        ready.add(DueHint(UUID(int=number), NOON + timedelta(seconds=number), 1))
        if number >= 100:
            ready.take(Lane.THREAD, at_most=1)
    assert len(ready) == 100
    assert len(ready._newest[Lane.THREAD]) < 300
