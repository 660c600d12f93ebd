"""What waits for a place in its lane: the order in which it gets one, and that nothing waits for ever."""

from dataclasses import replace
from datetime import timedelta
from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from engine.limits import MAX_PRIORITY, PRIORITY_SECONDS
from engine.nouns import DueHint
from engine.ready import Ready
from registry import Lane
from tests.fakes import NOON

WAITING = st.lists(
    st.tuples(st.integers(0, 10_000), st.integers(-MAX_PRIORITY, MAX_PRIORITY), st.sampled_from(list(Lane))),
    max_size=40,
)


def hints_of(waiting: list[tuple[int, int, Lane]]) -> list[DueHint]:
    return [
        DueHint(UUID(int=number), NOON + timedelta(seconds=due), 1, function_name=lane.value, priority=priority)
        for number, (due, priority, lane) in enumerate(waiting)
    ]


def lane_of(hint: DueHint) -> Lane:
    return Lane(hint.function_name or "")


@given(WAITING)
def test_each_level_of_priority_is_worth_a_minute_of_waiting_and_equals_go_as_they_came(
    waiting: list[tuple[int, int, Lane]],
) -> None:
    ready = Ready(lane_of)
    hints = hints_of(waiting)
    for hint in hints:
        ready.add(hint)

    for lane in Lane:
        mine = [hint for hint in hints if lane_of(hint) is lane]
        wanted = sorted(mine, key=lambda hint: hint.due_at - timedelta(seconds=hint.priority * PRIORITY_SECONDS))
        assert ready.take(lane, at_most=1_000) == wanted
        assert not ready.has(lane)
    assert len(ready) == 0


@given(st.integers(-MAX_PRIORITY, MAX_PRIORITY), st.integers(-MAX_PRIORITY, MAX_PRIORITY))
def test_nothing_waits_for_ever_behind_what_is_more_important(low: int, high: int) -> None:
    ready = Ready(lambda _: Lane.THREAD)
    starving = DueHint(UUID(int=0), NOON, 1, priority=low)
    ready.add(starving)
    # One more important thing comes each minute, and one place becomes free each minute.
    for minute in range(2 * MAX_PRIORITY + 2):
        ready.add(DueHint(UUID(int=minute + 1), NOON + timedelta(minutes=minute), 1, priority=high))
        if ready.take(Lane.THREAD, at_most=1) == [starving]:
            return
    raise AssertionError("it was never its turn")


def test_a_later_hint_takes_the_place_of_an_earlier_one() -> None:
    ready = Ready(lambda _: Lane.THREAD)
    for due in (0, 5):
        ready.add(DueHint(UUID(int=1), NOON + timedelta(seconds=due), due))

    assert [hint.version for hint in ready.take(Lane.THREAD, at_most=5)] == [5]


def test_a_full_lane_holds_no_other() -> None:
    ready = Ready(lane_of)
    for hint in hints_of([(0, 0, Lane.THREAD), (0, 0, Lane.LOOP)]):
        ready.add(hint)

    assert ready.take(Lane.THREAD, at_most=0) == []
    assert len(ready.take(Lane.LOOP, at_most=1)) == 1
    assert ready.has(Lane.THREAD)


def test_what_is_brought_again_and_again_while_there_is_no_room_costs_nothing() -> None:
    ready = Ready(lane_of)
    hints = hints_of([(number, 0, Lane.THREAD) for number in range(9)])
    for _ in range(100):
        for hint in hints:
            ready.add(hint)
    assert sum(map(len, ready._heaps.values())) == len(ready) == len(hints)
    assert ready.knows(hints[0])
    assert not ready.knows(replace(hints[0], version=2))
    assert ready.take(Lane.THREAD, at_most=99) == hints


def test_a_few_of_those_that_came_last_are_taken_too_where_more_wait_than_there_is_room_for() -> None:
    ready = Ready(lane_of)
    crowd = hints_of([(0, 0, Lane.THREAD)] * 100)
    late_comers = [
        replace(hint, job_id=UUID(int=1_000 + place), due_at=NOON + timedelta(seconds=5 + place))
        for place, hint in enumerate(crowd[:3])
    ]
    for hint in (*crowd, *late_comers):
        ready.add(hint)
    ready.discard(late_comers[1].key, up_to_version=1)

    assert ready.take(Lane.THREAD, at_most=8) == [late_comers[2], late_comers[0], *crowd[:6]]
    assert ready.take(Lane.THREAD, at_most=3) == crowd[6:9]
    assert sorted(ready.take(Lane.THREAD, at_most=100), key=crowd.index) == crowd[9:]
    assert not ready.has(Lane.THREAD)
