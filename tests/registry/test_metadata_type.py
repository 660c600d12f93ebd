"""A function's annotation of `job_metadata` is its type, if it names a model, a TypedDict or a dataclass."""

import re
import subprocess
import sys
import typing
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from enum import StrEnum
from functools import partial, wraps
from pathlib import Path
from typing import Annotated, Any, Literal, NewType, Optional, Union
from uuid import UUID

import pytest
import typing_extensions
from hypothesis import given
from hypothesis import strategies as st
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, field_validator

from registry import FunctionRegistry, JobFunction, MetadataType, UnfitMetadata, UnsuitableFunction
from registry.metadata_type import MAX_METADATA_FAULTS
from tests.registry.conftest import Sources


class Report(BaseModel):
    """A model with a default."""

    title: str
    copies: int = 1


class Settings(BaseModel):
    """A model that {} fits."""

    verbose: bool = False


class Color(StrEnum):
    RED = "red"


class Exact(BaseModel):
    """A strict model of what JSON has only as text."""

    model_config = ConfigDict(strict=True)
    day: date
    id: UUID
    price: Decimal
    color: Color


class Range(typing.TypedDict, total=False):
    """Of typing, which pydantic itself refuses before Python 3.12."""

    low: typing.Required[int]
    high: int


class Window(typing.TypedDict):
    """One in another, within a list."""

    name: str
    ranges: list[Range]


class Span(typing_extensions.TypedDict):
    """Of typing_extensions."""

    low: int
    high: typing_extensions.NotRequired[int]


@dataclass
class Point:
    """A plain dataclass."""

    x: int
    y: int = 0


class Cat(BaseModel):
    kind: Literal["cat"]


class Dog(BaseModel):
    kind: Literal["dog"]
    bites: bool


Named = NewType("Named", Report)


def taking(annotation: Any, **default: Any) -> Callable[..., Any]:
    """A function that takes `job_metadata` as this, and returns it."""

    def job(job_id: str, job_metadata=None) -> Any:  # type: ignore[no-untyped-def]
        return job_metadata

    job.__annotations__["job_metadata"] = annotation
    job.__defaults__ = (default["default"],) if default else None
    return job


def described(function: Callable[..., Any]) -> JobFunction:
    return FunctionRegistry().register("report", function)


def type_of(annotation: Any, **default: Any) -> MetadataType:
    found = described(taking(annotation, **default)).metadata_type
    assert found is not None
    return found


def faults(annotation: Any, metadata: dict[str, Any], **default: Any) -> list[tuple[tuple[str | int, ...], str]]:
    with pytest.raises(UnfitMetadata) as caught:
        type_of(annotation, **default).read(metadata)
    return [(fault.loc, fault.type) for fault in caught.value.faults]


@pytest.mark.parametrize(
    "annotation",
    [
        Any,
        object,
        None,
        dict,
        dict[str, Any],
        dict[str, Any] | None,
        Optional[dict],  # noqa: UP045 - as users write it
        typing.Dict[str, Any],  # noqa: UP006 - as users write it
        Mapping,
        Mapping[str, Any],
        dict[str, int],
        dict[str, str] | None,
        Annotated[dict[str, Any], "what to print"],
        str,
        list[int],
        "dict[str, Any]",
        "NotImportedHere",
        "NotImportedHere | None",
        "not even Python",
        typing.TypeVar("T"),
        7,
    ],
    ids=str,
)
def test_an_annotation_that_names_no_model_is_not_held_to(annotation: Any) -> None:
    assert described(taking(annotation)).metadata_type is None
    assert described(taking(annotation, default=None)).metadata_type is None


@pytest.mark.parametrize(
    "function",
    [
        lambda job_id: None,
        lambda job_id, job_metadata: None,
        lambda job_id, **job_metadata: None,
        lambda job_id, *job_metadata: None,
    ],
)
def test_a_function_that_says_nothing_of_its_metadata_has_no_type(function: Callable[..., Any]) -> None:
    assert described(function).metadata_type is None


