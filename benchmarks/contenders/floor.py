"""The floor: a heap, a condition, a thread pool, and nothing stored. What Python itself takes to start a slot."""

import heapq
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from benchmarks.plan import Plan
from benchmarks.probe import Probe

THREADS = 16


def main(plan: Plan, folder: Path) -> None:
    """Start every slot of the plan."""
    probe = Probe(folder / "floor.probe", most=int(plan.jobs * (plan.seconds + 2)))
    condition = threading.Condition()
    heap = [(plan.first_slot(number), number) for number in range(plan.jobs)]
    heapq.heapify(heap)
    ends_at = plan.start_at + plan.seconds
    with ThreadPoolExecutor(THREADS) as pool:
        while heap[0][0] < ends_at:
            with condition:
                if (seconds := heap[0][0] - time.time()) > 0:
                    condition.wait(seconds)
                now, due = time.time(), []
                while heap[0][0] <= now:
                    slot, number = heap[0]
                    heapq.heapreplace(heap, (round(slot + 1.0, 6), number))
                    due.append(number)
            for number in due:
                pool.submit(probe.note, number)


if __name__ == "__main__":
    main(Plan.read(Path(sys.argv[1])), Path(sys.argv[2]))
