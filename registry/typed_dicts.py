"""TypedDicts as pydantic reads them: before Python 3.12 it takes only those of typing_extensions."""

import sys
from functools import reduce
from operator import or_
from types import UnionType
from typing import Annotated, Any, NotRequired, Required, Union, get_args, get_origin, get_type_hints

MARKERS = {"Required", "NotRequired", "ReadOnly"}


def is_typed_dict(annotation: Any) -> bool:
    """Whether it is a TypedDict, from whichever module."""
    return isinstance(annotation, type) and issubclass(annotation, dict) and hasattr(annotation, "__required_keys__")


def readable(annotation: Any) -> Any:
    """The annotation with each TypedDict of `typing` in it written anew, where pydantic would refuse that."""
    if sys.version_info >= (3, 12):
        return annotation
    if is_typed_dict(annotation) and type(annotation).__module__ == "typing":
        return _rewritten(annotation)
    origin, parts = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return Annotated[(readable(parts[0]), *parts[1:])]
    if not any(_holds_typed_dict(part) for part in parts):
        return annotation
    if origin in (Union, UnionType):
        return reduce(or_, map(readable, parts))
    # list[...] comes as the class itself, List[...] and NotRequired[...] only as a copy of the alias.
    parts = tuple(map(readable, parts))
    return annotation.copy_with(parts) if hasattr(annotation, "copy_with") else origin[parts]


def _holds_typed_dict(annotation: Any) -> bool:
    return is_typed_dict(annotation) or any(_holds_typed_dict(part) for part in get_args(annotation))


def _rewritten(old: Any) -> Any:
    import typing_extensions  # noqa: PLC0415 - only for who has such a type

    fields: dict[str, Any] = {}
    for name, hint in get_type_hints(old, include_extras=True).items():
        is_marked = getattr(get_origin(hint), "_name", None) in MARKERS
        marker = Required if name in old.__required_keys__ else NotRequired
        fields[name] = readable(hint) if is_marked else marker[readable(hint)]
    make: Any = typing_extensions.TypedDict
    new = make(old.__name__, fields)
    new.__doc__ = old.__doc__
    new.__module__ = old.__module__
    if hasattr(old, "__pydantic_config__"):
        new.__pydantic_config__ = old.__pydantic_config__
    return new