@pytest.mark.parametrize(
    "annotation",
    [
        Report,
        Report | None,
        Optional[Report],  # noqa: UP045 - as users write it
        Union[Report, None],  # noqa: UP007 - as users write it
        Annotated[Report, "a note"],
        Annotated[Report | None, "a note"],
        Annotated[Report, "a note"] | None,
        "Report",
        "Report | None",
        "Annotated[Report, 'a note']",
        Optional["Report"],
        Named,
        typing_extensions.TypeAliasType("Alias", Report | None),
    ],
    ids=str,
)
def test_a_model_is_found_however_the_annotation_wraps_it(annotation: Any) -> None:
    assert type_of(annotation).read({"title": "a", "copies": "2"}) == Report(title="a", copies=2)
    assert type_of(annotation).schema["title"] == "Report"


def test_what_is_left_out_gets_its_default() -> None:
    assert type_of(Report).read({"title": "a"}) == Report(title="a", copies=1)


@pytest.mark.parametrize("annotation", [Range, Span, Range | None, "Range"], ids=str)
def test_a_typed_dict_of_either_module_is_a_dict_that_is_checked(annotation: Any) -> None:
    assert type_of(annotation).read({"low": "1"}) == {"low": 1}
    assert type_of(annotation).read({"low": 1, "high": 2, "other": 3}) == {"low": 1, "high": 2}
    assert faults(annotation, {"high": "x"}) == [(("low",), "missing"), (("high",), "int_parsing")]
    assert type_of(annotation).schema["required"] == ["low"]


@pytest.mark.parametrize("annotation", [Window, Annotated[Window | None, "a note"], Window | Report], ids=str)
def test_a_typed_dict_within_another_is_checked_too(annotation: Any) -> None:
    metadata = {"name": "a", "ranges": [{"low": 1}]}

    assert type_of(annotation).read(metadata) == metadata
    assert ("ranges", 0, "low") in {loc[-3:] for loc, _ in faults(annotation, {"name": "a", "ranges": [{}]})}


@pytest.mark.parametrize("holder", [dict[str, Range], typing.Dict[str, Range], Mapping[str, Range]], ids=str)  # noqa: UP006
def test_a_type_that_holds_models_is_checked(holder: Any) -> None:
    assert type_of(holder).read({"a": {"low": "1"}}) == {"a": {"low": 1}}
    assert faults(holder, {"a": {}}) == [(("a", "low"), "missing")]


def test_a_dataclass_is_made() -> None:
    assert type_of(Point).read({"x": 1}) == Point(1)
    assert faults(Point, {"x": "one"}) == [(("x",), "int_parsing")]


def test_one_of_several_models_is_picked() -> None:
    either = Annotated[Cat | Dog | None, Field(discriminator="kind")]

    assert type_of(either).read({"kind": "cat"}) == Cat(kind="cat")
    assert faults(either, {"kind": "dog"}) == [(("dog", "bites"), "missing")]


def test_a_plain_type_is_checked_if_pydantic_is_named_beside_it() -> None:
    def not_too_many(given: dict[str, Any]) -> dict[str, Any]:
        assert len(given) < 2
        return given

    assert faults(Annotated[dict[str, int], Field()], {"a": "x"}) == [(("a",), "int_parsing")]
    assert faults(Annotated[dict[str, Any], AfterValidator(not_too_many)], {"a": 1, "b": 1}) == [
        ((), "assertion_error")
    ]


def test_metadata_is_read_as_json_by_a_strict_model_too() -> None:
    sent = {
        "day": "2026-02-28",
        "id": "00000000-0000-4000-8000-000000000000",
        "price": "1.10",
        "color": "red",
    }

    assert type_of(Exact).read(sent) == Exact(
        day=date(2026, 2, 28), id=UUID(sent["id"]), price=Decimal("1.10"), color=Color.RED
    )
    assert faults(Exact, sent | {"day": 1, "id": True}) == [(("day",), "date_type"), (("id",), "uuid_type")]


