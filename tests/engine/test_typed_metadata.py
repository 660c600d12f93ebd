"""Metadata that does not fit its function is refused; where the function changed under a job, the job is flagged."""

from collections.abc import Callable
from datetime import date
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ConfigDict, field_validator
from structlog.testing import capture_logs

from engine import recovery
from engine.call_ends import Raised
from engine.errors import InvalidMetadata, JobNotFound, RequestRefused
from engine.limits import MAX_REASON_LENGTH
from engine.metadata import arguments_for, metadata_error, misfit_of, require_fitting_change
from engine.nouns import Job, JobStatus, RunState
from engine.requests import JobChange, JobDraft
from registry import FunctionRegistry, JobFunction, RunContext
from store import SqlStore
from tests.factories import make_job, make_timing
from tests.fakes import NOON, Node

RUN = RunContext(id="a run", scheduled_for=NOON, attempt=1, log=None)
FITTING: dict[str, Any] = {"day": "2026-01-01"}
UNFIT: dict[str, Any] = {"day": "yesterday"}


class Report(BaseModel):
    day: date
    copies: int = 1


class Renamed(BaseModel):
    """What Report might become."""

    model_config = ConfigDict(extra="forbid")
    date: date


class Panic(BaseException):
    """What no `except Exception` catches."""


class Unprintable(Exception):
    def __str__(self) -> str:
        raise RuntimeError("not even this")


def typed(model: type[BaseModel]) -> Callable[..., Any]:
    def report(job_id: str, job_metadata=None) -> str:  # type: ignore[no-untyped-def]
        return repr(job_metadata)

    report.__annotations__["job_metadata"] = model
    report.__defaults__ = None
    return report


def raising(error: BaseException) -> type[BaseModel]:
    class Odd(BaseModel):
        day: str

        @field_validator("day")
        @classmethod
        def _check(cls, given: str) -> str:
            raise error

    return Odd


def function_of(model: type[BaseModel]) -> JobFunction:
    return FunctionRegistry().register("report", typed(model))


def register(node: Node, model: type[BaseModel], *, name: str = "report") -> None:
    """Make `name` a function of this model, whatever it was before: a new release of the code."""
    node.functions._functions.pop(name, None)
    node.functions.register(name, typed(model))


def draft(**overrides: Any) -> JobDraft:
    fields: dict[str, Any] = {
        "name": "a job",
        "function_name": "report",
        "timing": make_timing(overrides, interval_seconds=10.0),
        "metadata": UNFIT,
    }
    return JobDraft(**(fields | overrides))


@pytest.fixture
def flagged(node: Node) -> Job:
    """A job whose function has changed under it."""
    register(node, Report)
    job = node.add(function_name="report", metadata=FITTING)
    register(node, Renamed)
    return job


# --- Edits ----------------------------------------------------------------------------------------------


def test_a_new_job_whose_metadata_does_not_fit_is_refused_and_not_kept(node: Node) -> None:
    register(node, Report)

    with pytest.raises(InvalidMetadata) as caught:
        node.add(function_name="report", metadata=UNFIT)

    assert [(fault.loc, fault.type) for fault in caught.value.faults] == [(("day",), "date_from_datetime_parsing")]
    assert str(caught.value).startswith(
        'job_metadata does not fit function "report": day: Input should be a valid date'
    )
    assert node.store.views.jobs_page(after=None, limit=10) == []


def test_what_is_kept_is_what_was_sent_without_defaults(node: Node) -> None:
    register(node, Report)
    sent = {"day": "2026-01-01", "copies": "2", "more": [1]}

    job = node.add(function_name="report", metadata=sent)

    assert node.job(job).metadata == sent


def test_a_replacement_and_a_change_that_do_not_fit_are_refused_and_change_nothing(node: Node) -> None:
    register(node, Report)
    job = node.add(function_name="report", metadata=FITTING)

    refusals: list[Callable[[], object]] = [
        lambda: node.scheduler.replace_job(job.id, draft()),
        lambda: node.scheduler.change_job(job.id, JobChange(metadata=UNFIT)),
        lambda: node.scheduler.change_job(job.id, JobChange(metadata={}, name="b")),
    ]
    for refused in refusals:
        with pytest.raises(InvalidMetadata):
            refused()

    assert node.job(job) == job


