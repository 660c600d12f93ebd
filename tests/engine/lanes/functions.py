"""Job functions that the tests have called in worker processes: they import nothing of the tests."""

import asyncio
import contextlib
import ctypes
import logging
import os
import re
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import structlog

from registry import Cancel, Retry, RunContext


def give_back(job_id: str, job_metadata: Any) -> Any:
    return job_metadata


def tell_run(job_id: str, run: RunContext) -> Any:
    return [job_id, run.id, run.scheduled_for.isoformat(), run.attempt, run.cancelled.is_set()]


def tell_pid(job_id: str) -> int:
    return os.getpid()


async def turn_once(job_id: str, job_metadata: Any) -> Any:
    turn = asyncio.get_running_loop().create_future()
    asyncio.get_running_loop().call_soon(turn.set_result, job_metadata)
    return await turn


def give_back_an_object(job_id: str) -> Any:
    return threading.Lock()


class Unpicklable(Exception):
    def __reduce__(self) -> Any:
        raise TypeError("not me")


def raise_unpicklable(job_id: str) -> None:
    raise Unpicklable("as it is")


def cancel_itself(job_id: str) -> None:
    raise Cancel("nothing to do")


def retry_later(job_id: str) -> None:
    raise Retry("busy", after=7)


def leave(job_id: str) -> None:
    sys.exit(3)


def exit_at_once(job_id: str) -> None:
    os._exit(7)


def crash(job_id: str) -> None:
    ctypes.string_at(0)


def be_killed(job_id: str) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def hog_memory(job_id: str) -> int:
    held = []
    while True:
        held.append("x" * 10_000_000)


def give_back_much(job_id: str) -> str:
    return "x" * 50_000_000


def hold_the_interpreter(job_id: str) -> None:
    print("holding", flush=True)
    re.match(r"(a+)+$", "a" * 64 + "b")


def wait_for_ever(job_id: str) -> None:
    print("waiting", os.getpid())
    threading.Event().wait()


async def wait_for_ever_on_a_loop(job_id: str) -> None:
    print("waiting")
    await asyncio.Event().wait()


def have_children(job_id: str) -> None:
    """One started, one forked, and a bomb of forks, each of which waits until it is killed."""
    child = subprocess.Popen([sys.executable, "-c", "import signal; signal.pause()"])
    forked = os.fork()
    if forked == 0:
        signal.pause()
    for _ in range(4):
        if os.fork() == 0:
            os.fork()
            signal.pause()
    print(f"children {child.pid} {forked}")
    threading.Event().wait()


def leave_a_child_and_crash(job_id: str) -> None:
    forked = os.fork()
    if forked == 0:
        signal.pause()
    print(f"children {forked}")
    os._exit(9)


def return_twice(job_id: str) -> int:
    forked = os.fork()
    if forked:
        os.waitpid(forked, 0)
    else:
        print("from the wrong process")
    return 1


def talk(job_id: str, job_metadata: int) -> None:
    for _ in range(job_metadata):
        print("x" * 8_000)


def write_one_endless_line(job_id: str) -> None:
    sys.stdout.write("y" * 20_000)


def say_everything(job_id: str, run: RunContext) -> None:
    print("printed")
    print("to stderr", file=sys.stderr)
    logging.getLogger("a.library").warning("logged %s", "so", extra={"size": 3})
    structlog.get_logger("mine").info("an event", odd=object, deep={"a": [1, float("inf")]})
    run.log.error("by the run", count=2)
    structlog.contextvars.bind_contextvars(order="A1")
    run.log.info("with more bound")
    thread = threading.Thread(target=print, args=("from a thread",))
    thread.start()
    thread.join()
    try:
        int("bad")
    except ValueError:
        run.log.exception("failed")
    sys.stdout.write("no newline")


def log_too_quietly(job_id: str) -> None:
    logging.getLogger("a.library").debug("not wanted")
    logging.basicConfig(level=logging.DEBUG, force=True)
    sys.stdout = sys.__stdout__


async def print_in_turns(job_id: str) -> None:
    for number in range(3):
        await asyncio.to_thread(print, f"turn {number}")


def close_descriptors(job_id: str) -> None:
    os.closerange(3, 256)


def close_descriptors_and_wait(job_id: str) -> None:
    os.closerange(3, 256)
    threading.Event().wait()


def take_the_descriptors(job_id: str, job_metadata: str) -> None:
    """Close all, and open a file, which gets a number that was the worker's."""
    os.closerange(3, 256)
    for _ in range(8):
        os.open(job_metadata, os.O_WRONLY | os.O_CREAT)
    for _ in range(100):
        print("not for this file")


def write_to_all_descriptors(job_id: str) -> None:
    for descriptor in range(3, 64):
        with contextlib.suppress(OSError):
            os.write(descriptor, b"rubbish\n")
    threading.Event().wait()


def list_sockets(job_id: str) -> list[str]:
    """What the open descriptors are, but for those of the standard streams."""
    found = []
    for descriptor in range(3, 256):
        with contextlib.suppress(OSError):
            found.append(str(Path(f"/proc/self/fd/{descriptor}").readlink()))
    return found


def list_modules(job_id: str) -> list[str]:
    return sorted({name.split(".")[0] for name in sys.modules} & {"fastapi", "sqlalchemy", "uvicorn", "api", "store"})


def is_interruptible(job_id: str) -> list[int]:
    """Sends itself what a terminal or a container would, and starts a process that it ends in the ordinary way."""
    os.kill(os.getpid(), signal.SIGINT)
    os.kill(os.getpid(), signal.SIGTERM)
    child = subprocess.Popen([sys.executable, "-c", "import signal; print(1, flush=True); signal.pause()"], stdout=-1)
    assert child.stdout is not None
    child.stdout.readline()
    child.terminate()
    child.stdout.close()
    return [child.wait()]


def wait_under_an_alarm(job_id: str, job_metadata: float) -> str:
    """Talks until its own alarm goes off in the middle of a line."""

    def ring(_number: int, _frame: object) -> None:
        raise TimeoutError

    signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, job_metadata)
    try:
        while True:
            print("z" * 8_000)
    except TimeoutError:
        print("rung")
        return "rung"
