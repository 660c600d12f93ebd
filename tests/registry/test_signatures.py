"""What a function accepts is read from its signature once; one that could not be called is refused when registered."""

import asyncio
import contextlib
import functools
from collections.abc import Callable
from itertools import chain, combinations
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from registry import FunctionRegistry, JobFunction, Lane, Parameter, UnsuitableFunction, load_package, register_job
from registry.function import describe_function
from tests.registry.conftest import Sources

OFFERED = {"job_id": "an id", "job_metadata": {"a": 1}, "run": "a context"}


def written(parameters: str, *, before: str = "", body: str = "return locals()") -> Callable[..., Any]:
    """A function with these parameters, as a source file has it."""
    names: dict[str, Any] = {}
    exec(f"{before} def job({parameters}): {body}".strip(), names)
    function: Callable[..., Any] = names["job"]
    return function


def described(function: Any) -> JobFunction:
    return FunctionRegistry().register("report", function)


@pytest.mark.parametrize(
    ("parameters", "accepts"),
    [
        ("job_id", {"job_id"}),
        ("job_id, job_metadata", {"job_id", "job_metadata"}),
        ("job_id, job_metadata=None", {"job_id", "job_metadata"}),
        ("job_id, run", {"job_id", "run"}),
        ("run, job_metadata, job_id", {"job_id", "job_metadata", "run"}),
        ("*, job_id, run=None", {"job_id", "run"}),
        ("**kwargs", {"job_id", "job_metadata", "run"}),
        ("job_id, **options", {"job_id", "job_metadata", "run"}),
        ("job_id=None", {"job_id"}),
        ("job_id, verbose=True", {"job_id"}),
        ("job_id, *rest", {"job_id"}),
        ("verbose=True, /, job_id=None", {"job_id"}),
    ],
)
def test_a_function_gets_what_it_takes_of_what_is_offered(parameters: str, accepts: set[str]) -> None:
    function = described(written(parameters))

    assert function.accepts == accepts
    assert function.select_arguments(**OFFERED) == {name: OFFERED[name] for name in accepts}
    function.call(**function.select_arguments(**OFFERED))


@pytest.mark.parametrize(
    ("parameters", "complaint"),
    [
        ("", 'does not take "job_id"'),
        ("job_metadata", 'does not take "job_id"'),
        ("*args", 'does not take "job_id"'),
        ("*job_id", 'does not take "job_id"'),
        ("job_id, customer", 'requires "customer"'),
        ("self, job_id", 'requires "self"'),
        ("job_id, *, customer", 'requires "customer"'),
        ("customer, /, job_id", 'requires "customer"'),
        ("job_id, /", 'takes "job_id" by position only'),
        ("job_metadata, /, job_id", 'takes "job_metadata" by position only'),
        ("run=None, /, **kwargs", 'takes "run" by position only'),
    ],
)
def test_a_function_that_cannot_be_called_is_refused_with_what_is_wanted(parameters: str, complaint: str) -> None:
    with pytest.raises(UnsuitableFunction) as refusal:
        described(written(parameters))

    assert complaint in str(refusal.value)
    assert 'job function "report" (<string>:1)' in str(refusal.value)
    assert "a function is called as f(job_id=...)" in str(refusal.value)


NAMES = ("job_id", "job_metadata", "run", "customer")


@st.composite
def signatures(draw: st.DrawFn) -> str:
    """The parameters of any function that Python compiles."""
    names = draw(st.permutations(NAMES))[: draw(st.integers(0, len(NAMES)))]
    kinds = sorted(draw(st.lists(st.sampled_from("pnk"), min_size=len(names), max_size=len(names))), key="pnk".index)
    by_position = kinds.count("p") + kinds.count("n")
    first_default = draw(st.integers(0, by_position))
    texts = [f"{name}=None" if index >= first_default else name for index, name in enumerate(names[:by_position])]
    if kinds.count("p"):
        texts.insert(kinds.count("p"), "/")
    if draw(st.booleans()):
        texts.append("*rest")
    elif kinds.count("k"):
        texts.append("*")
    texts.extend(f"{name}=None" if draw(st.booleans()) else name for name in names[by_position:])
    if draw(st.booleans()):
        texts.append("**options")
    return ", ".join(texts)


@given(signatures())
def test_of_any_signature_what_is_accepted_can_be_called_and_what_is_refused_cannot(parameters: str) -> None:
    function = written(parameters)
    callable_with = [names for names in subsets() if can_call(function, names)]
    accepts = accepted(function)

    if accepts is None:
        assert not callable_with or "/" in parameters
    else:
        assert accepts in callable_with
        assert not any(names > accepts for names in callable_with)


