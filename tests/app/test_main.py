"""The composition root, in a process of its own: importing it is starting the service."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent
ASK = """
import json, sys
from fastapi.testclient import TestClient
from app.main import app
with TestClient(app) as client:
    answers = {path: client.get(path).status_code for path in ("/readyz", "/jobs", "/docs")}
print(json.dumps(answers), file=sys.__stderr__)
"""


@pytest.mark.parametrize(("role", "status"), [("all", 200), ("api", 200), ("worker", 404)])
def test_the_role_of_the_environment_says_what_is_served(role: str, status: int, tmp_path: Path) -> None:
    environment = os.environ | {"ROLE": role, "PYTHONPATH": str(ROOT), "DATABASE_URL": "sqlite:///./scheduler.db"}

    done = subprocess.run(
        [sys.executable, "-c", ASK],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )

    assert json.loads(done.stderr) == {"/readyz": 200, "/jobs": status, "/docs": status}
