"""The heap against a plain dictionary, and what it costs however often a job is edited."""

from datetime import datetime, timedelta
from uuid import UUID, uuid4

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from engine.heap import DOUBT, SMALLEST_REBUILD, DueHeap
from engine.nouns import DueHint
from tests.factories import NOON

JOB, OTHER, THIRD = (UUID(int=number) for number in (1, 2, 3))


def at(minutes: float) -> datetime:
    return NOON + timedelta(minutes=minutes)


def hint(job_id: UUID, minutes: float, version: int = 1) -> DueHint:
    return DueHint(job_id, at(minutes), version)


def filled(*hints: DueHint) -> DueHeap:
    heap = DueHeap()
    for one in hints:
        heap.push(one)
    return heap


def test_an_empty_heap_has_no_head_and_nothing_due() -> None:
    heap = DueHeap()

    assert len(heap) == heap.entry_count == 0
    assert heap.head_due_at() is None
    assert heap.pop_due(at(10), at_most=10) == []


def test_jobs_come_out_by_their_due_time() -> None:
    heap = filled(hint(JOB, 3), hint(OTHER, 1), hint(THIRD, 2))

    assert heap.head_due_at() == at(1)
    assert heap.pop_due(at(10), at_most=10) == [hint(OTHER, 1), hint(THIRD, 2), hint(JOB, 3)]
    assert len(heap) == 0


def test_what_is_due_at_the_instant_is_due_and_a_microsecond_later_is_not() -> None:
    heap = filled(hint(JOB, 1), DueHint(OTHER, at(1) + timedelta(microseconds=1), 1))

    assert heap.pop_due(at(1), at_most=10) == [hint(JOB, 1)]
    assert len(heap) == 1


def test_no_more_come_out_than_are_asked_for() -> None:
    heap = filled(hint(JOB, 1), hint(OTHER, 2), hint(THIRD, 3))

    assert heap.pop_due(at(10), at_most=0) == []
    assert heap.pop_due(at(10), at_most=2) == [hint(JOB, 1), hint(OTHER, 2)]
    assert heap.pop_due(at(10), at_most=2) == [hint(THIRD, 3)]


def test_an_older_version_never_replaces_a_newer_one() -> None:
    heap = filled(hint(JOB, 5, version=3), hint(JOB, 1, version=2))
    heap.fill([hint(JOB, 0, version=1)])

    assert heap.pop_due(at(10), at_most=10) == [hint(JOB, 5, version=3)]


def test_a_newer_version_replaces_an_older_one_to_an_earlier_and_to_a_later_time() -> None:
    heap = filled(hint(JOB, 5, version=1), hint(OTHER, 5, version=1))

    heap.push(hint(JOB, 1, version=2))
    heap.fill([hint(OTHER, 9, version=2)])

    assert heap.pop_due(at(10), at_most=10) == [hint(JOB, 1, version=2), hint(OTHER, 9, version=2)]


def test_the_same_hint_pushed_twice_comes_out_once() -> None:
    heap = filled(hint(JOB, 1), hint(JOB, 1))

    assert heap.pop_due(at(10), at_most=10) == [hint(JOB, 1)]
    assert heap.head_due_at() is None


def test_a_removed_job_does_not_come_out_and_may_come_back() -> None:
    heap = filled(hint(JOB, 1, version=7), hint(OTHER, 2))

    heap.remove(JOB, up_to_version=7)
    heap.remove(THIRD, up_to_version=7)

    assert heap.head_due_at() == at(2)
    heap.push(hint(JOB, 3, version=1))
    assert heap.pop_due(at(10), at_most=10) == [hint(OTHER, 2), hint(JOB, 3, version=1)]


def test_a_removal_that_is_older_than_what_is_known_removes_nothing() -> None:
    heap = filled(hint(JOB, 1, version=7))

    heap.remove(JOB, up_to_version=6)

    assert heap.pop_due(at(10), at_most=10) == [hint(JOB, 1, version=7)]


def test_hastening_moves_a_job_forward_and_never_back() -> None:
    heap = filled(hint(JOB, 5, version=4), hint(OTHER, 1, version=4))

    for job_id in (JOB, OTHER, THIRD):
        heap.hasten(job_id, due_at=at(2))

    assert heap.pop_due(at(10), at_most=10) == [
        hint(OTHER, 1, version=DOUBT),
        hint(JOB, 2, version=DOUBT),
        hint(THIRD, 2, version=DOUBT),
    ]


def test_nothing_replaces_or_removes_a_doubt_before_the_job_is_looked_at() -> None:
    heap = filled(hint(JOB, 5, version=4))
    heap.hasten(JOB, due_at=at(2))

    heap.push(hint(JOB, 9, version=99))
    heap.fill([hint(JOB, 9, version=99)])
    heap.remove(JOB, up_to_version=99)

    assert heap.pop_due(at(10), at_most=10) == [hint(JOB, 2, version=DOUBT)]
    heap.push(hint(JOB, 9, version=5))
    assert heap.pop_due(at(10), at_most=10) == [hint(JOB, 9, version=5)]


def test_all_that_is_known_can_be_listed() -> None:
    heap = filled(hint(JOB, 5, version=4), hint(OTHER, 1), hint(JOB, 3, version=5))

    assert sorted(heap.hints(), key=lambda one: one.due_at) == [hint(OTHER, 1), hint(JOB, 3, version=5)]


