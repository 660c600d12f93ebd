"""`@register_job`: what it takes, what it gives back, and what it does with a name that is taken."""

import importlib
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

import app.jobs.examples
import app.jobs.registry
import registry
from registry import DuplicateFunction, FunctionRegistry, UnsuitableFunction, load_modules, load_package, register_job
from registry.functions import MAX_FUNCTION_NAME_LENGTH
from tests.registry.conftest import Sources


def test_a_function_is_registered_with_a_name_alone(known: FunctionRegistry) -> None:
    @register_job("report")
    def report(job_id: str) -> str:
        return job_id

    assert list(known) == ["report"]
    assert known["report"].name == "report"
    assert known["report"](job_id="one") == "one"


@pytest.mark.parametrize("arguments", [{"replaceable": False}, {"replaceable": True}])
def test_a_function_is_registered_with_other_arguments(known: FunctionRegistry, arguments: dict[str, Any]) -> None:
    @register_job("report", **arguments)
    def report(job_id: str) -> None: ...

    assert known["report"].replaceable is arguments["replaceable"]


def test_the_decorated_function_is_given_back_as_it_was(known: FunctionRegistry) -> None:
    def report(job_id: str) -> None: ...

    before = dict(vars(report))

    assert register_job("report")(report) is report
    assert vars(report) == before
    assert known["report"].call is report


def test_one_function_may_have_two_names(known: FunctionRegistry) -> None:
    @register_job("daily")
    @register_job("weekly")
    def report(job_id: str) -> None: ...

    assert known["daily"].call is known["weekly"].call is report


def test_both_import_paths_give_the_same_objects() -> None:
    assert app.jobs.registry.register_job is registry.register_job
    assert app.jobs.registry.JOB_REGISTRY is registry.JOB_REGISTRY
    assert app.jobs.registry.RunContext is registry.RunContext


def test_the_registry_reads_as_a_mapping_that_outsiders_do_not_write(known: FunctionRegistry) -> None:
    register_job("report")(lambda job_id: None)

    assert "report" in known
    assert len(known) == 1
    assert known.get("other") is None
    assert not hasattr(known, "__setitem__")


@pytest.mark.parametrize(
    "name",
    ["", "a" * (MAX_FUNCTION_NAME_LENGTH + 1), "two\nlines", "nul\x00", "half \ud800", 7, None, b"report"],
)
def test_a_name_that_is_none_is_refused(known: FunctionRegistry, name: Any) -> None:
    with pytest.raises(UnsuitableFunction, match=r"1 to 200 printable characters, not "):
        register_job(name)

    assert not known


def test_a_name_of_the_greatest_length_is_taken(known: FunctionRegistry) -> None:
    register_job("ä" * MAX_FUNCTION_NAME_LENGTH)(lambda job_id: None)

    assert len(known) == 1


def test_the_decorator_without_brackets_says_how_it_is_written(known: FunctionRegistry) -> None:
    def report(job_id: str) -> None: ...

    with pytest.raises(UnsuitableFunction, match=r'as in @register_job\("nightly_report"\)'):
        register_job(report)  # type: ignore[arg-type]  # the mistake this is about


def test_a_duplicate_name_names_both_places(sources: Sources) -> None:
    first = sources.write("first.py", REPORT)
    second = sources.write("second.py", "\n\n" + REPORT)

    with pytest.raises(DuplicateFunction) as refusal:
        load_package(sources.name)

    assert f"{first}:4" in str(refusal.value)
    assert f"{second}:6" in str(refusal.value)
    assert f"module {sources.name}.second" in str(refusal.value)
    assert '"report"' in str(refusal.value)


REPORT = """
from registry import register_job

@register_job("report")
def report(job_id): ...
"""

REPORT_OF_EXAMPLES = REPORT.replace('"report"', '"report", replaceable=True')


def test_a_refused_duplicate_leaves_the_first_in_place(known: FunctionRegistry) -> None:
    def first(job_id: str) -> None: ...
    def second(job_id: str) -> None: ...

    register_job("report")(first)

    with pytest.raises(DuplicateFunction):
        register_job("report")(second)
    assert known["report"].call is first


