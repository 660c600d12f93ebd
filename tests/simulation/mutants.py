"""The breakages by which the simulation is proven: each stands for a mistake that somebody might make."""

from tests.simulation.mutation import Edit, Mutant

QUICK = 60
"""Seeds within which the gate finds those that are easily found."""

AFTER_NOW = "following(self.schedule, self.now)"
CRASH = "crash_between_claim_and_outcome"
CLAIM = "edit_at_a_claim"
LOST = "lost_answer"
FREEZE = "freeze_at_a_claim"
RETURN = "returning_node"

MUTANTS = (
    Mutant(
        "no version check",
        "a claim moves a job on whatever its version is by now",
        (
            Edit("store.claims", "_advance", "if row.version == asked[job_id].expected_version", ""),
            Edit("store.claims", "_move", "advance.expected_version,", "stored.version,"),
        ),
        shapes=("edit_crosses_a_claim",),
        within=QUICK,
    ),
    Mutant(
        "claim and advance apart",
        "the job is moved on in one transaction, and its run kept in the next",
        (
            Edit(
                "store.claims",
                "_advance",
                "insert_runs(connection, [*recorded.values(), *(row for advance in moves for row in advance.rows)])",
                "recorded[None] = [*recorded.values(), *(row for advance in moves for row in advance.rows)]",
            ),
            Edit(
                "store.sql_store",
                "SqlStore.advance",
                "return claims.advance_jobs(connection, advances, ended, by=by)",
                "found = claims.advance_jobs(connection, advances, ended, by=by)\n"
                "    rows = found.pop(None, [])\n"
                "    with self._writing() as connection:\n"
                "        run_rows.insert_runs(connection, rows)\n"
                "    return found",
            ),
        ),
        shapes=(CRASH,),
        within=QUICK,
    ),
    Mutant(
        "outcome not guarded",
        "an outcome is written over whatever is on record",
        (
            Edit("store.outcomes", "_STILL_RUNNING", "IS_RUNNING,", "runs.c.state.is_not(None),"),
            Edit("store.outcomes", "_FINISH", "= 'running'", "IS NOT NULL"),
        ),
        shapes=(FREEZE,),
    ),
    Mutant(
        "outcome of another claim",
        "an outcome is written to a run that is running by another claim",
        (Edit("store.outcomes", "finish_runs", "running[outcome.run_id].claim_id == outcome.claim_id", "True"),),
        shapes=("late_outcome",),
    ),
    Mutant(
        "no trust window",
        "a node that was frozen starts what it had claimed",
        (Edit("engine.gate", "StartGate._is_to_wait", "return not is_refused and", "return False and"),),
        shapes=(FREEZE,),
    ),
    Mutant(
        "trust from after the write",
        "trust counts from when a claim's answer is there",
        (Edit("engine.dispatcher", "Dispatcher._claim", "trust(begun)", "trust(self._clock.monotonic())"),),
        shapes=(FREEZE,),
    ),
    Mutant(
        "no fence",
        "a node claims although it was declared lost",
        (Edit("store.node_rows", "see_claimant", "raise NodeLost(claimant.node)", "pass"),),
        shapes=(FREEZE, RETURN),
        within=QUICK,
    ),
    Mutant(
        "back without losing its runs",
        "a node that was declared lost goes on as if nothing had been",
        (
            Edit("engine.heartbeat", "Heartbeat._come_back", "self._gate.revoke_all(refusal)", "[]"),
            Edit("engine.heartbeat", "Heartbeat._come_back", "self._lose_runs()", "pass"),
            Edit(
                "store.node_rows",
                "bring_back_node",
                'connection.execute(_HAS_RUNNING, {"node": record.id}).scalar()',
                "False",
            ),
        ),
        shapes=(FREEZE, RETURN),
    ),
    Mutant(
        "reaper by elapsed time",
        "a run that has been going for long is taken for lost",
        (
            Edit(
                "store.node_rows",
                "_ABANDONED",
                "runs.c.node.not_in(_LIVE_IDS)",
                "runs.c.started_at < literal_column(\"(SELECT datetime(max(seen_at), '-5 seconds') FROM nodes)\")",
            ),
        ),
        within=QUICK,
    ),
    Mutant(
        "lease by the wall clock",
        "a node is lapsed when it was last seen long ago by the observer's clock",
        (
            Edit(
                "engine.heartbeat",
                "Heartbeat._look_at_others",
                "self._neighbours.observe(live, now=now, monotonic=self._clock.monotonic())",
                "[one for one in live if (self._clock.now() - one.seen_at).total_seconds() > 12]",
            ),
        ),
        shapes=("clock_step",),
    ),
    Mutant(
        "loss that does not look at the beats",
        "a node is declared lost though it has moved since it was looked at",
        (Edit("store.node_rows", "_LOSE", ', func.coalesce(nodes.c.beats, 0) == bindparam("seen_beats")', ""),),
        shapes=("slow_burial",),
        within=QUICK,
    ),
    Mutant(
        "loss that ends with its finder",
        "only who declares a node lost looks for its runs",
        (
            Edit(
                "engine.heartbeat",
                "Heartbeat._look_at_others",
                "    self._lose_runs()\n    left",
                "    if lost:\n        self._lose_runs()\n    left",
            ),
        ),
        shapes=("slow_burial",),
        within=QUICK,
    ),
    Mutant(
        "doubt settled by the run",
        "a start in doubt counts as ours if its run is running, by whatever claim",
        (
            Edit(
                "engine.waiting",
                "WaitingRuns.settle_doubt",
                "self._store.claims_on_record({each.run.id: each.claim_id for each, _ in self._in_doubt})",
                "{each.claim_id for each, _ in self._in_doubt if (found := self._store.run(each.run.id)) is not None "
                "and found.state is RunState.RUNNING}",
            ),
        ),
        shapes=("lost_start",),
        within=QUICK,
    ),
    Mutant(
        "overlap of the own node only",
        "a claim does not count the runs of other nodes",
        (
            Edit(
                "store.claims",
                "_advance",
                "_verdicts(connection, moves, stored, ended)",
                "_verdicts(connection, moves, stored, {*ended, *connection.execute(select(runs.c.claim_id).where("
                "runs.c.node != next((move.run.node for move in moves if move.run), None))).scalars()})",
            ),
        ),
        within=QUICK,
    ),
    Mutant(
        "only the home claims",
        "no other node takes a slot over when its home is dead",
        (Edit("engine.homes", "Homes.delay", "MAX_TAKE_OVER_SECONDS)", "9.0) * 1_000"),),
        within=1_000,
    ),
    Mutant(
        "deaf to a pause elsewhere",
        "a node does not follow when another one pauses everything",
        (Edit("engine.watcher", "Watcher.look", "self._pausing.follow()", "pass"),),
        within=QUICK,
    ),
    Mutant(
        "permit twice",
        "a run's permit is given back twice",
        (
            Edit(
                "engine.runner",
                "Runner._bring_home",
                "self._agenda.give_back(lane, permits, short_runs=short_runs[lane])",
                "self._agenda.give_back(lane, permits + 1, short_runs=short_runs[lane])",
            ),
        ),
        within=QUICK,
    ),
    Mutant(
        "delete without the gate",
        "a deletion does not revoke the runs that were claimed before it",
        (Edit("engine.editor", "Editor._forget", "self._gate.revoke(", "(lambda *_, **__: None)("),),
        shapes=(CLAIM,),
    ),
    Mutant(
        "pause without the gate",
        "a pause does not revoke the runs that were claimed before it",
        (Edit("engine.editor", "Editor._wake", "self._gate.revoke(", "(lambda *_, **__: None)("),),
        shapes=(CLAIM,),
        within=QUICK,
    ),
    Mutant(
        "gate after the answer of everything paused",
        "a pause of everything does not hold the gate",
        (Edit("engine.pausing", "Pausing._hold", "self._gate.hold(", "(lambda *_: None)("),),
        shapes=(CLAIM,),
    ),
    Mutant(
        "recorder drops its batch",
        "outcomes that the store did not take are forgotten",
        (
            Edit(
                "engine.recorder",
                "Recorder.write_once",
                "self._is_second_try = True",
                "self._being_written.clear()",
            ),
        ),
        shapes=(LOST,),
        within=QUICK,
    ),
    Mutant(
        "lost answer taken for a no",
        "a claim whose answer was lost counts as not written",
        (
            Edit(
                "engine.dispatcher",
                "Dispatcher._claim",
                "self._doubt(claims, look_again_after_seconds=0.0)\n        raise",
                "[self._conclude(claim, None, is_ours=False) for claim in claims]\n        raise",
            ),
            Edit("engine.heartbeat", "Heartbeat.beat", "self._lose_strays()", "pass"),
        ),
        shapes=(LOST,),
        within=QUICK,
    ),
    Mutant(
        "lost answer taken for a yes",
        "a claim whose answer was lost counts as written",
        (
            Edit(
                "engine.dispatcher",
                "Dispatcher._claim",
                "self._doubt(claims, look_again_after_seconds=0.0)\n        raise",
                "[self._conclude(claim, claim.run, is_ours=True) for claim in claims]\n        raise",
            ),
        ),
        shapes=(LOST,),
    ),
    Mutant(
        "lost answer of a waiting run's start taken for a no",
        "a start whose answer was lost counts as not written",
        (
            Edit(
                "engine.waiting",
                "WaitingRuns._claim",
                "self._in_doubt.extend((each, timedelta(0)) for each in candidates)",
                "[self._conclude(each, None) for each in candidates]",
            ),
            Edit("engine.heartbeat", "Heartbeat.beat", "self._lose_strays()", "pass"),
        ),
        shapes=("lost_start",),
    ),
    Mutant(
        "lost answer of a request for a run",
        "a run whose request failed is given up and left on record as running",
        (
            Edit(
                "engine.manual_runs",
                "ManualRuns._keep",
                'self._runner.end_unstarted(assignment, Refusal("the database did not answer when it was requested"))',
                "self._runner.withdraw(run)",
            ),
            Edit("engine.heartbeat", "Heartbeat.beat", "self._lose_strays()", "pass"),
        ),
        shapes=(LOST,),
        within=QUICK,
    ),
    Mutant(
        "overlap not counted",
        "a slot starts however many runs of its job are going",
        (Edit("store.overlaps", "decide", "len(crowd) >= rules.max_instances", "False"),),
        within=QUICK,
    ),
    Mutant(
        "key not counted",
        "a run starts however many of its concurrency key are going",
        (Edit("store.overlaps", "_by_key", "loads[key] < rules.concurrency_limit", "True"),),
        within=QUICK,
    ),
    Mutant(
        "permits not counted",
        "the timer claims whatever is due",
        (
            Edit(
                "engine.agenda",
                "Agenda._take_from",
                "min(self._room(lane), MAX_CLAIM_BATCH)",
                "MAX_CLAIM_BATCH",
            ),
        ),
        within=QUICK,
    ),
    Mutant(
        "edit beside a claim ahead",
        "an edit leaves alone what is claimed ahead",
        (
            Edit("engine.ahead_claims", "AheadClaims.take_back", "if not tickets:", "if True:"),
            Edit("engine.ahead_claims", "AheadClaims.await_others", "if not 0.0 <", "if True or not 0.0 <"),
        ),
        within=500,
    ),
    Mutant(
        "half a claim taken back",
        "the run of a claim that is taken back stays on record",
        (
            Edit(
                "store.taking_back", "_take_back", "connection.execute(_DELETE_CLAIM, this_claim)", "pass"
            ),
        ),
        within=500,
    ),
    Mutant(
        "silent deletion",
        "slots that were due when their job was deleted have no row",
        (Edit("engine.editor", "Editor._dropping", "return None if run is None else Dropping", "return None and"),),
        shapes=("slow_store", CLAIM),
    ),
    Mutant(
        "silent edit",
        "slots that were due when their job was edited have no row",
        (Edit("engine.editor", "Editor._dropped_slots", "not job.is_scheduled or", "True or"),),
        shapes=("slow_store", CLAIM),
        within=QUICK,
    ),
    Mutant(
        "edit without a version check",
        "an edit overwrites what a claim has written since it was read",
        (Edit("store.job_rows", "_REPLACE", ', jobs.c.version == bindparam("expected_version")', ""),),
        shapes=("edit_at_an_edit", CLAIM),
        within=500,
    ),
    Mutant(
        "no one wakes what waits",
        "the end of a run looks at none that waits for it, and nothing looks again",
        (
            Edit("engine.scheduler", "Scheduler._follow_up", "self._agenda.push(hint)", "pass"),
            Edit("engine.watcher", "Watcher._push_waiting", "self._agenda.push(hint)", "pass"),
        ),
        within=QUICK,
    ),
    Mutant(
        "edit that wakes nobody",
        "an edit is written, and neither this node nor any other is told or looks",
        (
            Edit("engine.editor", "Editor._wake", "self._agenda.push(hint_of(job))", "pass"),
            Edit("engine.watcher", "Watcher._look_for_work", "self._agenda.refresh(", "list("),
        ),
        within=QUICK,
    ),
    Mutant(
        "lost runs are left",
        "a start does not look for runs of processes that died",
        (Edit("engine.recovery", "lose_abandoned_runs", "limit=MAX_OUTCOME_BATCH", "limit=0"),),
        shapes=(CRASH,),
        within=QUICK,
    ),
    Mutant(
        "waiting run started twice",
        "a run that waited is started whether or not it still waits",
        (
            Edit("store.waiting_runs", "_WAITING", ", IS_WAITING", ""),
            Edit(
                "store.waiting_runs",
                "_TO_START",
                "_WAITING",
                'select(runs).where(runs.c.id.in_(bindparam("run_ids", expanding=True)))',
            ),
            Edit("store.waiting_runs", "_START", ", IS_WAITING", ""),
        ),
    ),
    Mutant(
        "grid moves with every edit",
        "an edit of anything puts the job on a new grid",
        (Edit("engine.edits", "_settled", "job.timing.interval_seconds != described.timing.interval_seconds", "True"),),
        within=QUICK,
    ),
    Mutant(
        "grid drifts",
        "the next slot counts from when the last one was claimed",
        (
            Edit("engine.due_slots", "DueSlots._in_time", "second,", f"{AFTER_NOW},"),
            Edit("engine.due_slots", "DueSlots._first_few", "slots[-1], next_one,", f"slots[-1], {AFTER_NOW},"),
        ),
        within=QUICK,
    ),
)  # fmt: skip
