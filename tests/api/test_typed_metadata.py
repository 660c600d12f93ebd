"""Metadata that does not fit its function is a 422 with the path of the field; a job that it befell is flagged."""

from collections.abc import Callable
from typing import Any

import pytest
from pydantic import BaseModel, ConfigDict, field_validator
from starlette.testclient import TestClient
from typing_extensions import TypedDict

from registry import Lane
from tests.api.requests_and_answers import create, fault, interval_job
from tests.fakes import Node


class Recipient(BaseModel):
    address: str
    copies: int = 1


class Report(BaseModel):
    """What to write, and to whom."""

    title: str
    recipients: list[Recipient] = []


class Renamed(BaseModel):
    model_config = ConfigDict(extra="forbid")
    heading: str


class Window(TypedDict):
    low: int


class Odd(BaseModel):
    x: int

    @field_validator("x")
    @classmethod
    def _check(cls, given: int) -> int:
        raise LookupError("x" * 10_000 + "\ud800")


FITTING: dict[str, Any] = {"title": "a", "recipients": [{"address": "b", "copies": "2"}]}
UNFIT: dict[str, Any] = {"title": "a", "recipients": [{"address": "b"}, {"address": "c", "copies": "many"}]}


def typed(annotation: Any) -> Callable[..., Any]:
    def report(job_id: str, job_metadata=None) -> None:  # type: ignore[no-untyped-def]
        """Report."""

    report.__annotations__["job_metadata"] = annotation
    return report


def register(node: Node, annotation: Any) -> None:
    """Make `report` a function of this type, whatever it was before: a new release of the code."""
    node.functions._functions.pop("report", None)
    node.functions.register("report", typed(annotation))


@pytest.fixture(autouse=True)
def _registered(node: Node) -> None:
    register(node, Report)


@pytest.fixture
def job(client: TestClient) -> dict[str, Any]:
    return create(client, function_name="report", job_metadata=FITTING)


@pytest.fixture
def flagged(node: Node, job: dict[str, Any]) -> dict[str, Any]:
    """A job whose function has changed under it."""
    register(node, Renamed)
    return job


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH"])
@pytest.mark.parametrize("query", ["", "?dry_run=true"])
def test_metadata_that_does_not_fit_is_refused_with_the_path_of_the_field(
    client: TestClient, job: dict[str, Any], method: str, query: str
) -> None:
    path = "/jobs" if method == "POST" else f"/jobs/{job['id']}"
    body = {"job_metadata": UNFIT} if method == "PATCH" else interval_job(function_name="report", job_metadata=UNFIT)

    found = fault(client.request(method, path + query, json=body))

    assert found == {
        "type": "int_parsing",
        "loc": ["body", "job_metadata", "recipients", 1, "copies"],
        "msg": "Input should be a valid integer, unable to parse string as an integer",
        "input": "many",
    }
    assert client.get("/jobs").json() == [job]


def test_metadata_comes_back_as_it_was_sent(client: TestClient, job: dict[str, Any]) -> None:
    assert job["job_metadata"] == FITTING
    assert client.get(f"/jobs/{job['id']}").json()["job_metadata"] == FITTING


def test_another_function_that_the_kept_metadata_does_not_fit_is_refused(client: TestClient) -> None:
    job = create(client, function_name="print_hello", job_metadata={"text": "a"})

    found = fault(client.patch(f"/jobs/{job['id']}", json={"function_name": "report"}))

    assert found["loc"] == ["body", "job_metadata", "title"]
    assert found["input"] == {"text": "a"}


def test_a_typed_dict_is_held_to_as_a_model_is(client: TestClient, node: Node) -> None:
    register(node, Window)

    found = fault(client.post("/jobs", json=interval_job(function_name="report", job_metadata={"low": "x"})))

    assert found["loc"] == ["body", "job_metadata", "low"]


def test_a_job_without_metadata_is_taken_where_the_function_has_a_default(client: TestClient) -> None:
    assert create(client, function_name="report", job_metadata={})["metadata_error"] is None


def test_of_many_faults_the_first_are_told_in_bounded_text(client: TestClient, node: Node) -> None:
    register(node, Renamed)
    metadata = {"k" * 600 + str(number): "v" * 600 for number in range(40)}

    response = client.post("/jobs", json=interval_job(function_name="report", job_metadata=metadata))

    assert response.status_code == 422
    assert len(response.json()["detail"]) == 20
    assert len(response.content) < 40_000


def test_a_validator_that_fails_is_a_refusal_and_no_mistake_of_the_service(client: TestClient, node: Node) -> None:
    register(node, Odd)

    found = fault(client.post("/jobs", json=interval_job(function_name="report", job_metadata={"x": 1})))

    assert (found["type"], found["loc"]) == ("validator_failed", ["body", "job_metadata"])
    assert found["msg"].startswith("The validator failed with LookupError: xxx")
    assert len(found["msg"]) < 600


def test_a_job_whose_function_changed_is_shown_flagged_wherever_it_is_shown(
    client: TestClient, flagged: dict[str, Any]
) -> None:
    path = f"/jobs/{flagged['id']}"
    assert flagged["metadata_error"] is None

    answers = [
        client.get("/jobs").json()[0],
        client.get(path).json(),
        client.patch(path, json={"name": "Renamed"}).json(),
        client.post(f"{path}/pause").json(),
        client.post(f"{path}/resume").json(),
    ]

    wanted = (
        "heading: Field required; title: Extra inputs are not permitted; recipients: Extra inputs are not permitted"
    )
    assert [answer["metadata_error"] for answer in answers] == [wanted] * 5
    assert [answer["orphaned"] for answer in answers] == [False] * 5


def test_a_flagged_job_is_mended_by_metadata_that_fits_or_by_the_code(
    client: TestClient, node: Node, flagged: dict[str, Any]
) -> None:
    path = f"/jobs/{flagged['id']}"

    register(node, Report)
    assert client.get(path).json()["metadata_error"] is None

    register(node, Renamed)
    assert client.patch(path, json={"job_metadata": {"heading": "a"}}).json()["metadata_error"] is None


def test_functions_are_listed_with_the_schema_of_their_metadata_and_their_lane(client: TestClient, node: Node) -> None:
    async def loop(job_id: str) -> None: ...

    node.functions.register("loop", loop)

    listed = {function["name"]: function for function in client.get("/functions").json()}

    schema = listed["report"]["metadata_schema"]
    assert (schema["title"], schema["required"]) == ("Report", ["title"])
    assert schema["$defs"]["Recipient"]["properties"]["copies"] == {"default": 1, "title": "Copies", "type": "integer"}
    assert listed["print_hello"]["metadata_schema"] is None
    assert (listed["report"]["lane"], listed["loop"]["lane"]) == (Lane.THREAD, Lane.LOOP)
