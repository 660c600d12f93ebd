"""Worker processes, real ones: how calls end, and that nothing they do harms the lane."""

import json
import os
import signal
import threading
from pathlib import Path

import pytest

from engine.call_ends import Died, GaveUp, Killed, Raised, Returned
from engine.errors import NotScheduling
from engine.lanes.process_lane import ProcessLane
from tests.engine.lanes.calls import FUNCTIONS, Watch, make_call, run
from tests.engine.lanes.processes import has_ended
from tests.fakes import REAL_SECONDS

pytestmark = pytest.mark.real_time


def assert_fit(lane: ProcessLane) -> None:
    """Both workers take calls, at the same time."""
    barrier = threading.Barrier(2)
    gate = lambda: barrier.wait(REAL_SECONDS) >= 0  # noqa: E731 - neither is let in before the other is there
    for watch in [Watch(gate).submit(lane, make_call("give_back", 1)) for _ in range(2)]:
        assert watch.end() == Returned("1")


def test_a_function_gets_its_arguments_and_its_result_comes_back(lane: ProcessLane) -> None:
    watch = run(lane, "give_back", {"a": ["ü", None, 1.5]})

    assert watch.end() == Returned('{"a":["ü",null,1.5]}')
    assert watch.told == ["started", "ended"]


def test_the_context_of_the_run_is_there_and_never_cancelled(lane: ProcessLane) -> None:
    end = run(lane, "tell_run").end()

    assert end == Returned('["a-job","a-run","2026-01-01T12:00:00+00:00",2,false]')


def test_a_coroutine_function_runs_to_its_end(lane: ProcessLane) -> None:
    assert run(lane, "turn_once", 5).end() == Returned("5")


def test_what_does_not_pickle_does_no_harm(lane: ProcessLane) -> None:
    returned, raised = run(lane, "give_back_an_object").end(), run(lane, "raise_unpicklable").end()

    assert isinstance(returned, Returned)
    assert returned.reason is not None
    assert "not JSON serializable" in returned.reason
    assert isinstance(raised, Raised)
    assert raised.error.type == "tests.engine.lanes.functions.Unpicklable"
    assert "raise Unpicklable" in raised.error.traceback


def test_a_huge_result_is_not_kept(lane: ProcessLane) -> None:
    end = run(lane, "give_back_much").end()

    assert isinstance(end, Returned)
    assert end.result_json is None
    assert "50000002 bytes" in str(end.reason)


def test_a_function_may_cancel_its_run_or_ask_for_a_retry(lane: ProcessLane) -> None:
    end = run(lane, "retry_later").end()

    assert run(lane, "cancel_itself").end() == GaveUp("nothing to do")
    assert isinstance(end, Raised)
    assert end.retry_after_seconds == 7.0


def test_final_errors_are_those_that_the_worker_finds_in_the_registry(lane: ProcessLane) -> None:
    end = run(lane, "fail_for_good", module="tests.engine.lanes.registered", name="lanes_test_function").end()

    assert isinstance(end, Raised)
    assert end.is_final


def test_an_exit_by_exception_ends_the_run_and_not_the_worker(lane: ProcessLane) -> None:
    assert_fit(lane)
    pids = lane.worker_pids()
    end = run(lane, "leave").end()

    assert isinstance(end, Raised)
    assert end.error.type == "SystemExit"
    assert lane.worker_pids() == pids


@pytest.mark.parametrize(
    ("qualname", "reason"),
    [("exit_at_once", "exited with code 7"), ("crash", "ended by SIGSEGV"), ("be_killed", "ran out of memory")],
)
def test_a_worker_that_ends_by_itself_harms_nobody_else(lane: ProcessLane, qualname: str, reason: str) -> None:
    other = run(lane, "wait_for_ever")
    other.await_line("waiting")

    end = run(lane, qualname).end()

    assert isinstance(end, Died)
    assert reason in end.reason
    assert run(lane, "give_back", 1).end() == Returned("1")
    assert not other.ends
    other.kill()
    assert other.end() == Killed()
    assert_fit(lane)


@pytest.mark.parametrize("qualname", ["wait_for_ever", "wait_for_ever_on_a_loop", "hold_the_interpreter"])
def test_a_kill_ends_a_function_whatever_it_does(lane: ProcessLane, qualname: str) -> None:
    watch = run(lane, qualname)
    watch.await_line("waiting" if "wait" in qualname else "holding")

    watch.kill()
    watch.kill()

    assert watch.end() == Killed()
    assert_fit(lane)
    watch.kill()
    assert_fit(lane)
    assert len(watch.ends) == 1