def accepted(function: Callable[..., Any]) -> frozenset[str] | None:
    """What the function accepts; None if it is refused."""
    try:
        return described(function).accepts
    except UnsuitableFunction:
        return None


def subsets() -> list[set[str]]:
    """Every choice of the offered arguments with job_id among it."""
    others = ("job_metadata", "run")
    return [{"job_id", *chosen} for chosen in chain.from_iterable(combinations(others, size) for size in range(3))]


def can_call(function: Callable[..., Any], names: set[str] | frozenset[str]) -> bool:
    try:
        function(**dict.fromkeys(names))
    except TypeError:
        return False
    return True


class Reports:
    """Reports of one team."""

    def write(self, job_id: str, job_metadata: dict[str, Any]) -> str:
        """Write it."""
        return f"{job_id} {job_metadata}"

    @classmethod
    def of_class(cls, job_id: str) -> str:
        return f"{cls.__name__} {job_id}"

    @staticmethod
    def of_nobody(job_id: str) -> str:
        return job_id


class CallableReport:
    """A report that is called."""

    def __call__(self, job_id: str) -> str:
        return job_id


class KeptReport:
    """A report that is made."""

    def __init__(self, job_id: str) -> None:
        self.job_id = job_id


def report_to(target: str, job_id: str, retries: int = 3) -> str:
    """Report to a target."""
    return f"{job_id} to {target} {retries}"