def test_metadata_stays_as_it_was_sent() -> None:
    sent: dict[str, Any] = {"name": "a", "ranges": [{"low": "1"}]}

    type_of(Window).read(sent)["ranges"].clear()

    assert sent == {"name": "a", "ranges": [{"low": "1"}]}


@pytest.mark.parametrize("annotation", [Settings, Settings | None], ids=str)
def test_no_metadata_is_a_model_of_defaults_if_that_fits(annotation: Any) -> None:
    assert type_of(annotation).read({}) == Settings()
    assert type_of(annotation, default=None).read({}) == Settings()


def test_no_metadata_that_does_not_fit_is_none_where_the_annotation_admits_that() -> None:
    assert type_of(Report | None).read({}) is None
    assert faults(Report | None, {"copies": 1}) == [(("title",), "missing")]


def test_no_metadata_that_does_not_fit_is_the_default_of_the_parameter() -> None:
    default = Report(title="a")

    assert type_of(Report, default=None).read({}) is None
    assert type_of(Report | None, default=default).read({}) is default
    assert faults(Report, {"copies": 1}, default=None) == [(("title",), "missing")]


def test_no_metadata_is_refused_where_something_is_wanted() -> None:
    assert faults(Report, {}) == [(("title",), "missing")]


def test_of_many_faults_the_first_are_told_and_all_are_counted() -> None:
    with pytest.raises(UnfitMetadata) as caught:
        type_of(dict[str, Report]).read({str(number): {} for number in range(100)})

    assert len(caught.value.faults) == MAX_METADATA_FAULTS == 20
    assert caught.value.count == 100


def test_a_fault_says_what_is_wanted_and_what_was_given() -> None:
    with pytest.raises(UnfitMetadata) as caught:
        type_of(Report).read({"title": 7})

    (fault,) = caught.value.faults
    assert (fault.loc, fault.type, fault.input) == (("title",), "string_type", 7)
    assert fault.message == "Input should be a valid string"


def test_what_a_validator_raises_that_is_no_refusal_comes_out_as_it_is() -> None:
    class Odd(BaseModel):
        x: int

        @field_validator("x")
        @classmethod
        def _check(cls, given: int) -> int:
            raise LookupError("no such thing")

    with pytest.raises(LookupError):
        type_of(Odd).read({"x": 1})


class Anything:
    """Nothing that pydantic knows."""


@dataclass
class OfAnything:
    thing: Anything


class Unfinished(BaseModel):
    later: "NeverWritten"  # type: ignore[name-defined]  # noqa: F821 - that is the point


class PutOff(BaseModel):
    model_config = ConfigDict(defer_build=True)
    later: "NeverWritten"  # type: ignore[name-defined]  # noqa: F821 - that is the point


@pytest.mark.parametrize("annotation", [OfAnything, Report | OfAnything, Unfinished, PutOff], ids=str)
def test_a_model_that_pydantic_cannot_check_is_refused_when_it_is_registered(annotation: Any) -> None:
    with pytest.raises(UnsuitableFunction) as caught:
        described(taking(annotation))

    assert str(caught.value).startswith('job function "report" (')
    assert "which pydantic cannot check: Pydantic" in str(caught.value)


def test_a_model_that_is_built_late_is_built_when_it_is_registered() -> None:
    class Late(BaseModel):
        model_config = ConfigDict(defer_build=True)
        x: int

    found = type_of(Late)

    assert found.adapter.pydantic_complete
    assert found.read({"x": 1}) == Late(x=1)


def test_an_annotation_of_another_parameter_that_cannot_be_read_does_no_harm() -> None:
    function = taking("Report")
    function.__annotations__["job_id"] = "NotImportedHere"

    assert described(function).metadata_type is not None


