"""The compose file agrees with the service and with the Dockerfile."""

import json
import re
from typing import Any

import pytest

from app import VERSION
from tests.deployment.files import (
    DOCKER,
    STOP_SECONDS_BEYOND_GRACE,
    checked_settings,
    documents,
    last,
    seconds,
    served_paths,
)

[COMPOSE] = documents("compose.yaml")
NODES = [name for name in COMPOSE["services"] if name.startswith("node-")]


def node(name: str) -> dict[str, Any]:
    service: dict[str, Any] = COMPOSE["services"][name]
    return service


def with_password(text: str) -> str:
    """The text as compose makes it from the example of docker/.env."""
    given = [line for line in (DOCKER / ".env.example").read_text("utf-8").splitlines() if not line.startswith("#")]
    values = dict(line.split("=") for line in given)
    return re.sub(r"\$\{(\w+):\?[^}]*\}", lambda found: values[found[1]], text)


def test_there_are_three_nodes_each_with_a_port_of_its_own() -> None:
    ports = [node(name)["ports"] for name in NODES]
    assert len(NODES) == len({port for [port] in ports}) == 3
    assert {port.rpartition(":")[2] for [port] in ports} == {last("EXPOSE")}


@pytest.mark.parametrize("name", NODES)
def test_a_node_has_settings_that_the_service_takes(name: str) -> None:
    environment = {key: with_password(value) for key, value in node(name)["environment"].items()}
    settings = checked_settings(environment)
    assert settings.env == "production"
    assert "@database:5432/" in settings.database_url
    assert "database" in COMPOSE["services"]


def test_the_database_has_the_account_that_the_nodes_use() -> None:
    given = node("database")["environment"]
    url = with_password(node(NODES[0])["environment"]["DATABASE_URL"])
    account = f"{given['POSTGRES_USER']}:{with_password(given['POSTGRES_PASSWORD'])}"
    assert url == f"postgresql+psycopg://{account}@database:5432/{given['POSTGRES_DB']}"


@pytest.mark.parametrize("name", NODES)
def test_a_node_is_given_the_time_that_a_stop_may_take(name: str) -> None:
    grace = float(node(name)["environment"]["STOP_GRACE_SECONDS"])
    assert seconds(node(name)["stop_grace_period"]) > grace + STOP_SECONDS_BEYOND_GRACE


@pytest.mark.parametrize("name", NODES)
def test_a_node_is_checked_by_the_script_and_a_path_that_are_there(name: str) -> None:
    *command, path = node(name)["healthcheck"]["test"]
    assert command == ["CMD", *json.loads(last("HEALTHCHECK").partition(" CMD ")[2])[:-1]]
    assert path.partition("?")[0] in served_paths()


def test_everything_comes_back_and_nodes_wait_for_the_database() -> None:
    assert {service["restart"] for service in COMPOSE["services"].values()} == {"unless-stopped"}
    for name in NODES:
        assert node(name)["depends_on"] == {"database": {"condition": "service_healthy"}}
    assert "healthcheck" in node("database")


@pytest.mark.parametrize("name", NODES)
def test_a_node_writes_nowhere_but_to_its_temporary_folder(name: str) -> None:
    assert node(name)["read_only"] is True
    assert node(name)["tmpfs"].startswith("/tmp:")
    assert "user" not in node(name)


def test_no_password_is_in_the_file() -> None:
    text = (DOCKER / "compose.yaml").read_text("utf-8")
    assert text.count("${POSTGRES_PASSWORD:?") == 2
    assert with_password("${POSTGRES_PASSWORD:?}") not in text


@pytest.mark.parametrize("name", NODES)
def test_a_node_is_built_from_the_dockerfile_under_the_services_version(name: str) -> None:
    context = DOCKER / node(name)["build"]["context"]
    assert (context / node(name)["build"]["dockerfile"]).resolve() == DOCKER / "Dockerfile"
    assert node(name)["image"] == f"scheduler-microservice:{VERSION}"
