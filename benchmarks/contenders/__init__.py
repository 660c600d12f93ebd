"""Schedulers that run the same plan, each in a process of its own, started as `python -m benchmarks.contenders.NAME`.

A contender finds its plan in its environment, prints the instant of the first slot as a line of JSON as
soon as it knows all jobs, calls `recording.record` for each slot, and goes on until its input ends. Then it prints its
own facts, such as its peak of memory, as a second line.
"""
