"""Workers and the process that started them: they end with it, and do not keep it from ending."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.engine.lanes.processes import has_ended
from tests.fakes import REAL_SECONDS

pytestmark = pytest.mark.real_time

ROOT = Path(__file__).parents[3]

SERVICE = """
import json, os, sys, threading
sys.path.insert(0, sys.argv[1])
assert __name__ == "__main__", "a worker has imported the program of its parent"
from engine.lanes.process_lane import ProcessLane
from tests.engine.lanes.calls import run
lane = ProcessLane(workers=2)
lane.start()
watch = run(lane, sys.argv[2])
told = watch.await_line(sys.argv[3])
print(json.dumps([lane.worker_pids(), told]), flush=True)
if sys.argv[4] == "stay":
    threading.Event().wait()
"""


def start_service(tmp_path: Path, *arguments: str) -> "subprocess.Popen[str]":
    """A program of its own, without a suffix and not importable, as console scripts are."""
    script = tmp_path / "service"
    script.write_text(SERVICE)
    command = [sys.executable, str(script), str(ROOT), *arguments]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)


@pytest.mark.parametrize(("qualname", "line"), [("hold_the_interpreter", "holding"), ("have_children", "children")])
def test_workers_and_all_they_started_end_when_their_parent_is_killed(tmp_path: Path, qualname: str, line: str) -> None:
    with start_service(tmp_path, qualname, line, "stay") as service:
        assert service.stdout is not None
        pids, told = json.loads(service.stdout.readline())
        children = [int(word) for word in told.split()[1:] if word.isdigit()]

        service.kill()

        assert pids
        assert all(has_ended(pid) for pid in [*pids, *children])
        # Nobody else has the pipe of its standard output open any more.
        assert service.stdout.read() == ""


def test_workers_do_not_hold_the_exit_of_their_parent(tmp_path: Path) -> None:
    with start_service(tmp_path, "wait_for_ever", "waiting", "go") as service:
        assert service.stdout is not None
        pids, _ = json.loads(service.stdout.readline())

        assert service.wait(REAL_SECONDS) == 0
        assert all(has_ended(pid) for pid in pids)


def test_a_worker_whose_parent_is_gone_before_it_looks_ends_too() -> None:
    read_end, write_end = os.pipe()
    os.close(write_end)
    program = f"from engine.lanes.lifeline import hold_on_to; hold_on_to({read_end}); print('lives')"

    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=ROOT,
        pass_fds=(read_end,),
        start_new_session=True,
        capture_output=True,
        timeout=REAL_SECONDS,
        check=False,
    )
    os.close(read_end)

    assert done.returncode == -9
    assert done.stdout == b""
