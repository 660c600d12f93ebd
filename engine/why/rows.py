"""What a row says of its slot, or of the slots that it stands for: pure."""

from collections.abc import Mapping
from datetime import datetime, timedelta

from engine.nouns import Run, RunState, Trigger
from engine.past import KeptPause, downtime_at
from engine.reason_codes import ReasonCode, calendar_and_target, run_in_the_way
from engine.run_path import as_text
from engine.why import wording
from engine.why.values import Answer, Evidence

Said = tuple[Answer, str, Mapping[str, object]]
"""An answer, its sentence and its facts."""


def said_by_row(evidence: Evidence, run: Run, instant: datetime) -> Said:
    """What the row of the slot at this instant says."""
    match run.state:
        case RunState.RUNNING:
            return _running(run)
        case RunState.QUEUED | RunState.RETRYING:
            return _waiting(run)
        case RunState.CANCELLED:
            return Answer.CANCELLED, f"It was cancelled{wording.because(run.reason)}.", {}
        case RunState.SKIPPED:
            return _skipped(evidence, run)
        case RunState.MISSED:
            return _missed(evidence, run, instant)
        case _:
            return Answer.RAN, wording.how_it_ran(run), _facts_of_run(run)


def _facts_of_run(run: Run) -> dict[str, object]:
    return {
        "started_at": run.started_at,
        "finished_at": run.finished_at,
        "lateness_ms": run.lateness_ms,
        "attempts": run.attempt,
        "ended_as": run.state.value,
    }


def _running(run: Run) -> Said:
    since = "" if run.started_at is None else f" since {as_text(run.started_at)}"
    attempt = f", attempt {run.attempt}" if run.attempt > 1 else ""
    asked = "" if run.cancel_reason is None else f"; it has been asked to end: {run.cancel_reason}"
    return Answer.RUNNING, f"It is running{since}{attempt}{asked}.", {"attempts": run.attempt}


def _waiting(run: Run) -> Said:
    facts: dict[str, object] = {"due_at": run.due_at, "attempts": run.attempt, "waits_for": run.reason}
    if run.state is RunState.RETRYING:
        return Answer.WAITING, f"It waits for its next attempt{wording.because(run.reason)}.", facts
    blocker = run_in_the_way(run.reason or "")
    facts |= {} if blocker is None else {"run_in_the_way": blocker}
    return Answer.WAITING, f"It waits for its turn{wording.because(run.reason)}.", facts


def _skipped(evidence: Evidence, run: Run) -> Said:
    reason = run.reason or ""
    match run.reason_code:
        case ReasonCode.OVERLAP:
            facts = {"run_in_the_way": run_in_the_way(reason)}
            return Answer.SKIPPED_OVERLAP, f"It was skipped: {reason}.{wording.stretch(run)}", facts
        case ReasonCode.DAY_OFF:
            calendar, moved_to = calendar_and_target(reason)
            at = None if moved_to is None else datetime.fromisoformat(moved_to)
            return Answer.SKIPPED_DAY_OFF, f"It was skipped: {reason}.", {"calendar": calendar, "moved_to": at}
        case ReasonCode.ORPHANED:
            return Answer.SKIPPED_ORPHANED, f"It was skipped: {reason}.", {"function_name": run.function_name}
        case ReasonCode.PAUSED | ReasonCode.PAUSED_ALL:
            return _held_back(evidence, run, "It was claimed, and not started")
        case _:
            return Answer.SKIPPED, f"It was skipped{wording.because(reason)}.{wording.stretch(run)}", {}


def _missed(evidence: Evidence, run: Run, instant: datetime) -> Said:
    match run.reason_code:
        case ReasonCode.PAUSED | ReasonCode.PAUSED_ALL:
            return _held_back(evidence, run, "It did not run")
        case ReasonCode.EDITED | ReasonCode.DELETED:
            return Answer.SKIPPED, f"It did not run{wording.because(run.reason)}.{wording.stretch(run)}", {}
        case _:
            return _late(evidence, run, instant)


def _held_back(evidence: Evidence, run: Run, what: str) -> Said:
    is_all = run.reason_code is ReasonCode.PAUSED_ALL
    kept = pause_at(evidence, of_everything=is_all)
    because = wording.because(run.reason) if kept is None else f": {_paused(kept)}"
    sentence = f"{what}{because}.{wording.stretch(run)}"
    return Answer.PAUSED_ALL if is_all else Answer.PAUSED, sentence, pause_facts(kept)


def _late(evidence: Evidence, run: Run, instant: datetime) -> Said:
    """Nobody claimed it within its grace: why nobody did."""
    facts = _misfire_facts(evidence, run, instant)
    downtime = downtime_at(instant, evidence.uptimes, current=evidence.node)
    end = f"{wording.because(run.reason)}.{wording.stretch(run)}"
    if downtime is not None:
        facts["down"] = {"from": downtime.since, "to": downtime.until, "was_stopped": downtime.was_stopped}
        return Answer.MISSED_DOWN, f"It was missed, as {wording.down(downtime)}{end}", facts
    for is_all, answer in ((True, Answer.PAUSED_ALL), (False, Answer.PAUSED)):
        kept = pause_at(evidence, of_everything=is_all)
        if kept is not None:
            return answer, f"It was missed, as {_paused(kept)}{end}", facts | pause_facts(kept)
    late = "" if run.finished_at is None else f" {wording.span(run.finished_at - instant)} late when it was looked at"
    return Answer.MISSED_MISFIRE, f"It was missed: it was{late or ' too late'}{end}", facts


def _misfire_facts(evidence: Evidence, run: Run, instant: datetime) -> dict[str, object]:
    late: timedelta | None = None if run.finished_at is None else run.finished_at - instant
    facts: dict[str, object] = {
        "late_by_seconds": None if late is None else late.total_seconds(),
        "slot_count": run.slot_count,
        "first": run.scheduled_for,
        "last": run.last_scheduled_for or run.scheduled_for,
    }
    if evidence.job is not None:
        policies = evidence.job.policies
        facts |= {"misfire_policy": policies.misfire_policy.value, "grace_seconds": policies.misfire_grace_seconds}
    return facts


def pause_at(evidence: Evidence, *, of_everything: bool) -> KeptPause | None:
    """The pause that was in force: of everything, or of the job, its own that still lasts included."""
    job, instant = evidence.job, evidence.moment.instant
    if not of_everything and job is not None and job.pause is not None and job.pause.at <= instant:
        return KeptPause(job.id, job.pause, None)
    return next((each for each in evidence.pauses if (each.job_id is None) is of_everything), None)


def pause_facts(kept: KeptPause | None) -> dict[str, object]:
    """From when to when, by whom and why."""
    if kept is None:
        return {}
    pause = kept.pause
    facts = {"from": pause.at, "to": kept.ended_at, "until": pause.until}
    return {"pause": facts | {"by": pause.by, "note": pause.note, "reason": pause.reason}}


def _paused(kept: KeptPause) -> str:
    what = "everything was" if kept.job_id is None else "the job was"
    return wording.paused(what, kept.pause, kept.ended_at)


def paused_sentence(kept: KeptPause) -> str:
    """The same as a sentence of its own."""
    text = _paused(kept)
    return f"{text[0].upper()}{text[1:]}."


def precedence(run: Run) -> tuple[int, datetime]:
    """Of several rows in one second, the slot's own comes first, then a backfill's, then one by hand."""
    return ((Trigger.SCHEDULE, Trigger.BACKFILL, Trigger.MANUAL).index(run.trigger), run.scheduled_for)
