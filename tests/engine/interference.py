"""The real store, with something done between a verb's transaction and its caller, in the thread that called.

So each interleaving is exact, and no test waits for a race to happen.
"""

from collections.abc import Callable
from typing import Any

from engine.errors import StoreUnavailable
from store import SqlStore

Hook = Callable[..., None]


class Interference:
    """The real store, with something done just before or just after one of its verbs."""

    def __init__(self, store: SqlStore) -> None:
        self.real = store
        self.views = store.views
        self.before: dict[str, Hook] = {}
        self.after: dict[str, Hook] = {}

    def __getattr__(self, name: str) -> Any:
        verb = getattr(self.real, name)

        def call(*args: Any, **options: Any) -> Any:
            self.before.get(name, nothing)(*args, **options)
            result = verb(*args, **options)
            self.after.get(name, nothing)(*args, **options)
            return result

        return call

    def end(self) -> None:
        self.before.clear()
        self.after.clear()


def nothing(*_: object, **__: object) -> None:
    """What a hook does that is not set."""


def first(count: int, action: Callable[[], object]) -> Hook:
    """Act in the first `count` calls."""
    left = [count]

    def hook(*_: object, **__: object) -> None:
        if left[0] > 0:
            left[0] -= 1
            action()

    return hook


def once(action: Callable[[], object]) -> Hook:
    return first(1, action)


def fails(error: Exception) -> Callable[[], None]:
    def fail() -> None:
        raise error

    return fail


def away() -> None:
    raise StoreUnavailable("the database does not answer")
