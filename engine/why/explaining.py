"""What became of an instant, from the records: give it evidence, get an answer. Pure.

A row of the slot itself says most; then a row that stands for many slots; and where there is none, what is known of
schedule and pauses says why (law 11: a slot that came due and was not paused has a row).
"""

from collections.abc import Mapping
from datetime import datetime

from engine.jitter import Jitter
from engine.nouns import JobStatus, Run, Trigger
from engine.run_path import as_text
from engine.schedule import MICROSECOND
from engine.slots import origin
from engine.why.rows import Said, pause_at, pause_facts, paused_sentence, precedence, said_by_row
from engine.why.values import Answer, Evidence, Explanation


def explain(evidence: Evidence) -> Explanation:
    """What became of the moment."""
    run, instant = _row_of_slot(evidence)
    if run is None:
        run = _stretch_over(evidence)
        said = _without_row(evidence) if run is None else _said_by_stretch(evidence, run)
    else:
        said = said_by_row(evidence, run, instant)
    answer, sentence, facts = said
    before, after = _nearest(evidence, instant)
    return Explanation(
        at=evidence.moment.at,
        answer=answer,
        sentence=sentence,
        run=run if answer is not Answer.NOT_A_SLOT else None,
        facts={"slot": instant if run is not None else evidence.moment.slot} | dict(facts) | _others(evidence, run),
        before=before,
        after=after,
    )


def _row_of_slot(evidence: Evidence) -> tuple[Run | None, datetime]:
    """The row of the one slot that is meant, and its instant."""
    moment, within = evidence.moment, evidence.around.within
    if moment.slot is not None:
        # A run by hand that happened to come then is no answer to what became of the slot.
        within = tuple(run for run in within if run.trigger is not Trigger.MANUAL)
    exact = tuple(run for run in within if run.scheduled_for == moment.at)
    candidates = exact if exact or moment.slot == moment.at else within
    found = min(candidates, key=precedence, default=None)
    if found is None:
        found = _same_slot_otherwise_spread(evidence)
    return found, moment.instant if found is None else found.scheduled_for


def _same_slot_otherwise_spread(evidence: Evidence) -> Run | None:
    """The row of this slot, which an earlier jitter of the job had put elsewhere."""
    schedule, slot = evidence.schedule, evidence.moment.slot
    if slot is None or not isinstance(schedule, Jitter):
        return None
    beside = (*evidence.around.before[:1], *evidence.around.after)
    return next((run for run in beside if origin(schedule, run.scheduled_for) == origin(schedule, slot)), None)


def _stretch_over(evidence: Evidence) -> Run | None:
    """The row that stands for many slots, between the first and the last of which the moment lies."""
    instant = evidence.moment.instant
    covering = (
        run
        for run in evidence.around.before
        if run.last_scheduled_for is not None and run.last_scheduled_for >= instant
    )
    return next(covering, None)


def _said_by_stretch(evidence: Evidence, run: Run) -> Said:
    moment = evidence.moment
    is_last = run.last_scheduled_for is not None and moment.at <= run.last_scheduled_for < moment.end
    if is_last or (evidence.is_schedule_known and moment.slot is not None):
        return said_by_row(evidence, run, moment.instant)
    if evidence.is_schedule_known:
        return _not_a_slot(evidence)
    answer, sentence, facts = said_by_row(evidence, run, moment.instant)
    why = "the job is deleted" if evidence.job is None else _changed(evidence)
    doubt = f"Whether this instant was a slot cannot be told, as {why}; if it was, then: {sentence}"
    # Of a deleted job nobody can ask any more precisely: what the row says is all that will ever be known.
    return (answer if evidence.job is None else Answer.SCHEDULE_CHANGED), doubt, facts


def _without_row(evidence: Evidence) -> Said:
    job, moment = evidence.job, evidence.moment
    if evidence.unreadable is not None:
        return Answer.UNKNOWN, f"Nothing is on record, and the job cannot be read: {evidence.unreadable}.", {}
    if job is None:
        return _of_deleted(evidence)
    if moment.instant <= job.created_at:
        return Answer.BEFORE_CREATION, f"The job did not exist yet: it was created at {as_text(job.created_at)}.", {}
    if moment.at > evidence.now:
        return _to_come(evidence)
    if not evidence.is_schedule_known:
        return _by_another_schedule(evidence)
    if moment.slot is None:
        return _not_a_slot(evidence)
    return _slot_without_row(evidence, moment.slot)


def _slot_without_row(evidence: Evidence, slot: datetime) -> Said:
    job = evidence.job
    assert job is not None  # noqa: S101 - for the type checker: _without_row has looked
    if _is_over(evidence, slot):
        return _ended(evidence)
    own, of_all = pause_at(evidence, of_everything=False), pause_at(evidence, of_everything=True)
    if own is not None:
        return Answer.PAUSED, paused_sentence(own), pause_facts(own)
    if job.status is JobStatus.PAUSED and (job.last_scheduled_for is None or slot > job.last_scheduled_for):
        return Answer.PAUSED, "The job was paused; by whom and since when is not on record.", {}
    is_due = job.is_scheduled and job.next_run_at is not None and job.next_run_at <= slot
    if of_all is not None and (is_due or of_all.ended_at is None):
        return Answer.PAUSED_ALL, paused_sentence(of_all), pause_facts(of_all)
    if slot > evidence.now:
        return _to_come(evidence)
    if is_due:
        waits = "It is due and not claimed yet: the pool may be full, or the timer is about to come to it."
        return Answer.WAITING, waits, {"due_at": slot}
    return _forgotten(evidence)