def test_another_function_is_held_against_the_metadata_that_the_job_keeps(node: Node) -> None:
    register(node, Report)
    job = node.add(function_name="note", metadata=UNFIT)

    with pytest.raises(InvalidMetadata):
        node.scheduler.change_job(job.id, JobChange(function_name="report"))
    assert node.job(job) == job

    changed = node.scheduler.change_job(job.id, JobChange(function_name="report", metadata=FITTING))
    assert (changed.function_name, changed.metadata) == ("report", FITTING)


@pytest.mark.parametrize(
    "change",
    [
        JobChange(name="another"),
        JobChange(status=JobStatus.PAUSED),
        JobChange(timing={"interval_seconds": 5.0}),
        JobChange(function_name="report"),
        JobChange(metadata=FITTING),
        JobChange(function_name="report", metadata=dict(FITTING), name="another"),
    ],
    ids=str,
)
def test_a_flagged_job_can_be_changed_in_all_but_function_and_metadata(
    node: Node, flagged: Job, change: JobChange
) -> None:
    changed = node.scheduler.change_job(flagged.id, change)

    assert changed.version == flagged.version + 1
    assert node.scheduler.metadata_error(changed) is not None
    node.scheduler.forecast.of_change(flagged.id, change)


def test_a_flagged_job_can_be_paused_resumed_and_deleted(node: Node, flagged: Job) -> None:
    assert node.scheduler.pause_job(flagged.id).status is JobStatus.PAUSED
    assert node.scheduler.resume_job(flagged.id).status is JobStatus.ACTIVE
    node.scheduler.delete_job(flagged.id)

    with pytest.raises(JobNotFound):
        node.scheduler.pause_job(flagged.id)


def test_a_replacement_is_always_checked_because_it_names_all_fields(node: Node, flagged: Job) -> None:
    with pytest.raises(InvalidMetadata):
        node.scheduler.replace_job(flagged.id, draft(metadata=FITTING))


def test_what_is_equal_to_python_and_not_to_json_is_a_change() -> None:
    class Strict(BaseModel):
        model_config = ConfigDict(strict=True)
        day: int

    functions = {"report": function_of(Strict)}
    job, edited = (make_job(function_name="report", metadata={"day": day}) for day in (1, True))

    require_fitting_change(functions, job, job)
    with pytest.raises(InvalidMetadata):
        require_fitting_change(functions, job, edited)


def test_a_preview_is_refused_as_the_request_would_be(node: Node) -> None:
    register(node, Report)
    job = node.add(function_name="report", metadata=FITTING)
    forecast = node.scheduler.forecast

    refusals: list[Callable[[], object]] = [
        lambda: forecast.of_creation(draft()),
        lambda: forecast.of_replacement(job.id, draft()),
        lambda: forecast.of_change(job.id, JobChange(metadata=UNFIT)),
    ]
    for refused in refusals:
        with pytest.raises(InvalidMetadata):
            refused()
    assert forecast.of_creation(draft(metadata=FITTING)).slots


def test_the_metadata_of_a_job_whose_function_is_gone_is_not_checked(node: Node, flagged: Job) -> None:
    del node.functions._functions["report"]

    assert node.scheduler.metadata_error(flagged) is None
    assert node.scheduler.change_job(flagged.id, JobChange(metadata=UNFIT)).metadata == UNFIT


@pytest.mark.parametrize("error", [LookupError("no such day"), Panic("no such day"), SystemExit("no such day")])
def test_whatever_a_validator_raises_is_a_refusal_with_its_text(node: Node, error: BaseException) -> None:
    register(node, raising(error))

    with pytest.raises(RequestRefused) as caught:
        node.add(function_name="report", metadata=FITTING)

    assert isinstance(caught.value, InvalidMetadata)
    (fault,) = caught.value.faults
    assert (fault.loc, fault.type, fault.input) == ((), "validator_failed", FITTING)
    assert fault.message.startswith("The validator failed with ")
    assert fault.message.endswith(f"{type(error).__name__}: no such day")


