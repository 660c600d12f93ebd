"""Start to ready, memory, size of the code."""

import io
import sqlite3
import statistics
import time
import tokenize
import urllib.request
from pathlib import Path

from benchmarks.service_process import ROOT, ServiceProcess, new_folder, service

STARTS = 5
JOBS = 10_000
LISTED_JOBS = 200_000
PACKAGES = ("registry", "engine", "store", "api", "app", "tests", "benchmarks")
NOT_CODE = {tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT, tokenize.ENDMARKER}


def main() -> None:
    """Measure and print."""
    print_start_and_memory()
    print_listing()
    print_lines_of_code()


def print_start_and_memory() -> None:
    with new_folder() as folder:
        starts = []
        for _ in range(STARTS):
            with service(folder) as running:
                starts.append(running.seconds_to_ready)
                idle = running.memory_mib()
        print(f"start to ready, empty: {statistics.median(starts):.2f} s (median of {STARTS})")
        print(f"memory idle: {idle:.0f} MiB")
        with service(folder) as running:
            fill(running)
            grown = running.memory_mib()
        with service(folder) as running:
            assert running.get("/readyz")["scheduled_jobs"] == JOBS
            print(f"start to ready with {JOBS} jobs: {running.seconds_to_ready:.2f} s")
            print(f"memory with {JOBS} jobs: {running.memory_mib():.0f} MiB (after creating them: {grown:.0f} MiB)")


def fill(running: ServiceProcess) -> None:
    for number in range(JOBS):
        running.post("/jobs", {"name": f"job {number}", "function_name": "print_hello", "interval_seconds": 86_400})


def print_listing() -> None:
    with new_folder() as folder:
        with service(folder) as running:
            running.post("/jobs", {"name": "n", "function_name": "print_hello", "interval_seconds": 86_400})
        multiply_jobs(folder / "scheduler.db", LISTED_JOBS)
        with service(folder) as running:
            before = running.memory_mib()
            began = time.perf_counter()
            jobs, most = 0, before
            with urllib.request.urlopen(f"{running.url}/jobs") as answer:
                while piece := answer.read(1 << 20):
                    jobs += piece.count(b'"function_name"')
                    most = max(most, running.memory_mib())
            seconds = time.perf_counter() - began
        assert jobs == LISTED_JOBS, jobs
        print(f"GET /jobs with {LISTED_JOBS} jobs: {seconds:.1f} s, memory {before:.0f} MiB before, {most:.0f} at most")


def multiply_jobs(path: Path, wanted: int) -> None:
    """Copies of the one job, under new ids."""
    with sqlite3.connect(path) as database:
        columns = [row[1] for row in database.execute("PRAGMA table_info(jobs)") if row[1] != "id"]
        listed = ", ".join(columns)
        database.execute(
            "WITH RECURSIVE counted(number) AS (SELECT 2 UNION ALL SELECT number + 1 FROM counted WHERE number < ?) "
            f"INSERT INTO jobs (id, {listed}) SELECT lower(hex(randomblob(16))), {listed} FROM counted, jobs",
            (wanted,),
        )


def print_lines_of_code() -> None:
    print("lines of code (no blanks, comments, docstrings):")
    for package in PACKAGES:
        files = sorted((ROOT / package).rglob("*.py"))
        print(f"  {package}: {sum(map(lines_of_code, files))} in {len(files)} files")


def lines_of_code(path: Path) -> int:
    """Lines that hold a token which is neither comment nor docstring."""
    code: set[int] = set()
    at_statement_start = True
    for token in tokenize.generate_tokens(io.StringIO(path.read_text()).readline):
        is_docstring = token.type == tokenize.STRING and at_statement_start
        if token.type not in NOT_CODE and not is_docstring:
            code.update(range(token.start[0], token.end[0] + 1))
        if token.type != tokenize.COMMENT:
            at_statement_start = token.type in {tokenize.NEWLINE, tokenize.NL, tokenize.INDENT, tokenize.DEDENT}
    return len(code)


if __name__ == "__main__":
    main()
