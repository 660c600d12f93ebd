"""The bare floor: a heap, a condition and a thread pool. Nothing is stored, nothing can be changed or lost."""

from concurrent.futures import ThreadPoolExecutor
from heapq import heapify, heapreplace
from threading import Condition, Event, Thread
from time import time

from benchmarks.contenders.child import POOL_SIZE, first_slot_after, peak_mib, say, wait_until_told
from benchmarks.contenders.recording import PLAN, record


def main() -> None:
    """Run the plan."""
    first_at = first_slot_after(PLAN.lead_seconds)
    stopped = Event()
    with ThreadPoolExecutor(POOL_SIZE) as pool:
        # Threads of a pool are made as they are needed: not while the first slots are measured.
        list(pool.map(lambda _: stopped.wait(0.01), range(POOL_SIZE)))
        timer = Thread(target=serve, args=(first_at, pool, stopped))
        timer.start()
        say(first_at=first_at)
        wait_until_told()
        stopped.set()
        timer.join()
    say(peak_mib=peak_mib())


def serve(first_at: float, pool: ThreadPoolExecutor, stopped: Event) -> None:
    heap = [(first_at + PLAN.phase_of(number), number) for number in PLAN.numbers]
    heapify(heap)
    condition = Condition()
    while not stopped.is_set():
        due, number = heap[0]
        with condition:
            if (delay := due - time()) > 0:
                condition.wait(min(delay, 0.5))
                continue
            heapreplace(heap, (due + PLAN.interval_of(number), number))
        pool.submit(record, number)


if __name__ == "__main__":
    main()
