"""New jobs, alone or several at once: check, keep, tell the heap, and only then the caller (law 4)."""

from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar
from uuid import UUID

import structlog

from engine.editor import Editor
from engine.edits import new_job, require_function
from engine.errors import StoreUnavailable
from engine.metadata import require_fitting
from engine.nouns import Job
from engine.ports import Clock, Ids
from engine.requests import JobDraft
from registry import JobFunction

Given = TypeVar("Given")

log = structlog.get_logger("scheduler.engine")


class Creation:
    """May be used from any thread."""

    def __init__(self, *, functions: Mapping[str, JobFunction], editor: Editor, clock: Clock, new_id: Ids) -> None:
        self._functions = functions
        self._editor = editor
        self._clock = clock
        self._new_id = new_id

    def create(self, draft: JobDraft) -> Job:
        """Raises UnknownFunction, InvalidMetadata, InvalidSchedule, InvalidStatus, StoreUnavailable."""
        return self._add(self._described(draft))

    def create_together(self, drafts: Sequence[JobDraft]) -> list[Job | Exception]:
        """In one transaction as far as it goes; for each draft its job, or what `create` would raise for it."""
        described = [_outcome(self._described, draft) for draft in drafts]
        jobs = [each for each in described if isinstance(each, Job)]
        # Whether a calendar is there is known only in the transaction, which one that is not there must not undo.
        plain = [job for job in jobs if not job.timing.exclude_calendars]
        done = self._add_together(plain) if len(plain) > 1 else {}
        added = {job.id: done[job.id] if job.id in done else _outcome(self._add, job) for job in jobs}
        return [added[each.id] if isinstance(each, Job) else each for each in described]

    def _described(self, draft: JobDraft) -> Job:
        require_function(self._functions, draft.function_name)
        require_fitting(self._functions, draft.function_name, draft.metadata)
        calendars = self._editor.calendars_of(draft.timing)
        return new_job(draft, calendars, job_id=self._new_id(), now=self._clock.now())

    def _add(self, job: Job) -> Job:
        self._editor.add(job)
        _tell(job)
        return self._editor.checked_against_calendars(job)

    def _add_together(self, jobs: Sequence[Job]) -> dict[UUID, Job | Exception]:
        """What became of each; of none, if nothing is kept because of one that cannot be."""
        try:
            self._editor.add_together(jobs)
        except StoreUnavailable as error:
            # Perhaps they are kept: adding them once more could double them.
            return {job.id: StoreUnavailable(str(error)) for job in jobs}
        except Exception:  # noqa: BLE001 - adding them one by one will raise it again, for the one whose it is
            return {}
        for job in jobs:
            _tell(job)
        return {job.id: job for job in jobs}


def _outcome(verb: Callable[[Given], Job], given: Given) -> Job | Exception:
    try:
        return verb(given)
    except Exception as error:  # noqa: BLE001 - for the caller to whom the draft belongs, and for no other
        return error


def _tell(job: Job) -> None:
    log.info("job created", job_id=str(job.id), name=job.name, function_name=job.function_name)