def print_to(target: str, job_id: str = "") -> None: ...


class Report:
    def write(self, job_id: str) -> None: ...

    def __call__(self, job_id: str) -> None: ...


def undisclosed(function: Callable[..., Any]) -> Callable[..., Any]:
    def wrapper(**arguments: Any) -> Any:
        return function(**arguments)

    return wrapper


@pytest.mark.parametrize(
    "make",
    [
        pytest.param(lambda: partial(print_to, "a file"), id="partials of one function"),
        pytest.param(lambda: Report().write, id="methods of two objects"),
        pytest.param(Report, id="two objects of one class"),
        pytest.param(lambda: undisclosed(print_to), id="functions below one decorator"),
    ],
)
def test_what_one_line_makes_twice_is_a_duplicate_too(
    known: FunctionRegistry, make: Callable[[], Callable[..., Any]]
) -> None:
    register_job("report")(make())

    with pytest.raises(DuplicateFunction) as refusal:
        register_job("report")(make())
    assert str(refusal.value).count(f"{__file__}:") == 2


def test_the_very_same_function_may_be_registered_again(known: FunctionRegistry) -> None:
    report = partial(print_to, "a file")

    register_job("report")(report)
    register_job("report")(report)

    assert known["report"].call is report


def test_a_module_may_be_reloaded(sources: Sources, known: FunctionRegistry) -> None:
    sources.write("report.py", REPORT)
    module = importlib.import_module(f"{sources.name}.report")
    before = known["report"].call

    importlib.reload(module)

    assert known["report"].call is module.report
    assert known["report"].call is not before


@pytest.mark.parametrize("order", [["example", "own"], ["own", "example"]])
def test_an_example_yields_whichever_comes_first(sources: Sources, known: FunctionRegistry, order: list[str]) -> None:
    sources.write("example.py", REPORT_OF_EXAMPLES)
    own = sources.write("own.py", REPORT)

    load_modules(f"{sources.name}.{module}" for module in order)

    assert known["report"].defined_at == f"{own}:4"
    assert not known["report"].replaceable


def test_two_functions_cannot_both_take_the_place_of_an_example(sources: Sources) -> None:
    for module, text in {"a": REPORT, "b": REPORT_OF_EXAMPLES, "c": REPORT}.items():
        sources.write(f"{module}.py", text)

    with pytest.raises(DuplicateFunction, match=r"a\.py:4 and at .*c\.py:4"):
        load_package(sources.name)


CUSTOM = """
from app.jobs.registry import register_job

@register_job("my_custom_job")
def my_custom_job(job_id: str, job_metadata: dict = None):
    # Your job logic here
    print(f"Running job {job_id} with metadata: {job_metadata}")

@register_job("log_time")
def log_time(job_id: str, job_metadata: dict = None):
    from datetime import datetime
    print(f"[{datetime.utcnow()}] Job {job_id}: {job_metadata}")
"""


@pytest.mark.parametrize("is_first", [True, False])
def test_the_functions_that_the_readme_has_people_write_register_beside_the_shipped_examples(
    sources: Sources, known: FunctionRegistry, capsys: pytest.CaptureFixture[str], is_first: bool
) -> None:
    custom = sources.write("custom.py", CUSTOM)
    steps: list[Callable[[], object]] = [
        lambda: load_package(sources.name),
        lambda: importlib.reload(app.jobs.examples),
    ]

    for step in steps if is_first else reversed(steps):
        step()

    assert set(known) == {"my_custom_job", "log_time", "dummy_number_crunch", "print_hello"}
    assert known["log_time"].defined_at.startswith(f"{custom}:")
    assert known["my_custom_job"].accepts == {"job_id", "job_metadata"}
    known["my_custom_job"](**known["my_custom_job"].select_arguments(job_id="7", job_metadata={"a": 1}, run=None))
    assert capsys.readouterr().out == "Running job 7 with metadata: {'a': 1}\n"
