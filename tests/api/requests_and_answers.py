"""What the tests send and how they look at what comes back. The payloads are those of the first service's README."""

import json
from typing import Any

from httpx2 import Response
from starlette.testclient import TestClient

INTERVAL_JOB = {
    "name": "Number Cruncher",
    "function_name": "dummy_number_crunch",
    "interval_seconds": 10,
    "job_metadata": {"multiplier": 5, "text": "Hello"},
    "status": "active",
}
CRON_JOB = {
    "name": "Hourly Reporter",
    "function_name": "print_hello",
    "cron_expression": "0 * * * *",
    "job_metadata": {"text": "Hourly update"},
    "status": "paused",
}
TIME_LOGGER = {
    "name": "Time Logger",
    "function_name": "log_time",
    "interval_seconds": 15,
    "job_metadata": {"text": "Logging every 15s"},
    "status": "active",
}

UNKNOWN_ID = "00000000-0000-4000-8000-000000000000"


def create(client: TestClient, **fields: Any) -> dict[str, Any]:
    """The job of the README, with some fields set otherwise, as the service answers it; None leaves one out."""
    response = client.post("/jobs", json=interval_job(**fields))
    assert response.status_code == 200, response.text
    job: dict[str, Any] = response.json()
    return job


def interval_job(**fields: Any) -> dict[str, Any]:
    """A body for POST; None leaves a field out."""
    return {name: value for name, value in (INTERVAL_JOB | fields).items() if value is not None}


def send_raw(client: TestClient, method: str, path: str, body: str | bytes) -> Response:
    """Send text as it is, which a JSON encoder would not write, as `application/json`."""
    content = body if isinstance(body, bytes) else body.encode()
    return client.request(method, path, content=content, headers={"Content-Type": "application/json"})


def with_raw_field(job: dict[str, Any], name: str, raw: str) -> str:
    """The job as JSON text, one of its fields replaced by `raw`."""
    others = {key: value for key, value in job.items() if key != name}
    return f'{json.dumps(others)[:-1]}, "{name}": {raw}}}'


def fault(response: Response) -> dict[str, Any]:
    """The only fault that a 422 tells of."""
    assert response.status_code == 422, response.text
    [found] = response.json()["detail"]
    entry: dict[str, Any] = found
    return entry