def test_a_kill_ends_all_that_the_function_started(lane: ProcessLane) -> None:
    watch = run(lane, "have_children")
    children = [int(pid) for pid in watch.await_line("children").split()[1:]]

    watch.kill()

    assert watch.end() == Killed()
    assert all(has_ended(pid) for pid in children)
    assert_fit(lane)


def test_what_a_crashed_function_has_started_ends_with_it(lane: ProcessLane) -> None:
    watch = run(lane, "leave_a_child_and_crash")

    end = watch.end()

    assert isinstance(end, Died)
    assert "code 9" in end.reason
    assert has_ended(int(watch.await_line("children").split()[1]))


def test_a_forked_child_that_returns_as_well_ends_nothing(lane: ProcessLane) -> None:
    watch = run(lane, "return_twice")

    assert watch.end() == Returned("1")
    assert watch.texts() == []
    assert_fit(lane)


def test_a_call_that_is_killed_in_line_never_starts(lane: ProcessLane) -> None:
    busy = [run(lane, "wait_for_ever"), run(lane, "wait_for_ever")]
    for each in busy:
        each.await_line("waiting")
    waiting = run(lane, "give_back", 1)

    waiting.kill()

    assert waiting.end() == Killed()
    assert waiting.told == ["ended"]
    for each in busy:
        each.kill()
        assert each.end() == Killed()
    assert_fit(lane)


def test_a_gate_that_refuses_keeps_the_call_from_being_made(lane: ProcessLane) -> None:
    refused = Watch(gate=lambda: False).submit(lane, make_call("talk", 1))
    assert_fit(lane)

    refused.kill()

    assert refused.told == ["started"]


def test_a_gate_that_fails_refuses(lane: ProcessLane) -> None:
    def fail() -> bool:
        raise RuntimeError("no gate")

    refused = Watch(gate=fail).submit(lane, make_call("talk", 1))
    assert_fit(lane)

    assert "ended" not in refused.told


def test_the_function_is_found_before_the_gate_is_asked(lane: ProcessLane) -> None:
    watch = run(lane, "nothing_of_this_name")

    end = watch.end()

    assert isinstance(end, Died)
    assert "could not find tests.engine.lanes.functions.nothing_of_this_name" in end.reason
    assert watch.told == ["started", "ended"]


def test_a_module_that_does_not_import_ends_the_call_with_the_reason(lane: ProcessLane) -> None:
    assert_fit(lane)
    pids = lane.worker_pids()
    end = run(lane, "f", module="tests.engine.lanes.bad_module").end()

    assert isinstance(end, Died)
    assert "RuntimeError: no settings for this module" in end.reason
    assert lane.worker_pids() == pids


def test_a_module_that_ends_its_process_ends_the_call_with_the_reason(lane: ProcessLane) -> None:
    end = run(lane, "f", module="tests.engine.lanes.deadly_module").end()

    assert isinstance(end, Died)
    assert "while it imported tests.engine.lanes.deadly_module, its worker process exited with code 11" in end.reason
    assert_fit(lane)


@pytest.mark.parametrize("modules", [("tests.engine.lanes.deadly_module",), ("tests.engine.lanes.bad_module",)])
def test_a_module_that_can_not_be_had_ready_keeps_no_worker_from_starting(modules: tuple[str, ...]) -> None:
    lane = ProcessLane(workers=1, modules=modules)
    lane.start()

    assert run(lane, "give_back", 1).end() == Returned("1")
    assert lane.stop(REAL_SECONDS)


def test_where_no_worker_starts_a_call_ends_with_the_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.executable", "/nonexistent/python")
    lane = ProcessLane(workers=1)
    lane.start()

    end = run(lane, "give_back", 1).end()

    assert isinstance(end, Died)
    assert "no worker process could be started: [Errno 2]" in end.reason
    assert lane.stop(REAL_SECONDS)


def test_a_worker_that_is_killed_at_rest_is_replaced(lane: ProcessLane) -> None:
    assert_fit(lane)
    for pid in lane.worker_pids():
        os.kill(pid, signal.SIGKILL)
        assert has_ended(pid)

    assert_fit(lane)


def test_a_memory_limit_makes_a_hog_fail_and_nobody_else() -> None:
    lane = ProcessLane(workers=1, memory_limit_bytes=500_000_000)
    lane.start()

    end = run(lane, "hog_memory").end()

    assert isinstance(end, Raised)
    assert end.error.type == "MemoryError"
    assert run(lane, "give_back", 1).end() == Returned("1")
    assert lane.stop(REAL_SECONDS)


