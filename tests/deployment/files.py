"""What the files in docker/ say."""

from pathlib import Path
from typing import Any

import yaml  # type: ignore[import-untyped]  # only read here, into plain values

from api.application import create_app
from app.deployment import STOP_MARGIN_SECONDS
from app.exit_guard import LINGER_SECONDS
from app.settings import Settings

ROOT = Path(__file__).parent.parent.parent
DOCKER = ROOT / "docker"

STOP_SECONDS_BEYOND_GRACE = STOP_MARGIN_SECONDS + LINGER_SECONDS + 2
"""What a stop may take beside the grace that the runs have: see ExitGuard, which flushes the log for two seconds."""

SETTINGS = {name.upper() for name in Settings.model_fields}
"""The variables that the service reads."""


def documents(file: str) -> list[dict[str, Any]]:
    """Each YAML document of the file."""
    return list(yaml.safe_load_all((DOCKER / file).read_text("utf-8")))


def served_paths() -> set[str]:
    """What the service answers."""
    return set(create_app(version="0").openapi()["paths"])


def seconds(duration: str) -> float:
    """A duration as compose files and Dockerfiles have it; only whole seconds are used there."""
    assert duration.endswith("s")
    return float(duration.removesuffix("s"))


def checked_settings(environment: dict[str, str]) -> Settings:
    """The variables as the service would take them, all of them known to it."""
    assert set(environment) <= SETTINGS
    return Settings.model_validate({name.lower(): value for name, value in environment.items()})


def dockerfile() -> list[tuple[str, str]]:
    """Each instruction of the Dockerfile with its arguments, continued lines joined."""
    text = (DOCKER / "Dockerfile").read_text("utf-8").replace("\\\n", " ")
    lines = [line.strip() for line in text.splitlines()]
    words = [line.split(maxsplit=1) for line in lines if line and not line.startswith("#")]
    return [(instruction, " ".join(rest.split())) for instruction, rest in words]


def last(instruction: str) -> str:
    """The arguments of the last instruction of this kind: the one that counts."""
    return [arguments for name, arguments in dockerfile() if name == instruction][-1]