def disclosed(function: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(function)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        return function(*args, **kwargs)

    return wrapper


@pytest.mark.parametrize(
    ("function", "accepts", "summary"),
    [
        pytest.param(Reports().write, {"job_id", "job_metadata"}, "Write it.", id="method of an object"),
        pytest.param(Reports.of_class, {"job_id"}, None, id="class method"),
        pytest.param(Reports.of_nobody, {"job_id"}, None, id="static method"),
        pytest.param(CallableReport(), {"job_id"}, "A report that is called.", id="callable object"),
        pytest.param(KeptReport, {"job_id"}, "A report that is made.", id="class"),
        pytest.param(functools.partial(report_to, "a file"), {"job_id"}, "Report to a target.", id="partial"),
        pytest.param(
            functools.partial(report_to, target="a file", retries=1), {"job_id"}, "Report to a target.", id="keywords"
        ),
        pytest.param(
            functools.partial(functools.partial(report_to, "a file"), retries=1),
            {"job_id"},
            "Report to a target.",
            id="partial of a partial",
        ),
        pytest.param(
            disclosed(functools.partial(report_to, "a file")), {"job_id"}, "Report to a target.", id="wrapped partial"
        ),
        pytest.param(functools.lru_cache(Reports.of_nobody), {"job_id"}, None, id="wrapped in C"),
        pytest.param(lambda job_id: job_id, {"job_id"}, None, id="lambda"),
    ],
)
def test_whatever_can_be_called_may_be_a_job_function(function: Any, accepts: set[str], summary: str | None) -> None:
    known = described(function)

    assert known.accepts == accepts
    assert known.summary == summary
    assert known.call(**known.select_arguments(**OFFERED)) is not None


def test_a_decorator_that_runs_a_coroutine_to_its_end_makes_a_job_function() -> None:
    def to_its_end(function: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(function)
        def wrapper(**arguments: Any) -> Any:
            return asyncio.run(function(**arguments))

        return wrapper

    @to_its_end
    async def report(job_id: str) -> str:
        return job_id

    assert described(report).call(job_id="one") == "one"


narrow_partial = functools.partial(written("job_id, more"), more=1)


class AsynchronousReport:
    async def __call__(self, job_id: str) -> None: ...


@pytest.mark.parametrize(
    ("function", "kind"),
    [
        (written("job_id", before="async", body="yield"), "an asynchronous generator"),
        (written("job_id", body="yield"), "a generator"),
    ],
)
def test_a_function_whose_call_would_run_nothing_is_refused(function: Any, kind: str) -> None:
    with pytest.raises(UnsuitableFunction, match=rf"is {kind}: calling it would run nothing; use a plain def"):
        described(function)


@pytest.mark.parametrize(
    "function",
    [
        written("job_id", before="async"),
        functools.partial(written("job_id, more", before="async"), more=1),
        AsynchronousReport(),
        AsynchronousReport().__call__,
    ],
)
def test_a_coroutine_function_is_called_on_the_loop(function: Any) -> None:
    assert described(function).lane is Lane.LOOP


def at_top_level(job_id: str) -> None: ...


def test_a_function_that_a_worker_process_can_find_may_be_called_in_one() -> None:
    described = describe_function("report", at_top_level, replaceable=False, isolation="process")

    assert described.lane is Lane.PROCESS


@pytest.mark.parametrize("function", [written("job_id"), lambda job_id: None, AsynchronousReport(), narrow_partial])
def test_a_function_that_a_worker_process_cannot_find_is_refused(function: Any) -> None:
    with pytest.raises(UnsuitableFunction, match="at the top level of a module is wanted"):
        describe_function("report", function, replaceable=False, isolation="process")


def test_an_unknown_isolation_is_refused_with_what_is_wanted() -> None:
    with pytest.raises(UnsuitableFunction, match="isolation='fork': 'thread' or 'process' is wanted"):
        describe_function("report", at_top_level, replaceable=False, isolation="fork")


def test_a_final_error_that_is_no_class_of_exceptions_is_refused() -> None:
    not_a_class: Any = (ValueError, "KeyError")

    with pytest.raises(UnsuitableFunction, match="'KeyError' among its final_errors"):
        describe_function("report", at_top_level, replaceable=False, final_errors=not_a_class)


def narrowed(function: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(function)
    def wrapper(job_id: str) -> Any:
        return function(job_id, {})

    return wrapper


def test_a_decorator_that_hides_that_it_takes_other_arguments_is_refused() -> None:
    with pytest.raises(UnsuitableFunction, match=r"wrapped by a decorator that takes other arguments .*job_metadata"):
        described(narrowed(Reports().write))


@pytest.mark.parametrize(
    ("function", "complaint"),
    [
        (max, r"\(builtins\.max\) has no readable signature"),
        (print, r'\(builtins\.print\) does not take "job_id"'),
        (classmethod(written("cls, job_id")), r"\(<string>:1\) is a classmethod object"),
        (property(written("job_id")), r"is a property object"),
        ("report", r"is a str object"),
        (None, r"is a NoneType object"),
        (Reports(), r"is a Reports object"),
        (contextlib.suppress, r'does not take "job_id"'),
    ],
)
def test_what_is_no_function_at_all_is_refused_by_what_it_is(function: Any, complaint: str) -> None:
    with pytest.raises(UnsuitableFunction, match=complaint):
        described(function)


def test_a_refused_function_is_not_registered(known: FunctionRegistry) -> None:
    with pytest.raises(UnsuitableFunction):
        register_job("report")(written("customer"))

    assert not known


@pytest.mark.parametrize(
    ("parameters", "shown"),
    [
        ("job_id", [Parameter("job_id", None, required=True)]),
        ("job_id: str", [Parameter("job_id", "str", required=True)]),
        (
            "job_id: str, job_metadata: dict = None",
            [Parameter("job_id", "str", required=True), Parameter("job_metadata", "dict", required=False)],
        ),
        (
            "job_id, *rest: int, run: 'RunContext | None' = None, **options: bytes",
            [
                Parameter("job_id", None, required=True),
                Parameter("rest", "int", required=False),
                Parameter("run", "RunContext | None", required=False),
                Parameter("options", "bytes", required=False),
            ],
        ),
        ("job_id: list[int] | None", [Parameter("job_id", "list[int] | None", required=True)]),
        ("job_id: 'NoSuchName[1]'", [Parameter("job_id", "NoSuchName[1]", required=True)]),
    ],
)
def test_parameters_are_shown_as_they_are_written(parameters: str, shown: list[Parameter]) -> None:
    assert described(written(parameters)).parameters == tuple(shown)


def test_postponed_annotations_are_shown_without_quotes_and_never_resolved(
    sources: Sources, known: FunctionRegistry
) -> None:
    sources.write(
        "report.py",
        '''
        from __future__ import annotations

        from typing import TYPE_CHECKING

        from registry import register_job

        if TYPE_CHECKING:
            from nowhere import Context

        @register_job("report")
        def report(job_id: str, job_metadata: dict[str, int] | None = None, run: Context | None = None) -> None:
            """
            Write the report.

            It takes a while.
            """
        ''',
    )

    load_package(sources.name)

    assert known["report"].summary == "Write the report."
    assert known["report"].parameters == (
        Parameter("job_id", "str", required=True),
        Parameter("job_metadata", "dict[str, int] | None", required=False),
        Parameter("run", "Context | None", required=False),
    )


@pytest.mark.parametrize("docstring", [None, "", "  \n \t"])
def test_a_function_without_a_docstring_has_no_summary(docstring: str | None) -> None:
    function = written("job_id")
    function.__doc__ = docstring

    assert described(function).summary is None
