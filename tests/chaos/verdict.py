"""What a scene came to: counts and breaches, as a table for people."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace

from tests.chaos.checks import Finding, Story, check, interrupted, nothing_is_stuck
from tests.chaos.facts import SECOND, starts

SHOWN = 5
"""Breaches of each kind that are told one by one."""

TOO_SLOW = "slower than wanted"
OF_SPEED = frozenset({"late start", "lost too late", "slot that did not start", TOO_SLOW})
"""Breaches that a machine with little to spare may cause by itself. A slot that comes too late is missed."""


@dataclass
class Verdict:
    """Counts and measurements in the order in which they are shown, and every breach."""

    facts: dict[str, str] = field(default_factory=dict)
    findings: list[Finding] = field(default_factory=list)

    @property
    def breaches(self) -> Counter[str]:
        return Counter(finding.kind for finding in self.findings)

    def measure(self, name: str, seconds: Sequence[float], *, unit: str = "s", scale: float = 1) -> None:
        """Add the median, the 99th percentile and the maximum of what was measured."""
        if not seconds:
            self.facts[name] = "nothing measured"
            return
        p50, p99, most = (percentile(seconds, part) * scale for part in (0.5, 0.99, 1))
        self.facts[name] = f"p50 {p50:.3f}  p99 {p99:.3f}  max {most:.3f} {unit}  (n={len(seconds)})"

    def require(self, name: str, *, holds: bool, detail: str = "") -> None:
        """Something that a scenario asks for beside what every story must show."""
        if not holds:
            self.findings.append(Finding(name, "-", 0, detail))

    def table(self, title: str) -> str:
        lines = [title, *(f"  {name:<34} {value}" for name, value in self.facts.items())]
        if not self.findings:
            return "\n".join([*lines, "  no breach"])
        for kind, count in self.breaches.most_common():
            told = [str(finding) for finding in self.findings if finding.kind == kind][:SHOWN]
            lines += [f"  BREACH {kind:<27} {count}", *(f"    {text}" for text in told)]
        return "\n".join(lines)

    def assert_correct(self, title: str) -> None:
        """How fast it was does not count."""
        assert self.breaches.keys() <= OF_SPEED, self.table(title)


def percentile(seconds: Sequence[float], part: float) -> float:
    """The one that `part` of them lie below."""
    return sorted(seconds)[min(len(seconds) - 1, int(len(seconds) * part))]


def judge(story: Story, settled: Story, *, collapses: int) -> Verdict:
    """`settled` has the rows from before the servers were stopped, which a stop would have put in order."""
    findings = [*nothing_is_stuck(settled), *(each for each in check(story) if not each.kind.startswith("stuck"))]
    return Verdict(_facts(story, collapses), findings)


def _facts(story: Story, collapses: int) -> dict[str, str]:
    ran = starts(story.lines)
    lateness = [line.at - line.slot for line in ran if line.attempt == 1]
    verdict = Verdict(
        {
            "jobs": str(len(story.grids)),
            "slots due": str(sum(len(grid.slots(story.horizon)) for grid in story.grids)),
            "starts": str(len(ran)),
            "rows by state": _counts(row.state for row in story.rows),
            "slots in missed rows": str(sum(row.slot_count for row in story.rows if row.state == "missed")),
            "faults": _counts(fault.kind for fault in story.faults),
            "interrupted by a kill": str(sum(1 for _ in interrupted(story))),
            "servers that ended by themselves": str(collapses),
        }
    )
    verdict.measure("lateness of first attempts", lateness, scale=1 / SECOND)
    verdict.measure("from kill to lost", list(_loss_times(story)), scale=1 / SECOND)
    seen = replace(story, faults=[fault for fault in story.faults if fault.witnesses])
    verdict.measure("from kill to lost, others at work", list(_loss_times(seen)), scale=1 / SECOND)
    verdict.facts["starts over the limit, excused"] = str(sum(each > story.late_limit for each in lateness))
    return verdict.facts


def _loss_times(story: Story) -> Iterable[float]:
    rows = {row.run_id: row for row in story.rows}
    for line, fault in interrupted(story):
        row = rows.get(line.run_id)
        state, finished_at = (row.end_of(line.attempt) if row else None) or ("", None)
        if state == "lost" and finished_at is not None:
            yield finished_at - fault.at


def _counts(words: Iterable[str]) -> str:
    return ", ".join(f"{word} {count}" for word, count in sorted(Counter(words).items())) or "none"
