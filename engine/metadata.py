"""Whether a job's metadata fits what its function takes: asked at each edit, before each call, and for each answer.

A function's author may have written validators: they run here, in the caller's thread, and under no lock (law 5).
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from engine.call_ends import Raised
from engine.errors import InvalidMetadata, MetadataMismatch
from engine.limits import MAX_REASON_LENGTH, MAX_SHOWN_FAULTS
from engine.nouns import Job
from engine.text import clean_text, describe_error
from registry import JobFunction, MetadataFault, RunContext, UnfitMetadata


@dataclass(frozen=True, slots=True)
class Misfit:
    """Why metadata does not fit: the first of `count` faults. `cause` is what a validator raised that is no refusal."""

    faults: tuple[MetadataFault, ...]
    count: int
    cause: BaseException | None = None

    def __str__(self) -> str:
        """The first few faults in one sentence, bounded."""
        told = [f"{_path(fault.loc)}{fault.message}" for fault in self.faults[:MAX_SHOWN_FAULTS]]
        more = [f"and {self.count - len(told)} more"] if self.count > len(told) else []
        return clean_text("; ".join([*told, *more]), at_most=MAX_REASON_LENGTH)


def require_fitting(functions: Mapping[str, JobFunction], function_name: str, metadata: dict[str, Any]) -> None:
    """Raises InvalidMetadata if the function is registered and the metadata does not fit it."""
    function = functions.get(function_name)
    misfit = None if function is None else misfit_of(function, metadata)
    if misfit is not None:
        raise InvalidMetadata(function_name, str(misfit), faults=misfit.faults)


def require_fitting_change(functions: Mapping[str, JobFunction], job: Job, edited: Job) -> None:
    """Raises InvalidMetadata if the edit makes a job of what does not fit.

    One that changes neither function nor metadata is not held to it: a job whose function changed can be paused.
    """
    is_same_function = edited.function_name == job.function_name
    if not (is_same_function and _is_same(edited.metadata, job.metadata)):
        require_fitting(functions, edited.function_name, edited.metadata)


def metadata_error(functions: Mapping[str, JobFunction], job: Job) -> str | None:
    """Why the job's metadata does not fit its function as that is registered now; None also if there is none."""
    function = functions.get(job.function_name)
    misfit = None if function is None else misfit_of(function, job.metadata)
    return None if misfit is None else str(misfit)


def misfit_of(function: JobFunction, metadata: dict[str, Any]) -> Misfit | None:
    """Why the metadata does not fit the function; at no cost if that has no type for it."""
    if function.metadata_type is None:
        return None
    read = _read(function, metadata)
    return read if isinstance(read, Misfit) else None


def arguments_for(
    function: JobFunction, *, job_id: str, metadata: dict[str, Any], run: Callable[[], RunContext]
) -> dict[str, Any] | Raised:
    """What the function is to be called with; or, the metadata not fitting, the end of a call that is not made.

    Never raises. Another attempt would end in the same way, so the error is final. `run` is called if it takes that.
    """
    read = _read(function, metadata)
    if not isinstance(read, Misfit):
        context = run() if "run" in function.accepts else None
        return function.select_arguments(job_id=job_id, job_metadata=read, run=context)
    error = MetadataMismatch(function.name, str(read))
    error.__cause__ = read.cause
    return Raised(describe_error(error), is_final=True)


def _read(function: JobFunction, metadata: dict[str, Any]) -> Any:
    """What the function gets for the metadata, or a Misfit."""
    if function.metadata_type is None:
        return metadata
    try:
        return function.metadata_type.read(metadata)
    except UnfitMetadata as unfit:
        return Misfit(unfit.faults, unfit.count)
    # A validator is user code: it may raise anything, and pydantic itself a panic that is no Exception.
    except BaseException as error:  # noqa: BLE001 - see above
        return _failed(error, metadata)


def _failed(error: BaseException, metadata: dict[str, Any]) -> Misfit:
    raised = describe_error(error)
    message = f"The validator failed with {raised.type}: {raised.message}"
    return Misfit((MetadataFault((), message, "validator_failed", metadata),), 1, cause=error)


def _is_same(one: dict[str, Any], other: dict[str, Any]) -> bool:
    """Whether both are the same JSON: to Python also 1 and true are equal."""
    return one is other or json.dumps(one, sort_keys=True) == json.dumps(other, sort_keys=True)


def _path(loc: tuple[str | int, ...]) -> str:
    # A key may be as long as the metadata.
    return f"{'.'.join(f'{part!s:.64}' for part in loc)}: " if loc else ""
