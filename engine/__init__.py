"""The rules: nouns, schedules, clock, heap, timer thread, run path. No SQL, no HTTP."""
