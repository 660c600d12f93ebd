"""Requests that are served together: those that arrive while others of their kind are served make up the next batch."""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from threading import Lock
from typing import Generic, TypeVar

Asked = TypeVar("Asked")
Answered = TypeVar("Answered")

AT_MOST = 32
"""Requests in a batch: the others, and the timer, wait for the end of its transaction."""


@dataclass(frozen=True, slots=True)
class _Request(Generic[Asked, Answered]):
    asked: Asked
    answer: "asyncio.Future[Answered]"
    loop: asyncio.AbstractEventLoop

    def end(self, answer: "Answered | Exception") -> None:
        """Tell whoever waits, unless that has given up. In the thread of its loop."""
        if self.answer.done():
            return
        if isinstance(answer, Exception):
            self.answer.set_exception(answer)
        else:
            self.answer.set_result(answer)


class Gathering(Generic[Asked, Answered]):
    """One thread serves a batch after the other: it saves each request a thread of its own, and a transaction.

    `serve` gives for each of what it is asked an answer, or the error that is raised to whoever asked.
    """

    def __init__(self, serve: Callable[[Sequence[Asked]], Sequence[Answered | Exception]]) -> None:
        self._serve = serve
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="scheduler-gathering")
        self._guard = Lock()
        self._waiting: deque[_Request[Asked, Answered]] = deque()
        self._is_serving = False

    async def ask(self, asked: Asked) -> Answered:
        """Be served with the next batch. From any event loop."""
        loop = asyncio.get_running_loop()
        request: _Request[Asked, Answered] = _Request(asked, loop.create_future(), loop)
        with self._guard:
            self._waiting.append(request)
            begins, self._is_serving = not self._is_serving, True
        if begins:
            self._thread.submit(self._serve_all)
        return await request.answer

    def _serve_all(self) -> None:
        while batch := self._next_batch():
            answers = self._answers([request.asked for request in batch])
            for loop in {request.loop for request in batch}:
                ended = [(each, answer) for each, answer in zip(batch, answers, strict=True) if each.loop is loop]
                _tell(loop, ended)

    def _next_batch(self) -> list[_Request[Asked, Answered]]:
        with self._guard:
            batch = [self._waiting.popleft() for _ in range(min(len(self._waiting), AT_MOST))]
            self._is_serving = bool(batch)
        return batch

    def _answers(self, asked: Sequence[Asked]) -> Sequence[Answered | Exception]:
        try:
            return self._serve(asked)
        except Exception as error:  # noqa: BLE001 - raised to each of those who asked; the next batch is another one
            return [error for _ in asked]


def _tell(loop: asyncio.AbstractEventLoop, ended: list[tuple[_Request[Asked, Answered], Answered | Exception]]) -> None:
    def end_all() -> None:
        for request, answer in ended:
            request.end(answer)

    # Closed, where the server gave up its requests before they were served.
    with suppress(RuntimeError):
        loop.call_soon_threadsafe(end_all)
