"""The type that a function gives its `job_metadata`: read once, when it is registered, and checked by pydantic.

The only module of the registry that knows pydantic, and it imports it only for a function that has such a type.
"""

import inspect
import json
from collections.abc import Callable
from dataclasses import dataclass, is_dataclass
from functools import cached_property, reduce
from operator import or_
from types import NoneType, UnionType
from typing import TYPE_CHECKING, Annotated, Any, Union, get_args, get_origin, get_type_hints

from registry.errors import UnsuitableFunction
from registry.typed_dicts import is_typed_dict, readable

if TYPE_CHECKING:
    from pydantic import TypeAdapter, ValidationError

MAX_METADATA_FAULTS = 20
"""Faults of one job's metadata that are told; its author has enough to mend with these."""

CHECKED_EXTRAS = {"pydantic", "pydantic_core", "annotated_types"}
"""Packages whose annotations (`Annotated[dict[str, int], Field()]`) say that pydantic is to check also a plain type."""


@dataclass(frozen=True, slots=True)
class MetadataFault:
    """One thing in a job's metadata that does not fit. `loc` leads to it: keys of objects, indices of arrays."""

    loc: tuple[str | int, ...]
    message: str
    type: str
    input: Any


class UnfitMetadata(Exception):
    """Metadata does not fit its type. `faults` has the first of the `count` faults."""

    def __init__(self, faults: tuple[MetadataFault, ...], *, count: int) -> None:
        super().__init__(f"{count} faults")
        self.faults = faults
        self.count = count


@dataclass(frozen=True, eq=False)
class MetadataType:
    """What a function takes as its `job_metadata`: a pydantic model, a TypedDict, a dataclass, or made up of these.

    `when_empty` is what a function gets for `{}` if that does not fit: the default of its parameter, None if its
    annotation admits that; `inspect.Parameter.empty` if neither is there.
    """

    adapter: "TypeAdapter[Any]"
    when_empty: Any = inspect.Parameter.empty

    def read(self, metadata: dict[str, Any]) -> Any:
        """What the function gets: an instance of the model or dataclass, with its defaults; of a TypedDict a dict.

        It is read as JSON, which it came as: a strict model takes a date from a string too. Raises UnfitMetadata, and
        whatever a validator of the user's raises that pydantic does not take for a refusal.
        """
        from pydantic import ValidationError  # noqa: PLC0415 - see the module

        try:
            return self.adapter.validate_json(json.dumps(metadata))
        except ValidationError as error:
            if not metadata and self.when_empty is not inspect.Parameter.empty:
                return self.when_empty
            raise UnfitMetadata(_faults(error), count=error.error_count()) from None

    @cached_property
    def schema(self) -> dict[str, Any]:
        """Its JSON Schema; where none can be written of it, one that takes anything and says why."""
        try:
            schema = self.adapter.json_schema(mode="validation")
            # A user's own additions may be any object.
            json.dumps(schema, allow_nan=False)
        except Exception as error:  # noqa: BLE001 - one model must not hide all functions
            return {"description": f"No JSON Schema can be written of it ({type(error).__name__})"}
        return schema


def metadata_type_of(
    name: str, written: Callable[..., Any], signature: inspect.Signature, place: str
) -> MetadataType | None:
    """The type of `job_metadata`; None if it has none that is to be checked. Raises UnsuitableFunction.

    Checked is an annotation that names a model, a TypedDict or a dataclass, also in `Model | None` or
    `dict[str, Model]`. Any other is for readers and type checkers only, `dict[str, int]` too: it was never held to.
    A text that names what is not there yet, when the function is registered, is no type.
    """
    parameter = signature.parameters.get("job_metadata")
    if parameter is None or parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
        return None
    try:
        wanted, admits_none = _without_none(_resolved(parameter.annotation, written))
        if not _is_checked(wanted):
            return None
    # Annotations are user code: whatever cannot be read is none.
    except Exception:  # noqa: BLE001 - see above
        return None
    if parameter.default is not parameter.empty:
        return MetadataType(_adapter(name, wanted, place), when_empty=parameter.default)
    return MetadataType(_adapter(name, wanted, place), when_empty=None if admits_none else parameter.empty)


def _resolved(annotation: Any, written: Any) -> Any:
    """The annotation, texts in it replaced by what they name where the function was written.

    Only this one: another parameter's may name what is imported for type checkers only.
    """
    call = written if hasattr(written, "__globals__") else type(written).__call__

    def bearer() -> None: ...

    bearer.__annotations__ = {"job_metadata": annotation}
    return get_type_hints(bearer, globalns=getattr(call, "__globals__", {}), include_extras=True)["job_metadata"]


def _without_none(annotation: Any) -> tuple[Any, bool]:
    """The annotation without None, and whether it had it: a job's metadata is an object, never null."""
    annotation = _unwrapped(annotation)
    origin, parts = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        inner, admits_none = _without_none(parts[0])
        return Annotated[(inner, *parts[1:])], admits_none
    if origin in (Union, UnionType):
        kept = tuple(part for part in parts if part is not NoneType)
        return reduce(or_, kept), len(kept) < len(parts)
    return annotation, False


def _unwrapped(annotation: Any) -> Any:
    """What a `type` alias or a NewType stands for."""
    while True:
        named = getattr(annotation, "__value__", None) or getattr(annotation, "__supertype__", None)
        if named is None or isinstance(annotation, type):
            return annotation
        annotation = named


def _is_checked(annotation: Any) -> bool:
    annotation = _unwrapped(annotation)
    if isinstance(annotation, type) and get_origin(annotation) is None:
        return is_typed_dict(annotation) or is_dataclass(annotation) or hasattr(annotation, "__pydantic_validator__")
    origin, parts = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        extras = {type(extra).__module__.partition(".")[0] for extra in parts[1:]}
        return _is_checked(parts[0]) or not CHECKED_EXTRAS.isdisjoint(extras)
    return origin is not None and any(_is_checked(part) for part in (origin, *parts))


def _adapter(name: str, wanted: Any, place: str) -> "TypeAdapter[Any]":
    from pydantic import TypeAdapter  # noqa: PLC0415 - see the module

    try:
        adapter: TypeAdapter[Any] = TypeAdapter(readable(wanted))
        # It may have been put off: by the model, or because it names what is not there.
        adapter.rebuild(raise_errors=True)
    # pydantic calls hooks of the model's, which may raise anything.
    except Exception as error:
        shown = inspect.formatannotation(wanted)
        raise UnsuitableFunction(
            f'job function "{name}" ({place}) takes job_metadata as {shown}, which pydantic cannot check: '
            f"{type(error).__name__}: {error}"
        ) from error
    return adapter


def _faults(error: "ValidationError") -> tuple[MetadataFault, ...]:
    found = error.errors(include_url=False, include_context=False)[:MAX_METADATA_FAULTS]
    return tuple(MetadataFault(each["loc"], each["msg"], each["type"], each["input"]) for each in found)
