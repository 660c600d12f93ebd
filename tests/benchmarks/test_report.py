"""What is published is what was measured."""

import pytest

from benchmarks import scale
from benchmarks.options import RESULTS
from benchmarks.report import README, section_of, with_section
from benchmarks.results import FILE, read_results

CHECKS = {"slots": 1000, "started": 1000, "doubled": 0, "early": 0, "skipped": 0, "unrecorded": 0, "peak_mib": 100.0}
RESULTS_OF_A_RUN = {
    "machine": {
        "date": "2026-11-27",
        "processor": "Example",
        "cores": 2,
        "python": "CPython 3.11",
        "sqlite": "3.45",
        "loop_ms": 4.2,
    },
    "dispatch_latency": [{"label": "this service", "rate": 100, "p50_ms": 0.25, **CHECKS}],
    "scale": [dict.fromkeys(scale.SHOWN, 1.5) | {"jobs": 10_000}],
    "burst": [{"label": "this service", "jobs": 1000, "recorded_per_second": 12345.6, **CHECKS, "started": 999}],
}


def test_the_section_has_a_table_for_each_rate_and_size() -> None:
    section = section_of(RESULTS_OF_A_RUN)
    assert "| this service | 0.25 |" in section
    assert "| 12,346 |" in section


def test_what_was_measured_besides_has_a_table_too() -> None:
    assert "| 10,000 | 1.50 |" in section_of(RESULTS_OF_A_RUN)


def test_lost_slots_are_shown() -> None:
    assert "saturated: 999 of 1,000 slots" in section_of(RESULTS_OF_A_RUN)


def test_only_what_is_between_the_markers_changes() -> None:
    document = "before\n<!-- benchmarks: begin -->\nold\n<!-- benchmarks: end -->\nafter"
    new = with_section(document, "new")
    assert new == document.replace("old", "new")


def test_a_document_without_markers_is_refused() -> None:
    with pytest.raises(ValueError, match="benchmarks: begin"):
        with_section("text", "new")


@pytest.mark.skipif(not (RESULTS / FILE).exists(), reason="no run is published")
def test_the_readme_says_what_the_published_run_measured() -> None:
    document = README.read_text()
    assert with_section(document, section_of(read_results(RESULTS))) == document, "run python -m benchmarks.report"