def test_an_error_without_a_readable_text_is_a_refusal_too(node: Node) -> None:
    for error in (Unprintable(), ValueError(Unprintable())):
        register(node, raising(error))
        with pytest.raises(InvalidMetadata):
            node.add(function_name="report", metadata=FITTING)


# --- The flag -------------------------------------------------------------------------------------------


def test_a_job_is_flagged_while_its_metadata_does_not_fit_and_not_after(node: Node, flagged: Job) -> None:
    assert node.scheduler.metadata_error(flagged) == ("date: Field required; day: Extra inputs are not permitted")
    assert node.job(flagged) == flagged

    register(node, Report)

    assert node.scheduler.metadata_error(flagged) is None


def test_a_long_list_of_faults_is_cut_and_counted() -> None:
    class Strict(BaseModel):
        model_config = ConfigDict(extra="forbid")

    functions = {"report": function_of(Strict)}
    many = make_job(function_name="report", metadata={str(number): 0 for number in range(50)})
    long = make_job(function_name="report", metadata={"k" * 60_000: 0})
    wordy = make_job(function_name="report", metadata=UNFIT)

    assert (metadata_error(functions, many) or "").endswith("2: Extra inputs are not permitted; and 47 more")
    assert metadata_error(functions, long) == f"{'k' * 64}: Extra inputs are not permitted"
    told = metadata_error({"report": function_of(raising(ValueError("x" * 9_000)))}, wordy)
    assert told is not None
    assert len(told) < MAX_REASON_LENGTH + 50


def test_at_start_functions_are_named_whose_jobs_do_not_fit(store: SqlStore) -> None:
    first = Node(store)
    for name in ("report", "other", "fine"):
        register(first, Report, name=name)
    first.start()
    jobs = {name: [first.add(function_name=name, metadata=FITTING) for _ in range(3)] for name in first.functions}
    first.stop()

    second = Node(store, clock=first.clock)
    register(second, Renamed)
    register(second, Renamed, name="other")
    register(second, Report, name="fine")
    with capture_logs() as lines:
        second.start()
    second.stop()

    told = {line["function_name"]: line for line in lines if line["event"] == "job metadata does not fit"}
    assert set(told) == {"report", "other"}
    assert told["report"]["log_level"] == "error"
    assert told["report"]["jobs"] == 3
    assert told["report"]["error"].startswith("date: Field required")
    assert told["report"]["job_id"] in {str(job.id) for job in jobs["report"]}
    assert next(line for line in lines if line["event"] == "scheduler started")["jobs_not_fitting"] == 6