@pytest.mark.parametrize("qualname", ["close_descriptors", "close_descriptors_and_wait"])
def test_a_function_that_closes_descriptors_loses_only_itself(lane: ProcessLane, qualname: str) -> None:
    end = run(lane, qualname).end()

    assert isinstance(end, Died)
    assert "close" in end.reason or "code 1" in end.reason
    assert_fit(lane)


def test_a_file_that_gets_the_number_of_the_connection_stays_clean(lane: ProcessLane, tmp_path: Path) -> None:
    file = tmp_path / "data"

    assert isinstance(run(lane, "take_the_descriptors", str(file)).end(), Died)
    assert file.read_bytes() == b""


def test_a_function_that_writes_to_the_connection_loses_only_itself(lane: ProcessLane) -> None:
    end = run(lane, "write_to_all_descriptors").end()

    assert isinstance(end, Died)
    assert "it sent what is no message" in end.reason
    assert_fit(lane)


def test_workers_inherit_no_socket_and_no_file(lane: ProcessLane, tmp_path: Path) -> None:
    with (tmp_path / "database").open("w") as file:
        os.set_inheritable(file.fileno(), True)
        fresh = ProcessLane(workers=1)
        fresh.start()
        end = run(fresh, "list_sockets").end()
        assert fresh.stop(REAL_SECONDS)

    assert isinstance(end, Returned)
    assert end.result_json is not None
    kinds = sorted(name.split(":")[0] for name in json.loads(end.result_json) if not name.startswith("/proc/"))
    assert kinds == ["pipe", "socket"]


def test_workers_import_nothing_of_the_web_and_of_the_store(lane: ProcessLane) -> None:
    assert run(lane, "list_modules").end() == Returned("[]")


def test_signals_to_all_do_not_end_a_worker_but_what_it_starts(lane: ProcessLane) -> None:
    assert run(lane, "is_interruptible").end() == Returned(f"[{-signal.SIGTERM}]")


def test_a_worker_is_the_leader_of_its_own_session(lane: ProcessLane) -> None:
    assert_fit(lane)

    for pid in lane.worker_pids():
        assert os.getsid(pid) == os.getpgid(pid) == pid


def test_a_stop_kills_what_is_left_and_takes_nothing_more() -> None:
    lane = ProcessLane(workers=1, modules=(FUNCTIONS,))
    lane.start()
    running = run(lane, "hold_the_interpreter")
    running.await_line("holding")
    waiting = run(lane, "give_back", 1)
    pids = lane.worker_pids()

    assert lane.stop(REAL_SECONDS)

    assert running.end() == waiting.end() == Killed()
    assert waiting.told == ["ended"]
    assert all(has_ended(pid) for pid in pids)
    with pytest.raises(NotScheduling):
        run(lane, "give_back", 1)
    assert lane.stop(REAL_SECONDS)


def test_a_stop_does_not_wait_for_a_listener_that_hangs() -> None:
    lane = ProcessLane(workers=1)
    lane.start()
    entered, release = threading.Event(), threading.Event()

    def hang(_line: object) -> None:
        entered.set()
        release.wait(REAL_SECONDS)

    lane.submit(make_call("talk", 1), started=lambda: True, ended=lambda _end: None, wrote=hang)
    assert entered.wait(REAL_SECONDS)

    assert not lane.stop(0.05)
    release.set()
    assert lane.stop(REAL_SECONDS)


def test_listeners_that_raise_stop_nothing(lane: ProcessLane) -> None:
    def fail(_told: object) -> None:
        raise RuntimeError("listener")

    for _ in range(3):
        lane.submit(make_call("talk", 2), started=lambda: True, ended=fail, wrote=fail)

    assert_fit(lane)


def test_calls_that_several_threads_kill_at_random_end_once_each_and_leave_all_workers() -> None:
    lane = ProcessLane(workers=2, modules=(FUNCTIONS,))
    lane.start()
    kinds = ("give_back", "turn_once", "leave", "exit_at_once", "talk", "give_back")
    watches = [run(lane, kind, 3) for kind in kinds * 20]

    def kill_some(part: int) -> None:
        for watch in watches[part::3]:
            if watch.is_over.wait(0.02 * (part + 1)):
                continue
            watch.kill()

    threads = [threading.Thread(target=kill_some, args=(part,)) for part in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    ends = [(kind, watch.end()) for kind, watch in zip(kinds * 20, watches, strict=True)]
    assert_fit(lane)

    assert [kind for kind, end in ends if isinstance(end, Died) and kind != "exit_at_once"] == []
    assert all(watch.told.index("ended") == len(watch.told) - 1 for watch in watches)
    assert len(lane.worker_pids()) == 2
    assert lane.stop(REAL_SECONDS)
