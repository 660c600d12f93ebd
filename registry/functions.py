"""The registry: functions by name, filled by `@register_job` while modules are imported."""

import sys
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Literal, TypeVar

from registry.errors import DuplicateFunction, UnsuitableFunction
from registry.function import JobFunction, describe_function

MAX_FUNCTION_NAME_LENGTH = 200
"""Characters of a function's name, as many as the column that stores it in a job holds."""

F = TypeVar("F", bound=Callable[..., Any])


class FunctionRegistry(Mapping[str, JobFunction]):
    """Functions by name. Filled by the importing thread at start, only read afterwards."""

    def __init__(self) -> None:
        self._functions: dict[str, JobFunction] = {}

    def __getitem__(self, name: str) -> JobFunction:
        return self._functions[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._functions)

    def __len__(self) -> int:
        return len(self._functions)

    def register(
        self,
        name: str,
        function: Callable[..., Any],
        *,
        replaceable: bool = False,
        registered_at: str | None = None,
        isolation: str = "thread",
        final_errors: tuple[type[BaseException], ...] = (),
    ) -> JobFunction:
        """Make `function` known as `name`.

        A replaceable function gives way to any other of its name, whichever is imported first. The same definition may
        come again (a module that is reloaded). `registered_at` is the place that says so, for what is no definition.
        Raises DuplicateFunction and UnsuitableFunction.
        """
        described = describe_function(
            name,
            function,
            replaceable=replaceable,
            registered_at=registered_at,
            isolation=isolation,
            final_errors=final_errors,
        )
        known = self._functions.get(name)
        if known is None or known.replaceable or _is_same(known, described):
            self._functions[name] = described
        elif not described.replaceable:
            raise DuplicateFunction(
                f'job function "{name}" is registered twice: at {known.defined_at} and at {described.defined_at}; '
                "give one of them another name"
            )
        return self._functions[name]


JOB_REGISTRY = FunctionRegistry()
"""The functions of this process. Jobs name them; nothing else of a caller's is ever called."""


def register_job(
    name: str,
    *,
    replaceable: bool = False,
    isolation: Literal["thread", "process"] = "thread",
    final_errors: type[BaseException] | tuple[type[BaseException], ...] = (),
) -> Callable[[F], F]:
    """Make the decorated function available to jobs as `name`.

    The function is called as `f(job_id=..., job_metadata=..., run=...)`, each of the last two only if it takes it. What
    it returns is kept as the run's result if it can be written as JSON.

    A plain function is called in a thread of the pool, an `async def` on one loop with all others; with
    `isolation="process"` either is called in a worker process, which can be killed. Exceptions of `final_errors` are
    not worth another attempt: the job's `max_retries` do not apply to them. `replaceable` marks an example that yields
    to another function of the same name. Raises DuplicateFunction and UnsuitableFunction.
    """
    given: object = name  # a decorator without brackets is given the function
    if not isinstance(given, str) or not 0 < len(name) <= MAX_FUNCTION_NAME_LENGTH or not name.isprintable():
        raise UnsuitableFunction(
            f'@register_job wants a name in brackets, as in @register_job("nightly_report"): '
            f"1 to {MAX_FUNCTION_NAME_LENGTH} printable characters, not {name!r:.200}"
        )

    def remember(function: F) -> F:
        caller = sys._getframe(1)
        registered_at = f"{caller.f_code.co_filename}:{caller.f_lineno}"
        JOB_REGISTRY.register(
            name,
            function,
            replaceable=replaceable,
            registered_at=registered_at,
            isolation=isolation,
            final_errors=final_errors if isinstance(final_errors, tuple) else (final_errors,),
        )
        return function

    return remember


def _is_same(known: JobFunction, described: JobFunction) -> bool:
    is_reloaded = known.is_definition and described.is_definition and known.defined_at == described.defined_at
    return is_reloaded or known.call is described.call