def test_the_type_is_that_of_the_function_below_decorators_and_partials() -> None:
    function = taking("Report")

    @wraps(function)
    def decorated(*args: Any, **kwargs: Any) -> Any:
        return function(*args, **kwargs)

    class Callable_:  # noqa: N801 - its name is nothing
        def __call__(self, job_id: str, job_metadata: "Report") -> None: ...

        def method(self, job_id: str, job_metadata: "Report") -> None: ...

    one: Any
    for one in (decorated, partial(function), partial(decorated, job_id="a"), Callable_(), Callable_().method):
        found = described(one).metadata_type
        assert found is not None
        assert found.read({"title": "a"}) == Report(title="a")


def test_the_schema_is_made_once_and_is_that_of_what_is_wanted() -> None:
    found = type_of(Report | None)

    assert found.schema == {
        "title": "Report",
        "description": "A model with a default.",
        "type": "object",
        "properties": {
            "title": {"title": "Title", "type": "string"},
            "copies": {"default": 1, "title": "Copies", "type": "integer"},
        },
        "required": ["title"],
    }
    assert found.schema is found.schema


def test_a_model_without_a_schema_has_one_that_takes_anything_and_says_why() -> None:
    class Hook(BaseModel):
        call: Callable[[], int] | None = None

    class Extra(BaseModel):
        model_config = ConfigDict(json_schema_extra={"example": object()})  # type: ignore[dict-item]

    assert type_of(Hook).schema == {"description": "No JSON Schema can be written of it (PydanticInvalidForJsonSchema)"}
    assert type_of(Extra).schema == {"description": "No JSON Schema can be written of it (TypeError)"}


def test_postponed_annotations_of_a_module_are_read(sources: Sources, known: FunctionRegistry) -> None:
    sources.write(
        "custom.py",
        """
        from __future__ import annotations

        from typing import TYPE_CHECKING

        from pydantic import BaseModel

        from registry import RunContext, register_job

        if TYPE_CHECKING:
            from elsewhere import Hidden

        class Report(BaseModel):
            title: str

        @register_job("typed")
        def typed(job_id: Hidden, job_metadata: Report | None = None) -> Hidden: ...

        @register_job("hidden")
        def hidden(job_id: str, job_metadata: Hidden | None = None) -> None: ...
        """,
    )
    __import__(f"{sources.name}.custom")

    assert known["typed"].metadata_type is not None
    assert known["hidden"].metadata_type is None


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=10,
)


@given(metadata=st.dictionaries(st.sampled_from(["title", "copies", "low", "x", "name", "ranges", "other"]), JSON))
@pytest.mark.parametrize("annotation", [Report, Settings | None, Window, Point], ids=str)
def test_any_metadata_either_fits_or_has_faults(annotation: Any, metadata: dict[str, Any]) -> None:
    found = type_of(annotation)
    try:
        value = found.read(metadata)
    except UnfitMetadata as error:
        unfit = error
    else:
        # What a function gets is written as metadata that gives the same again.
        assert value is None or found.read(found.adapter.dump_python(value, mode="json")) == value
        return
    assert 0 < len(unfit.faults) <= unfit.count
    assert all(fault.message for fault in unfit.faults)


def test_importing_the_registry_and_registering_plain_functions_imports_no_pydantic() -> None:
    script = (
        "import sys, registry\n"
        "@registry.register_job('a')\n"
        "def a(job_id: str, job_metadata: dict[str, int] | None = None): ...\n"
        "assert not {'pydantic', 'pydantic_core', 'typing_extensions'} & set(sys.modules)"
    )

    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False, timeout=60)

    assert done.returncode == 0, done.stderr


def test_the_example_of_the_documentation_does_what_is_said(known: FunctionRegistry) -> None:
    text = (Path(__file__).parents[2] / "docs/functions.md").read_text("utf-8")
    examples = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    for example in examples:
        exec(example, {"__name__": "custom"})
    function = known["write_report"]
    assert function.metadata_type is not None

    report = function.metadata_type.read({"title": "Sales", "since": "2026-01-31"})

    assert function.call(job_id="a", job_metadata=report) == "1 x Sales since 31 January"
    with pytest.raises(UnfitMetadata):
        function.metadata_type.read({"title": "Sales", "since": "2026-01-31", "copies": 101})
