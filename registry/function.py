"""A registered function: what it is called, what it accepts, where it is written."""

import functools
import inspect
import sys
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from registry.errors import UnsuitableFunction
from registry.metadata_type import MetadataType, metadata_type_of


class Lane(StrEnum):
    """Where a function is called: in a thread of the pool, in a worker process, or on the loop of coroutines."""

    THREAD = "thread"
    PROCESS = "process"
    LOOP = "loop"


OFFERED_ARGUMENTS = ("job_id", "job_metadata", "run")
"""The keyword arguments a function may take; `job_id` it must take."""

ISOLATIONS = (Lane.THREAD.value, Lane.PROCESS.value)
"""What `isolation` may be; a coroutine function has a lane of its own, or a process."""

WANTED = "a function is called as f(job_id=...), and gets job_metadata=... and run=... if it takes them"


@dataclass(frozen=True, slots=True)
class Parameter:
    """One parameter of a registered function, as `GET /functions` shows it."""

    name: str
    annotation: str | None
    required: bool


@dataclass(frozen=True, slots=True)
class JobFunction:
    """A callable known by `name`. Its signature is read once, when it is registered.

    `is_definition` says that `defined_at` is where it is defined, not only where it was registered. An exception of
    one of `final_errors` is not worth another attempt. `metadata_type` is what its `job_metadata` must fit, if it says.
    """

    name: str
    call: Callable[..., Any]
    accepts: frozenset[str]
    summary: str | None
    parameters: tuple[Parameter, ...]
    defined_at: str
    is_definition: bool
    replaceable: bool
    lane: Lane = Lane.THREAD
    final_errors: tuple[type[BaseException], ...] = ()
    metadata_type: MetadataType | None = None

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Call the function itself, with whatever it is given."""
        return self.call(*args, **kwargs)

    def select_arguments(self, **offered: Any) -> dict[str, Any]:
        """The part of `offered` that the function takes."""
        return {name: value for name, value in offered.items() if name in self.accepts}


def describe_function(
    name: str,
    function: Callable[..., Any],
    *,
    replaceable: bool,
    registered_at: str | None = None,
    isolation: str = "thread",
    final_errors: tuple[type[BaseException], ...] = (),
) -> JobFunction:
    """Read the signature of `function`; raises UnsuitableFunction if it cannot be called by the service.

    `registered_at` tells apart what has no place of its own in a source file, such as two partials of one function.
    """
    written = _as_written(function)
    place = _place_of(written)
    signature = _signature_of(name, function, place)
    _refuse_generator(name, function, place)
    _refuse_uncallable(name, signature, place)
    _refuse_narrow_wrapper(name, function, signature, place)
    is_definition = _is_definition(function, written)
    return JobFunction(
        name=name,
        call=function,
        accepts=_accepted(signature),
        summary=_first_line(inspect.getdoc(written)),
        parameters=tuple(_parameter(parameter) for parameter in signature.parameters.values()),
        defined_at=place if is_definition or registered_at is None else registered_at,
        is_definition=is_definition,
        replaceable=replaceable,
        lane=_lane_of(name, function, isolation, place),
        final_errors=_errors(name, final_errors, place),
        metadata_type=metadata_type_of(name, written, signature, place),
    )


def _as_written(function: Any) -> Any:
    """What a person wrote with `def`, below partials and decorators that name what they wrap."""
    plain = inspect.unwrap(function)
    while isinstance(plain, functools.partial):
        plain = inspect.unwrap(plain.func)
    return plain


def _place_of(written: Any) -> str:
    code = getattr(written, "__code__", None) or getattr(_call_of(written), "__code__", None)
    if code is None:
        name = getattr(written, "__qualname__", type(written).__qualname__)
        return f"{getattr(written, '__module__', None) or '?'}.{name}"
    return f"{code.co_filename}:{code.co_firstlineno}"


def _call_of(an_object: Any) -> Any:
    """What runs when an object that is no function is called; None if it can't be."""
    return type(an_object).__call__ if callable(an_object) else None


def _is_definition(function: Any, written: Any) -> bool:
    """Whether it is made once each time its module is read; closures, partials, methods and objects may be many."""
    is_partial = isinstance(inspect.unwrap(function), functools.partial)
    return inspect.isfunction(written) and "<locals>" not in written.__qualname__ and not is_partial


def _signature_of(name: str, function: Any, place: str) -> inspect.Signature:
    if not callable(function):
        raise UnsuitableFunction(f'job function "{name}" ({place}) is a {type(function).__name__} object: {WANTED}')
    try:
        return inspect.signature(function)
    except (TypeError, ValueError) as error:
        raise UnsuitableFunction(f'job function "{name}" ({place}) has no readable signature: {WANTED}') from error


