"""One contender runs one plan: its process from start to end, and what its jobs' calls tell."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import IO, Any

from benchmarks.checker import Verdict, judge
from benchmarks.contenders.catalogue import Contender
from benchmarks.plan import PLAN_VARIABLE, Plan
from benchmarks.probe import read_notes
from benchmarks.service_process import ROOT

AFTER_SECONDS = 1.0
"""How long after its end the last slots may still start and count as started."""
LOOK_SECONDS = 0.25
SECONDS_FOR_A_PROCESS = 2.5
"""How much longer each further process makes the start, on two cores."""
_LOG = "contender.log"


@dataclass(frozen=True)
class Observation:
    """What was seen: the verdict over all slots, and what the contender says of itself."""

    first_at: float
    verdict: Verdict
    facts: dict[str, Any] = field(default_factory=dict)


def measure(contender: Contender, plan: Plan) -> Observation:
    """Run it in `plan.folder`. Raises AssertionError if its process failed; of another's, before it was told to end."""
    lead_seconds = plan.lead_seconds + SECONDS_FOR_A_PROCESS * (contender.processes - 1)
    plan = replace(plan, store=contender.store, processes=contender.processes, lead_seconds=lead_seconds)
    with _process(contender, plan) as process:
        first_at = _said(process, plan)["first_at"]
        _wait_for_the_end(plan, first_at)
        assert process.stdin is not None
        process.stdin.close()
        facts = _said(process, plan)
    notes = list(read_notes(Path(plan.folder)))
    return Observation(first_at, judge(plan, first_at, notes, facts.get("runs")), facts)


@contextmanager
def _process(contender: Contender, plan: Plan) -> Iterator["subprocess.Popen[str]"]:
    with (Path(plan.folder) / _LOG).open("w") as log, _started(contender, plan, log) as process:
        yield process
        code, told = process.wait(60), (Path(plan.folder) / _LOG).read_text()
        # How another's scheduler takes its stop is not what is measured, and one of them crashes in it now and then.
        assert code == 0 or contender.is_foreign, told
        if code:
            print(f"\n{contender.label} ended with {code}: {told.splitlines()[-1:]}", file=sys.stderr)


def _started(contender: Contender, plan: Plan, log: IO[str]) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [contender.python, "-m", f"benchmarks.contenders.{contender.module}"],
        cwd=ROOT,
        env=os.environ | {PLAN_VARIABLE: plan.to_json(), "PYTHONPATH": str(ROOT)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=log,
        text=True,
    )


def _said(process: "subprocess.Popen[str]", plan: Plan) -> dict[str, Any]:
    assert process.stdout is not None
    line = process.stdout.readline()
    assert line, (Path(plan.folder) / _LOG).read_text()
    said: dict[str, Any] = json.loads(line)
    return said


def _wait_for_the_end(plan: Plan, first_at: float) -> None:
    """A burst is over with its last call, and a steady plan, or a burst that is not drained, with its time."""
    if not plan.bystanders:
        time.sleep(max(0.0, first_at + plan.span_seconds + AFTER_SECONDS - time.time()))
        return
    time.sleep(max(0.0, first_at - time.time()))
    while time.time() < first_at + plan.span_seconds:
        time.sleep(LOOK_SECONDS)
        if _is_drained(plan, first_at):
            return


def _is_drained(plan: Plan, first_at: float) -> bool:
    """Whether all jobs were called, and the bystanders that came due meanwhile."""
    notes = list(read_notes(Path(plan.folder)))
    if sum(number < plan.jobs for _, number in notes) < plan.jobs:
        return False
    verdict = judge(plan, first_at, notes, None)
    return verdict.started == verdict.slots
