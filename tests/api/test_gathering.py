"""Requests that are served together: each gets its own answer, and none waits for more than the batch before it."""

import asyncio
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import pytest

from api.gathering import AT_MOST, Gathering


class Halving:
    """Halves even numbers, refuses odd ones, fails for what is no number; a batch may be held back."""

    def __init__(self) -> None:
        self.batches: list[list[int]] = []
        self.may_go_on = threading.Event()
        self.may_go_on.set()
        self.has_begun = threading.Event()

    def __call__(self, asked: Sequence[int]) -> list[int | Exception]:
        self.batches.append(list(asked))
        self.has_begun.set()
        assert self.may_go_on.wait(10)
        if 0 in asked:
            raise ZeroDivisionError
        return [number // 2 if number % 2 == 0 else LookupError(number) for number in asked]


async def held_back(halving: Halving, gathering: Gathering[int, int]) -> "asyncio.Future[int]":
    """A request that keeps the thread until it may go on."""
    halving.may_go_on.clear()
    first = asyncio.ensure_future(gathering.ask(2))
    await asyncio.get_running_loop().run_in_executor(None, halving.has_begun.wait, 10)
    return first


async def others_had_their_turn() -> None:
    """All that is ready on this loop has run once, and so stands in the line."""
    await asyncio.get_running_loop().run_in_executor(None, _do_nothing)


def _do_nothing() -> None:
    """Do nothing."""


def test_what_arrives_meanwhile_is_served_together_and_each_gets_its_own() -> None:
    async def ask() -> list[int | BaseException]:
        first = await held_back(halving, gathering)
        rest = asyncio.gather(*[gathering.ask(number) for number in (4, 5, 6)], return_exceptions=True)
        await others_had_their_turn()
        halving.may_go_on.set()
        return [await first, *await rest]

    halving = Halving()
    gathering: Gathering[int, int] = Gathering(halving)

    one, two, refused, three = asyncio.run(ask())

    assert (one, two, three) == (1, 2, 3)
    assert isinstance(refused, LookupError)
    assert halving.batches == [[2], [4, 5, 6]]


def test_a_batch_that_fails_fails_for_its_own_and_for_nobody_after_it() -> None:
    halving = Halving()
    gathering: Gathering[int, int] = Gathering(halving)

    with pytest.raises(ZeroDivisionError):
        asyncio.run(gathering.ask(0))

    assert asyncio.run(gathering.ask(4)) == 2


def test_a_batch_has_a_limit() -> None:
    async def ask() -> None:
        first = await held_back(halving, gathering)
        rest = asyncio.gather(*[gathering.ask(4) for _ in range(AT_MOST + 1)])
        await others_had_their_turn()
        halving.may_go_on.set()
        await first
        await rest

    halving = Halving()
    gathering: Gathering[int, int] = Gathering(halving)
    asyncio.run(ask())

    assert [len(batch) for batch in halving.batches] == [1, AT_MOST, 1]


def test_who_gave_up_does_not_keep_the_others_from_their_answers() -> None:
    async def ask() -> int:
        first = await held_back(halving, gathering)
        impatient, patient = (asyncio.ensure_future(gathering.ask(number)) for number in (4, 6))
        await others_had_their_turn()
        impatient.cancel()
        halving.may_go_on.set()
        await first
        return await patient

    halving = Halving()
    gathering: Gathering[int, int] = Gathering(halving)

    assert asyncio.run(ask()) == 3


def test_a_loop_that_is_closed_does_not_keep_others_from_their_answers() -> None:
    async def give_up() -> None:
        (await held_back(halving, gathering)).cancel()

    halving = Halving()
    gathering: Gathering[int, int] = Gathering(halving)
    asyncio.run(give_up())
    halving.may_go_on.set()

    assert asyncio.run(gathering.ask(4)) == 2


def test_requests_of_several_loops_are_served() -> None:
    gathering: Gathering[int, int] = Gathering(Halving())

    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda number: asyncio.run(gathering.ask(number)), range(2, 202, 2)))

    assert answers == list(range(1, 101))
