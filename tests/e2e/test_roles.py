"""Two real processes on one database: one takes the requests, the other runs the jobs."""

from pathlib import Path

import pytest

from tests.e2e.service import running_service

pytestmark = pytest.mark.real_time


def test_what_the_api_takes_the_worker_runs(tmp_path: Path) -> None:
    with (
        running_service(tmp_path, ROLE="api") as api,
        running_service(tmp_path, ROLE="worker") as worker,
    ):
        job = api.create(function_name="log_time")
        by_hand = api.client.post(f"/jobs/{job['id']}/run?force=true").json()
        worker.await_event("run finished", trigger="schedule", count=2)
        worker.await_event("run finished", run_id=by_hand["id"])

        nodes = {node["role"] for node in api.get("/nodes")}
        ran_by = {run["node"] for run in api.all_runs(job["id"]) if run["state"] == "succeeded"}
        assert nodes == {"api", "worker"}
        assert ran_by == {worker.get("/healthz")["node"]}
        assert (worker.client.get("/jobs").status_code, api.client.get("/readyz").status_code) == (404, 200)
        assert not [line for line in api.lines if line["event"] == "run started"]