def test_ten_thousand_edits_of_one_job_leave_one_live_entry() -> None:
    heap = DueHeap()
    most = 0
    for version in range(10_000):
        heap.push(hint(JOB, 10_000 - version, version))
        most = max(most, heap.entry_count)

    assert len(heap) == 1
    assert most <= 2 + SMALLEST_REBUILD
    assert heap.pop_due(at(10_000), at_most=10) == [hint(JOB, 1, version=9_999)]


def test_ten_thousand_pauses_and_resumes_leave_a_bounded_number_of_entries() -> None:
    heap = filled(hint(OTHER, 99_999))
    most = 0
    for version in range(10_000):
        heap.push(hint(JOB, version, version))
        heap.remove(JOB, up_to_version=version)
        most = max(most, heap.entry_count)

    assert len(heap) == 1
    assert most <= 2 * 2 + SMALLEST_REBUILD


def test_a_thousand_jobs_edited_a_hundred_times_come_out_once_each_at_their_latest_version() -> None:
    job_ids = [uuid4() for _ in range(1_000)]
    heap = DueHeap()
    most = 0
    for version in range(100):
        for index, job_id in enumerate(job_ids):
            heap.push(hint(job_id, (index * 7_919 + version * 104_729) % 1_000, version))
            most = max(most, heap.entry_count)

    assert len(heap) == 1_000
    assert most <= 2 * 1_000 + SMALLEST_REBUILD
    popped = heap.pop_due(at(1_000), at_most=100_000)
    assert sorted(one.job_id for one in popped) == sorted(job_ids)
    assert {one.version for one in popped} == {99}
    assert [one.due_at for one in popped] == sorted(one.due_at for one in popped)


def test_what_many_pops_leave_dead_goes_with_the_next_push() -> None:
    heap = DueHeap()
    heap.fill(hint(uuid4(), 1) for _ in range(1_000))
    for number in range(900):
        heap.push(hint(UUID(int=number), 50, version=1))
        heap.push(hint(UUID(int=number), 1, version=2))

    heap.pop_due(at(1), at_most=10_000)
    heap.push(hint(JOB, 60))

    assert len(heap) == 1
    assert heap.entry_count <= 2 + SMALLEST_REBUILD


job_ids = st.sampled_from([UUID(int=number) for number in range(6)])
minutes = st.integers(0, 20)
versions = st.integers(1, 6)
hints = st.builds(hint, job_ids, minutes, versions)


class HeapAgainstDictionary(RuleBasedStateMachine):
    """Whatever is done to the heap, it holds what a dictionary from job to hint would, in due order."""

    def __init__(self) -> None:
        super().__init__()
        self.heap = DueHeap()
        self.model: dict[UUID, DueHint] = {}

    @rule(one=hints)
    def push(self, one: DueHint) -> None:
        is_newer = self._learn(one)
        self.heap.push(one)
        if is_newer:
            self._is_bounded()

    @rule(many=st.lists(hints, max_size=8))
    def fill(self, many: list[DueHint]) -> None:
        self.heap.fill(iter(many))
        for one in many:
            self._learn(one)
        assert self.heap.entry_count == len(self.model)

    @rule(job_id=job_ids, version=versions)
    def remove(self, job_id: UUID, version: int) -> None:
        self.heap.remove(job_id, up_to_version=version)
        known = self.model.get(job_id)
        if known is not None and known.version <= version:
            del self.model[job_id]
            self._is_bounded()

    @rule(job_id=job_ids, minute=minutes)
    def hasten(self, job_id: UUID, minute: int) -> None:
        self.heap.hasten(job_id, due_at=at(minute))
        known = self.model.get(job_id, hint(job_id, minute))
        self.model[job_id] = DueHint(job_id, min(known.due_at, at(minute)), DOUBT)

    @rule(minute=minutes, at_most=st.integers(0, 4))
    def pop_due(self, minute: int, at_most: int) -> None:
        due = [one for one in self._in_order() if one.due_at <= at(minute)][:at_most]
        assert self.heap.pop_due(at(minute), at_most=at_most) == due
        for one in due:
            del self.model[one.job_id]

    @rule(job_id=job_ids, times=st.integers(50, 200), version=versions)
    def edit_often(self, job_id: UUID, times: int, version: int) -> None:
        for count in range(times):
            one = hint(job_id, count % 20, version)
            self.push(one)

    @invariant()
    def it_holds_what_the_dictionary_holds(self) -> None:
        assert len(self.heap) == len(self.model)
        assert {one.job_id: one for one in self.heap.hints()} == self.model
        assert self.heap.head_due_at() == min((one.due_at for one in self.model.values()), default=None)

    def teardown(self) -> None:
        assert self.heap.pop_due(at(100), at_most=100) == self._in_order()

    def _learn(self, one: DueHint) -> bool:
        known = self.model.get(one.job_id)
        is_newer = known is None or known.version <= one.version
        if is_newer:
            self.model[one.job_id] = one
        return is_newer

    def _in_order(self) -> list[DueHint]:
        return sorted(self.model.values(), key=lambda one: (one.due_at, one.job_id))

    def _is_bounded(self) -> None:
        assert self.heap.entry_count <= 2 * len(self.model) + SMALLEST_REBUILD


TestHeapAgainstDictionary = HeapAgainstDictionary.TestCase
TestHeapAgainstDictionary.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)
