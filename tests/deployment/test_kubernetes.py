"""The manifest agrees with the service and with the Dockerfile."""

from typing import Any

import pytest

from app import VERSION
from tests.deployment.files import STOP_SECONDS_BEYOND_GRACE, checked_settings, documents, last, served_paths

OBJECTS = {document["kind"]: document for document in documents("kubernetes.yaml")}
DEPLOYMENT = OBJECTS["Deployment"]["spec"]
POD = DEPLOYMENT["template"]["spec"]
[CONTAINER] = POD["containers"]
PROBES = ("startupProbe", "livenessProbe", "readinessProbe")


def environment() -> dict[str, str]:
    """The variables, with a URL in place of the secret."""
    secret = "postgresql+psycopg://user:password@host:5432/name"
    return {entry["name"]: entry.get("value", secret) for entry in CONTAINER["env"]}


def test_there_are_three_nodes_behind_one_service() -> None:
    labels = DEPLOYMENT["template"]["metadata"]["labels"]
    assert DEPLOYMENT["replicas"] == 3
    assert DEPLOYMENT["selector"]["matchLabels"] == OBJECTS["Service"]["spec"]["selector"] == labels
    assert OBJECTS["PodDisruptionBudget"]["spec"]["selector"]["matchLabels"] == labels


def test_the_settings_are_those_that_the_service_takes() -> None:
    settings = checked_settings(environment())
    assert settings.env == "production"
    [secret] = [entry for entry in CONTAINER["env"] if "valueFrom" in entry]
    assert secret["name"] == "DATABASE_URL"
    assert set(secret["valueFrom"]["secretKeyRef"]) == {"name", "key"}


@pytest.mark.parametrize("name", PROBES)
def test_a_probe_asks_for_a_path_and_a_port_that_are_served(name: str) -> None:
    asked = CONTAINER[name]["httpGet"]
    ports = {port["name"]: port["containerPort"] for port in CONTAINER["ports"]}
    assert asked["path"].partition("?")[0] in served_paths()
    assert ports[asked["port"]] == int(last("EXPOSE"))
    assert OBJECTS["Service"]["spec"]["ports"][0]["targetPort"] in ports


def test_only_readiness_depends_on_the_database() -> None:
    paths = [CONTAINER[name]["httpGet"]["path"] for name in PROBES]
    assert paths == ["/healthz", "/healthz", "/healthz?ready=true"]


def test_a_node_is_given_the_time_that_a_stop_may_take() -> None:
    [_, pause] = CONTAINER["lifecycle"]["preStop"]["exec"]["command"]
    needed = float(pause) + float(environment()["STOP_GRACE_SECONDS"]) + STOP_SECONDS_BEYOND_GRACE
    assert POD["terminationGracePeriodSeconds"] > needed


def test_the_container_is_not_root_and_writes_nowhere_but_to_its_temporary_folder() -> None:
    pod: dict[str, Any] = POD["securityContext"]
    assert pod["runAsNonRoot"] is True
    assert f"{pod['runAsUser']}:{pod['runAsGroup']}" == last("USER")
    assert CONTAINER["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert [mount["mountPath"] for mount in CONTAINER["volumeMounts"]] == ["/tmp"]


def test_the_image_is_that_of_the_services_version() -> None:
    assert CONTAINER["image"] == f"scheduler-microservice:{VERSION}"


def test_old_nodes_go_on_until_a_new_one_has_joined() -> None:
    assert DEPLOYMENT["strategy"]["rollingUpdate"] == {"maxSurge": 1, "maxUnavailable": 0}