def _what_runs(function: Any) -> Any:
    # Not what a decorator wraps: one that runs a coroutine to its end, with asyncio.run, is a plain function.
    return function if inspect.isroutine(function) or isinstance(function, functools.partial) else _call_of(function)


def _refuse_generator(name: str, function: Any, place: str) -> None:
    call = _what_runs(function)
    kinds = {
        "an asynchronous generator": inspect.isasyncgenfunction(call),
        "a generator": inspect.isgeneratorfunction(call),
    }
    for kind, applies in kinds.items():
        if applies:
            raise UnsuitableFunction(
                f'job function "{name}" ({place}) is {kind}: calling it would run nothing; use a plain def or async def'
            )


def _lane_of(name: str, function: Any, isolation: str, place: str) -> Lane:
    if isolation not in ISOLATIONS:
        raise UnsuitableFunction(
            f'job function "{name}" ({place}) has isolation={isolation!r}: '
            f"{' or '.join(map(repr, ISOLATIONS))} is wanted"
        )
    if isolation == Lane.PROCESS:
        _refuse_unfindable(name, function, place)
        return Lane.PROCESS
    return Lane.LOOP if inspect.iscoroutinefunction(_what_runs(function)) else Lane.THREAD


def _refuse_unfindable(name: str, function: Any, place: str) -> None:
    """A worker process imports the function's module and finds it there by its name; a closure is not found."""
    module = sys.modules.get(getattr(function, "__module__", None) or "")
    # The name itself is bound only once the decorator has returned.
    is_at_top_level = (
        inspect.isfunction(function)
        and function.__qualname__.isidentifier()
        and module is not None
        and function.__globals__ is vars(module)
    )
    if not is_at_top_level:
        raise UnsuitableFunction(
            f'job function "{name}" ({place}) has isolation="process", for which a worker process must find it by '
            "name: a function that is written with def at the top level of a module is wanted"
        )


def _errors(name: str, given: Any, place: str) -> tuple[type[BaseException], ...]:
    errors = given if isinstance(given, tuple) else (given,)
    for error in errors:
        if not (isinstance(error, type) and issubclass(error, BaseException)):
            raise UnsuitableFunction(
                f'job function "{name}" ({place}) has {error!r} among its final_errors: '
                "classes of exceptions are wanted"
            )
    return errors


def _refuse_uncallable(name: str, signature: inspect.Signature, place: str) -> None:
    for parameter in signature.parameters.values():
        if parameter.name not in OFFERED_ARGUMENTS and _is_required(parameter):
            raise UnsuitableFunction(f'job function "{name}" ({place}) requires "{parameter.name}": {WANTED}')
        if parameter.name in OFFERED_ARGUMENTS and parameter.kind is parameter.POSITIONAL_ONLY:
            raise UnsuitableFunction(
                f'job function "{name}" ({place}) takes "{parameter.name}" by position only: {WANTED}'
            )
    if "job_id" not in _accepted(signature):
        raise UnsuitableFunction(f'job function "{name}" ({place}) does not take "job_id": {WANTED}')


def _refuse_narrow_wrapper(name: str, function: Any, signature: inspect.Signature, place: str) -> None:
    """Refuse a decorator that shows the signature of what it wraps, but does not take the same arguments itself."""
    try:
        outer = inspect.signature(function, follow_wrapped=False)
    except ValueError:
        # Written in C, as functools.lru_cache is: what it wraps is all there is to go by.
        return
    try:
        outer.bind(**dict.fromkeys(_accepted(signature)))
    except TypeError as error:
        raise UnsuitableFunction(
            f'job function "{name}" ({place}) is wrapped by a decorator that takes other arguments ({error}): {WANTED}'
        ) from error


def _is_required(parameter: inspect.Parameter) -> bool:
    is_variadic = parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD)
    return parameter.default is parameter.empty and not is_variadic


def _accepted(signature: inspect.Signature) -> frozenset[str]:
    if any(parameter.kind is parameter.VAR_KEYWORD for parameter in signature.parameters.values()):
        return frozenset(OFFERED_ARGUMENTS)
    return frozenset(
        parameter.name
        for parameter in signature.parameters.values()
        if parameter.name in OFFERED_ARGUMENTS and parameter.kind is not parameter.VAR_POSITIONAL
    )


def _parameter(parameter: inspect.Parameter) -> Parameter:
    return Parameter(
        name=parameter.name, annotation=_annotation(parameter.annotation), required=_is_required(parameter)
    )


def _annotation(annotation: Any) -> str | None:
    if annotation is inspect.Parameter.empty:
        return None
    # Text stays as it is written: resolving it could fail, and inspect would put it in quotes.
    return annotation if isinstance(annotation, str) else inspect.formatannotation(annotation)


def _first_line(text: str | None) -> str | None:
    return text.strip().splitlines()[0] if text and text.strip() else None