def _forgotten(evidence: Evidence) -> Said:
    if evidence.around.before:
        text = "It is a slot of the job's schedule, and nothing on record says what became of it"
        return Answer.UNKNOWN, f"{text}: its row may have been deleted.", {}
    after = evidence.around.after
    first = f"the oldest slot on record is that of {as_text(after[0].scheduled_for)}" if after else "none is on record"
    return Answer.UNKNOWN, f"It is older than what is kept of this job's history: {first}.", {}


def _of_deleted(evidence: Evidence) -> Said:
    """By law 11, between two rows of a job there was no slot, unless it was paused."""
    own = pause_at(evidence, of_everything=False)
    if own is not None:
        text = f"{paused_sentence(own)} It is deleted: whether this instant was a slot cannot be told."
        return Answer.PAUSED, text, pause_facts(own)
    if evidence.around.before and evidence.around.after:
        return Answer.NOT_A_SLOT, "The job is deleted; it had no slot at this instant, or a row would say so.", {}
    where = "older" if evidence.around.after else "later"
    return Answer.UNKNOWN, f"The job is deleted, and the instant is {where} than all that is on record of it.", {}


def _by_another_schedule(evidence: Evidence) -> Said:
    own = pause_at(evidence, of_everything=False)
    paused = "" if own is None else f" {paused_sentence(own)}"
    text = f"No slot is on record at this instant, and which ones there were cannot be told: {_changed(evidence)}."
    return Answer.SCHEDULE_CHANGED, f"{text}{paused}", {"schedule_since": evidence.schedule_since, **pause_facts(own)}


def _changed(evidence: Evidence) -> str:
    since = evidence.schedule_since
    when = "since" if since is None else f"at {as_text(since)}"
    return f"the schedule of the job, or a calendar that moves its slots, was changed {when}"


def _not_a_slot(evidence: Evidence) -> Said:
    before, after = _nearest(evidence, evidence.moment.at)
    places = [f"{word} it at {as_text(slot)}" for word, slot in (("before", before), ("after", after)) if slot]
    where = f": the nearest are {' and '.join(places)}" if places else ""
    return Answer.NOT_A_SLOT, f"The job has no slot at this instant{where}.", {}


def _to_come(evidence: Evidence) -> Said:
    job, slot = evidence.job, evidence.moment.slot
    facts: Mapping[str, object] = {"is_slot": slot is not None}
    if slot is None:
        return Answer.IN_THE_FUTURE, "This instant is yet to come, and is no slot of the job.", facts
    if _is_over(evidence, slot):
        return _ended(evidence)
    if job is not None and job.status is JobStatus.PAUSED:
        text = "It is a slot to come, but the job is paused: it runs only if it is resumed before."
    elif pause_at(evidence, of_everything=True) is not None:
        text = "It is a slot to come, but everything is paused: it runs only if that ends before."
    else:
        text = "It is a slot to come."
    return Answer.IN_THE_FUTURE, text, facts


def _is_over(evidence: Evidence, slot: datetime) -> bool:
    """Whether the job was completed before the slot."""
    job = evidence.job
    if job is None or job.status is not JobStatus.COMPLETED:
        return False
    return job.last_scheduled_for is None or slot > job.last_scheduled_for


def _ended(evidence: Evidence) -> Said:
    job = evidence.job
    last = None if job is None else job.last_scheduled_for
    runs = None if job is None else job.timing.max_runs
    after = "" if last is None else f" with its slot of {as_text(last)}"
    why = "" if runs is None else f"; max_runs is {runs}"
    return Answer.ENDED, f"The job was completed{after}{why}.", {"last_slot": last}


def _others(evidence: Evidence, run: Run | None) -> dict[str, object]:
    """The other rows of the same second, in short."""
    others = [each for each in evidence.around.within if run is None or each.id != run.id]
    short = [{"run": each.id, "trigger": each.trigger.value, "state": each.state.value} for each in others]
    return {"also": short} if short else {}


def _nearest(evidence: Evidence, instant: datetime) -> tuple[datetime | None, datetime | None]:
    """The slots before and after, by the schedule where that is known, and else by what is on record."""
    schedule, since, around = evidence.schedule, evidence.schedule_since, evidence.around
    recorded = [run.last_scheduled_for or run.scheduled_for for run in around.before]
    before = max((slot for slot in recorded if slot < instant), default=None)
    after = around.after[0].scheduled_for if around.after else None
    if schedule is None or since is None:
        return before, after
    known = schedule.latest_until(instant - MICROSECOND)
    if known is not None and known > since:
        before = known
    to_come = schedule.next_after(max(instant, since))
    if to_come is not None and _is_over(evidence, to_come):
        to_come = None
    return before, min((slot for slot in (after, to_come) if slot is not None and slot > instant), default=None)