def test_at_start_jobs_are_looked_at_page_by_page_and_only_so_many(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    register(node, Report)
    for _ in range(7):
        node.add(function_name="report", metadata=FITTING)
    register(node, Renamed)
    monkeypatch.setattr("engine.reading.OVERDUE_BATCH", 2)

    assert recovery.warn_of_misfits(node.store, node.functions) == 7
    monkeypatch.setattr(recovery, "MAX_JOBS_CHECKED_AT_START", 5)
    assert recovery.warn_of_misfits(node.store, node.functions) == 5


def test_a_start_asks_nothing_of_the_store_without_typed_functions(node: Node) -> None:
    node.add()

    assert recovery.warn_of_misfits(None, node.functions) == 0  # type: ignore[arg-type]  # it is not asked


# --- The call -------------------------------------------------------------------------------------------


def test_a_function_is_called_with_what_its_metadata_reads_as() -> None:
    arguments = arguments_for(function_of(Report), job_id="a job", metadata=FITTING, run=lambda: RUN)

    assert arguments == {"job_id": "a job", "job_metadata": Report(day=date(2026, 1, 1))}


def test_a_function_without_a_type_gets_its_metadata_as_it_is() -> None:
    def anything(job_id: str, job_metadata: dict[str, int], run: RunContext) -> None: ...

    function = FunctionRegistry().register("anything", anything)

    arguments = arguments_for(function, job_id="a job", metadata=UNFIT, run=lambda: RUN)
    assert arguments == {"job_id": "a job", "job_metadata": UNFIT, "run": RUN}
    assert isinstance(arguments, dict)
    assert arguments["job_metadata"] is UNFIT
    assert misfit_of(function, UNFIT) is None


def test_metadata_that_no_longer_fits_is_a_final_error_that_names_the_field() -> None:
    end = arguments_for(function_of(Renamed), job_id="a job", metadata=FITTING, run=lambda: RUN)

    assert isinstance(end, Raised)
    assert end.is_final
    assert end.error.type == "engine.errors.MetadataMismatch"
    assert end.error.message == (
        'the stored job_metadata does not fit function "report" as it is now: '
        "date: Field required; day: Extra inputs are not permitted"
    )


def test_a_validator_that_fails_is_in_the_traceback_of_the_error() -> None:
    end = arguments_for(function_of(raising(Panic("no such day"))), job_id="a job", metadata=FITTING, run=lambda: RUN)

    assert isinstance(end, Raised)
    assert end.is_final
    assert end.error.message.endswith("Panic: no such day")
    assert "in _check" in end.error.traceback


@given(metadata=st.dictionaries(st.text(max_size=5) | st.just("day"), st.text() | st.integers() | st.none()))
def test_a_job_is_flagged_exactly_if_its_call_would_not_be_made(metadata: dict[str, Any]) -> None:
    function = function_of(Report)
    job = make_job(function_name="report", metadata=metadata)

    end = arguments_for(function, job_id="a job", metadata=metadata, run=lambda: RUN)

    assert isinstance(end, Raised) == (metadata_error({"report": function}, job) is not None)


# --- The run --------------------------------------------------------------------------------------------


def test_a_run_gives_its_function_what_the_metadata_reads_as(node: Node) -> None:
    register(node, Report)
    job = node.add(function_name="report", metadata=FITTING)

    node.advance(10)

    (run,) = node.runs(job)
    assert run.result == "Report(day=datetime.date(2026, 1, 1), copies=1)"


def test_a_run_whose_metadata_no_longer_fits_fails_without_a_call_and_the_job_goes_on(node: Node) -> None:
    calls: list[Any] = []

    def renamed(job_id: str, job_metadata: Renamed) -> None:
        calls.append(job_metadata)

    register(node, Report)
    job = node.add(function_name="report", metadata=FITTING)
    del node.functions._functions["report"]
    node.functions.register("report", renamed)

    node.advance(10)

    (run,) = node.runs(job)
    assert run.state is RunState.FAILED
    assert run.error is not None
    assert run.error.type == "engine.errors.MetadataMismatch"
    assert "date: Field required" in run.error.message
    assert calls == []
    assert node.job(job).status is JobStatus.FAILED
    assert node.job(job).metadata == FITTING

    node.scheduler.change_job(job.id, JobChange(metadata={"date": "2026-01-01"}))
    node.advance(10)
    assert calls == [Renamed(date=date(2026, 1, 1))]
    assert node.job(job).status is JobStatus.ACTIVE


def test_a_run_asked_for_by_hand_fails_in_the_same_way(node: Node, flagged: Job) -> None:
    node.scheduler.run_now(flagged.id)
    node.settle()

    (run,) = node.runs(flagged)
    assert run.state is RunState.FAILED
    assert run.error is not None
    assert run.error.type == "engine.errors.MetadataMismatch"


def test_a_validator_that_raises_anything_ends_in_a_failed_run(node: Node) -> None:
    register(node, Report)
    job = node.add(function_name="report", metadata=FITTING)
    register(node, raising(Panic("no such day")))

    node.advance(10)

    (run,) = node.runs(job)
    assert run.state is RunState.FAILED
    assert run.error is not None
    assert run.error.message.endswith("Panic: no such day")
