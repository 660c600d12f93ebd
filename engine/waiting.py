"""Runs whose time has come after they waited: read, claim in one transaction, hand to the pool."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from uuid import UUID

import structlog

from engine.agenda import Agenda, Taken
from engine.errors import StoreUnavailable
from engine.gate import StartGate
from engine.limits import LOST_CLAIM_RETRY_SECONDS, MISSING_FUNCTION_RUN_SECONDS
from engine.nodes import Claimant
from engine.nouns import Assignment, DueHint, Job, JobStatus, Run, RunState, WaitingStart
from engine.ports import Clock, Ids, Store
from engine.quarantine import Quarantine
from engine.reason_codes import ReasonCode
from engine.recorder import Recorder
from engine.run_path import run_keys
from registry import JobFunction, Lane

log = structlog.get_logger("scheduler.timer")

LOST_CLAIM_RETRY = timedelta(seconds=LOST_CLAIM_RETRY_SECONDS)


@dataclass(frozen=True, slots=True)
class Candidate:
    """A run that waits, with its job, its hint, the permit that it holds, and the token of its claim."""

    run: Run
    job: Job
    hint: DueHint
    lane: Lane
    claim_id: UUID


class WaitingRuns:
    """Starts runs that waited, for their turn or for another attempt. Used by the timer thread only.

    Whether there is room, the store decides with the runs on record. A run for which there is none stays where it is:
    what it waits for pushes a hint of it when it is over.
    """

    def __init__(  # noqa: PLR0913 - the parts that it joins, each once
        self,
        *,
        store: Store,
        agenda: Agenda,
        gate: StartGate,
        recorder: Recorder,
        clock: Clock,
        functions: Mapping[str, JobFunction],
        node: UUID,
        new_id: Ids,
        start: Callable[[Assignment], None],
    ) -> None:
        self._store = store
        self._agenda = agenda
        self._gate = gate
        self._recorder = recorder
        self._clock = clock
        self._functions = functions
        self._node = node
        self._new_id = new_id
        self._start = start
        self._in_doubt: list[tuple[Candidate, timedelta]] = []
        self._suspects: set[UUID] = set()
        self._quarantine = Quarantine()

    def dispatch(self, due: Sequence[Taken]) -> None:
        """Start those that may start. Raises what the store raises; they come up again by themselves."""
        if not due:
            return
        try:
            candidates = self._candidates(due)
        except Exception:
            self.put_back(due)
            raise
        batches = list(self._batches(candidates))
        while batches:
            try:
                self._claim(batches.pop(0))
            except Exception:
                for each in (each for batch in batches for each in batch):
                    self._agenda.give_back(each.lane)
                    self._agenda.push(each.hint)
                raise

    def put_back(self, due: Sequence[Taken]) -> None:
        """Have them come up again."""
        for taken in due:
            self._agenda.give_back(taken.lane)
            self._agenda.push(taken.hint)

    def settle_doubt(self) -> None:
        """Find out what became of claims that raised: their commit is never assumed."""
        if not self._in_doubt:
            return
        # By its token: the run itself may be running because another node has started it meanwhile.
        on_record = self._store.claims_on_record({each.run.id: each.claim_id for each, _ in self._in_doubt})
        in_doubt, self._in_doubt = self._in_doubt, []
        for candidate, look_again_after in in_doubt:
            if candidate.claim_id in on_record:
                now = self._clock.now()
                started = candidate.run.started_again(node=self._node, claim_id=candidate.claim_id, at=now)
                self._begin(candidate, started)
            else:
                self._withdraw(candidate)
                due_at = max(candidate.hint.due_at, self._clock.now() + look_again_after)
                self._agenda.push(replace(candidate.hint, due_at=due_at))

    def _candidates(self, due: Sequence[Taken]) -> list[Candidate]:
        found = {run.id: (run, job) for run, job in self._store.waiting_runs([taken.hint.key for taken in due])}
        for orphan, its_job in list(found.values()):
            if orphan.function_name not in self._functions and its_job.status is not JobStatus.PAUSED:
                del found[orphan.id]
                # No later slot takes the place of a backfill's, nor of a run that has had an attempt: these wait for
                # the start that finds the function again (law 12).
                is_slot = orphan.backfill_id is None and orphan.state is RunState.QUEUED
                if is_slot and self._is_orphaned_all_over(orphan):
                    self._skip(orphan, f"function {orphan.function_name} is not registered")
        # Nothing from here on asks the store: permits go back, and what raises would have all of them given back again.
        candidates: list[Candidate] = []
        for taken in due:
            run, job = found.get(taken.hint.key, (None, None))
            # Started, cancelled or its job deleted since: nothing is left to do. A pause pushes a hint when it ends.
            if run is None or job is None or (job.status is JobStatus.PAUSED and not run.is_request):
                self._agenda.give_back(taken.lane)
            elif self._gate.holds(run.id):
                # The attempt before is on record and not brought home: its permit must not be taken for this one's.
                self._agenda.give_back(taken.lane)
                self._agenda.push(replace(taken.hint, due_at=self._clock.now() + LOST_CLAIM_RETRY))
            elif (lane := self._agenda.lane_of(taken.hint)) is taken.lane or self._agenda.exchange(taken, lane):
                candidates.append(Candidate(run, job, taken.hint, lane, claim_id=self._new_id()))
            else:
                self._agenda.push(replace(taken.hint, function_name=run.function_name))
        return candidates

    def _is_orphaned_all_over(self, run: Run) -> bool:
        """While a new release comes in, another node may have the function that this one does not have, or no more."""
        since = run.due_at or run.scheduled_for
        is_given_up = self._clock.now() - since >= timedelta(seconds=MISSING_FUNCTION_RUN_SECONDS)
        return is_given_up or not self._agenda.has_others

    def _claim(self, candidates: list[Candidate]) -> None:
        now = self._clock.now()
        for each in candidates:
            self._gate.open(Assignment(each.run, each.job), version=each.job.version)
        starts = [
            WaitingStart(each.run.id, each.job.id, each.job.version, self._node, each.claim_id, now)
            for each in candidates
        ]
        begun, claimant = self._clock.monotonic(), Claimant(self._node, now)
        try:
            found = self._store.start_waiting(starts, ended=self._recorder.ended_claims(), by=claimant)
        except StoreUnavailable:
            self._in_doubt.extend((each, timedelta(0)) for each in candidates)
            raise
        except Exception as error:
            self._suspect(candidates, error)
            if len(candidates) > 1:
                raise
            return
        self._gate.trust(begun)
        for each in candidates:
            self._suspects.discard(each.run.id)
            self._quarantine.release(each.job.id)
            self._conclude(each, found.get(each.run.id))

    def _batches(self, candidates: list[Candidate]) -> Iterator[list[Candidate]]:
        """All in one, but for those of a batch that failed by a mistake: each of those alone."""
        together = [each for each in candidates if each.run.id not in self._suspects]
        if together:
            yield together
        for each in candidates:
            if each.run.id in self._suspects:
                yield [each]

    def _suspect(self, candidates: list[Candidate], error: Exception) -> None:
        """A mistake, of ours or of someone who edited a row; the commit may have happened all the same."""
        self._suspects.update(each.run.id for each in candidates)
        is_found = len(candidates) == 1
        seconds = self._quarantine.put_off(candidates[0].job.id, "waiting run not started", error) if is_found else 0.0
        self._in_doubt.extend((each, timedelta(seconds=seconds)) for each in candidates)

    def _conclude(self, candidate: Candidate, found: Run | None) -> None:
        if found is not None and found.state is RunState.RUNNING:
            self._begin(candidate, found)
            return
        self._withdraw(candidate)
        if found is None:
            # Its job was edited between the read and the claim; or it is over, and the next look will find that.
            later = self._clock.now() + LOST_CLAIM_RETRY
            self._agenda.push(replace(candidate.hint, due_at=later))
        elif found.state is RunState.RETRYING and found.due_at is not None and found.due_at > self._clock.now():
            self._agenda.push(replace(candidate.hint, due_at=found.due_at))

    def _begin(self, candidate: Candidate, started: Run) -> None:
        # Its ticket was opened before the claim, with the run as it waited: a stop must not record that one's attempt.
        assignment = Assignment(started, candidate.job)
        self._gate.renew(assignment)
        self._start(assignment)

    def _withdraw(self, candidate: Candidate) -> None:
        self._gate.close(candidate.run.id)
        self._agenda.give_back(candidate.lane)

    def _skip(self, run: Run, reason: str) -> None:
        if self._store.end_waiting(
            [run.id], RunState.SKIPPED, at=self._clock.now(), reason=reason, code=ReasonCode.ORPHANED
        ):
            log.info("slot skipped", **run_keys(run), reason=reason)
            # It may have been the first in its line, and those behind it were told to wait.
            for hint in self._store.waiting_hints_of(run.job_id):
                self._agenda.push(hint)
