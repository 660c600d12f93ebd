"""How many requests a second, and how late the slowest: creating, reading, changing and listing jobs."""

import json
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import Any

from benchmarks.figures import Row
from benchmarks.http_load import TRIVIAL_SERVER, Load, drive, request
from benchmarks.options import Options, read_options
from benchmarks.service_process import ServiceProcess, new_folder, processor_seconds, service
from benchmarks.tables import number, print_table

CONNECTIONS = (8, 64)
SECONDS = 5.0
JOBS = 100
"""Jobs that are read, changed and listed."""

HEADER = ("request", "connections", "/s", "p50 ms", "p99 ms", "server CPU ms")
DEFAULTS = {"LOG_LEVEL": "INFO", "ENV": "development"}
"""The defaults of the service, said aloud: what is in the environment of the benchmark counts for nothing."""


def measure_all(_options: Options) -> list[Row]:
    """A row for each kind of request and number of connections. There are no choices."""
    rows = measure()
    print_table("api", HEADER, [cells_of(row) for row in rows])
    return rows


def cells_of(row: Row) -> list[str]:
    """The server's processor time is per request, of all its threads."""
    shown = [number(row["requests_per_second"], 0), number(row["p50_ms"]), number(row["p99_ms"])]
    return [row["request"], str(row["connections"]), *shown, number(row["server_cpu_ms"], 3)]


def measure() -> list[dict[str, Any]]:
    """One row for each kind of request and number of connections. `server_cpu_ms` is per request, of all its threads.

    The first rows are the ceiling of the client: the same against a server that does nothing.
    """
    ceilings = [measure_ceiling(connections) for connections in CONNECTIONS]
    return ceilings + [row for connections in CONNECTIONS for row in measure_service(connections)]


def measure_ceiling(connections: int) -> dict[str, Any]:
    with subprocess.Popen([sys.executable, "-c", TRIVIAL_SERVER], stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        port = int(server.stdout.readline())
        row = measured("nothing", server.pid, port, [request("GET", "/")], connections)[0]
        server.terminate()
    return row


def measure_service(connections: int) -> list[dict[str, Any]]:
    with new_folder() as folder, service(folder, 1, (), **DEFAULTS) as running:
        ids = [running.post("/jobs", job_named(f"job {number}"))["id"] for number in range(JOBS)]
        rows = [
            measure_listing(running, connections),
            measure_reading(running, connections, ids),
            measure_changing(running, connections, ids, folder / "scheduler.db"),
            measure_creating(running, connections, folder / "scheduler.db"),
        ]
    return rows[::-1]


def measure_listing(running: ServiceProcess, connections: int) -> dict[str, Any]:
    row, load = of_service("GET /jobs", running, [request("GET", "/jobs")], connections)
    assert all(body.count(b'"function_name"') == JOBS for body in load.bodies)
    return row


def measure_reading(running: ServiceProcess, connections: int, ids: list[str]) -> dict[str, Any]:
    wanted = [request("GET", f"/jobs/{job_id}") for job_id in ids]
    row, load = of_service("GET /jobs/{id}", running, wanted, connections)
    assert {json.loads(body)["id"] for body in load.bodies} == set(ids)
    return row


def measure_changing(running: ServiceProcess, connections: int, ids: list[str], path: Path) -> dict[str, Any]:
    wanted = [request("PATCH", f"/jobs/{job_id}", b'{"name": "another"}') for job_id in ids]
    row, load = of_service("PATCH /jobs/{id}", running, wanted, connections)
    # Each change is one version more: so many were answered, and so many are kept.
    (changes,) = sqlite3.connect(path).execute("SELECT sum(version - 1) FROM jobs").fetchone()
    assert changes == len(load.bodies), f"{len(load.bodies)} answered, {changes} kept"
    return row


def measure_creating(running: ServiceProcess, connections: int, path: Path) -> dict[str, Any]:
    before = kept_ids(path)
    row, load = of_service(
        "POST /jobs", running, [request("POST", "/jobs", json.dumps(job_named("n")).encode())], connections
    )
    answered = [json.loads(body)["id"].replace("-", "") for body in load.bodies]
    assert len(set(answered)) == len(answered)
    assert set(answered) == kept_ids(path) - before
    return row


def kept_ids(path: Path) -> set[str]:
    return {row[0] for row in sqlite3.connect(path).execute("SELECT id FROM jobs")}


def job_named(name: str) -> dict[str, Any]:
    return {"name": name, "function_name": "print_hello", "interval_seconds": 86_400, "job_metadata": {"a": 1}}


def of_service(
    what: str, running: ServiceProcess, wanted: list[bytes], connections: int
) -> tuple[dict[str, Any], Load]:
    return measured(what, running.process.pid, running.port, wanted, connections)


def measured(what: str, server: int, port: int, wanted: list[bytes], connections: int) -> tuple[dict[str, Any], Load]:
    cpu_before = processor_seconds(server)
    load = drive(port, wanted, connections=connections, seconds=SECONDS)
    cpu = processor_seconds(server) - cpu_before
    row = {
        "request": what,
        "connections": connections,
        "requests": len(load.bodies),
        "requests_per_second": len(load.bodies) / load.seconds,
        "p50_ms": load.latency_ms(0.5),
        "p99_ms": load.latency_ms(0.99),
        "server_cpu_ms": cpu / len(load.bodies) * 1_000,
        "client_cpu_ms": load.cpu_seconds / len(load.bodies) * 1_000,
    }
    return row, load


if __name__ == "__main__":
    measure_all(read_options())
