"""Job functions that do what no job function should, each in a thread and, as `<name>_in_process`, in a worker process.

They import nothing of the tests: tests and benchmarks name this module in JOB_MODULES. `seconds` of the job's metadata
says how long they go on.
"""

import collections
import contextlib
import ctypes
import io
import itertools
import logging
import multiprocessing
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

from registry import register_job

log = logging.getLogger("hostile")

LINE = "x" * 999
"""With its end, a thousand bytes."""

Function = Callable[..., Any]


def in_both_lanes(function: Function) -> Function:
    """Register it twice."""
    register_job(function.__name__)(function)
    return in_process(function)


def in_process(function: Function) -> Function:
    """Register it for worker processes only: in a thread it would end the service, as any code in its process can."""
    register_job(f"{function.__name__}_in_process", isolation="process")(function)
    return function


@register_job("innocent")
def innocent(job_id: str) -> None:
    """Do nothing: what is of interest is when."""


@in_both_lanes
def ignores_its_time_out(job_id: str) -> None:
    threading.Event().wait()


@in_both_lanes
def holds_the_interpreter(job_id: str, job_metadata: dict[str, Any]) -> None:
    """As one long call into C does: no other thread gets the interpreter's lock meanwhile."""
    until = time.monotonic() + job_metadata["seconds"]
    # In C from its first to its last turn, without a look at who else wants the interpreter.
    collections.deque(itertools.takewhile(until.__gt__, iter(time.monotonic, None)), maxlen=0)


@in_process
def segfaults(job_id: str) -> None:
    ctypes.string_at(0)


@in_process
def exits_at_once(job_id: str) -> None:
    os._exit(7)


@in_process
def is_killed(job_id: str) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


@in_process
def eats_memory(job_id: str) -> None:
    held = []
    while True:
        held.append("x" * 10_000_000)


@in_both_lanes
def calls_sys_exit(job_id: str) -> None:
    sys.exit(3)


@in_both_lanes
def is_interrupted(job_id: str) -> None:
    raise KeyboardInterrupt


@in_both_lanes
def forks(job_id: str, job_metadata: dict[str, Any]) -> int:
    """Returns the pid of a child that lingers."""
    pid = os.fork()
    if pid == 0:
        time.sleep(job_metadata["seconds"])
        os._exit(0)
    return pid


@in_both_lanes
def terminates_a_child(job_id: str) -> float:
    """Returns the seconds that a forked child took to end at a SIGTERM."""
    fork = multiprocessing.get_context("fork")
    is_there = fork.Event()
    child = fork.Process(target=_linger, args=(is_there,))
    child.start()
    # A signal that comes before Python has put a child in order is lost, with any handler of the parent's.
    is_there.wait()
    began = time.monotonic()
    child.terminate()
    child.join()
    return time.monotonic() - began


@in_both_lanes
def returns_twice(job_id: str, job_metadata: dict[str, Any]) -> int:
    """Forks, and returns in the child as well."""
    pid = os.fork()
    if pid == 0:
        print("in the child")
    return pid


@in_both_lanes
def exits_twice(job_id: str) -> None:
    """Forks, and raises in the child as well."""
    os.fork()
    sys.exit(4)


@in_both_lanes
def starts_threads(job_id: str, job_metadata: dict[str, Any]) -> None:
    """Threads that print and compute on after the run, and that Python would wait for at its exit."""
    for _ in range(4):
        threading.Thread(target=_go_on, args=(job_metadata["seconds"],)).start()


@in_both_lanes
def prints_much(job_id: str, job_metadata: dict[str, Any]) -> None:
    for _ in range(job_metadata["megabytes"] * 1_000):
        print(LINE)


@in_both_lanes
def logs_much(job_id: str, job_metadata: dict[str, Any]) -> None:
    for _ in range(job_metadata["megabytes"] * 1_000):
        log.info(LINE)


@in_both_lanes
def closes_standard_descriptors(job_id: str) -> None:
    for descriptor in range(3):
        with contextlib.suppress(OSError):
            os.close(descriptor)


@in_both_lanes
def changes_the_directory(job_id: str) -> None:
    os.chdir("/")


@in_both_lanes
def replaces_standard_output(job_id: str) -> None:
    sys.stdout = sys.stderr = io.StringIO()
    print("nobody reads this")


@register_job("interrupts_the_service")
def interrupts_the_service(job_id: str) -> None:
    """In a thread its own process is the service's: this is what an operator's Ctrl-C sends."""
    os.kill(os.getpid(), signal.SIGINT)


def _linger(is_there: Any) -> None:
    is_there.set()
    time.sleep(60)


def _go_on(seconds: float) -> None:
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        print("still here")
        sum(range(1_000))
        time.sleep(0.01)
