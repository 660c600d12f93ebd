"""Calendars through the door: kept, shown, replaced, filled from iCalendar texts, and deleted only when not in use."""

from typing import Any

import pytest
from starlette.testclient import TestClient

from tests.api.icalendar_texts import CHRISTMAS, MAINTENANCE, THANKSGIVING, calendar_of, filled_with
from tests.api.requests_and_answers import create, fault, send_raw
from tests.fakes import Node

HOLIDAYS = {
    "name": "holidays",
    "description": "When the office is closed\nand dark",
    "dates": ["2027-01-01", "2026-12-25"],
    "weekly_days_off": ["sunday", "SAT"],
}

TIMES = {"created_at": "2026-01-01T12:00:00Z", "updated_at": "2026-01-01T12:00:00Z"}
NOTHING_IMPORTED = {"imported": 0, "ignored": [], "expanded_until": None}


def create_calendar(client: TestClient, **fields: Any) -> dict[str, Any]:
    """The calendar as `GET` shows it."""
    response = client.post("/calendars", json=HOLIDAYS | fields)
    assert response.status_code == 200, response.text
    shown: dict[str, Any] = client.get(f"/calendars/{response.json()['name']}").json()
    return shown


def import_into(client: TestClient, name: str, text: str | bytes) -> Any:
    return client.post(f"/calendars/{name}/import", content=text if isinstance(text, bytes) else text.encode())


def test_a_calendar_is_shown_with_dates_and_weekdays_in_order(client: TestClient) -> None:
    response = client.post("/calendars", json=HOLIDAYS)

    expected = HOLIDAYS | TIMES | {"dates": ["2026-12-25", "2027-01-01"], "weekly_days_off": ["saturday", "sunday"]}
    assert response.status_code == 200
    assert response.json() == expected | NOTHING_IMPORTED
    assert client.get("/calendars/holidays").json() == expected
    assert client.get("/calendars").json() == [expected]


def test_a_name_is_enough(client: TestClient) -> None:
    nulls = dict.fromkeys(["description", "dates", "weekly_days_off", "icalendar"])

    for name, fields in (("a", {}), ("b", nulls)):
        calendar = client.post("/calendars", json={"name": name} | fields).json()
        assert calendar | TIMES == {
            "name": name,
            "description": None,
            "dates": [],
            "weekly_days_off": [],
            **TIMES,
            **NOTHING_IMPORTED,
        }


def test_calendars_are_listed_by_name_in_a_bare_array(client: TestClient) -> None:
    assert client.get("/calendars").json() == []
    for name in ("b", "a.1", "a-0"):
        create_calendar(client, name=name)

    assert [calendar["name"] for calendar in client.get("/calendars").json()] == ["a-0", "a.1", "b"]


def test_a_name_that_is_taken_is_a_409(client: TestClient) -> None:
    calendar = create_calendar(client)

    response = client.post("/calendars", json={"name": "holidays"})

    assert response.status_code == 409
    assert response.json()["detail"].startswith("Calendar holidays exists already")
    assert client.get("/calendars/holidays").json() == calendar


def test_put_replaces_the_calendar_and_empties_what_it_does_not_name(client: TestClient, node: Node) -> None:
    calendar = create_calendar(client)
    node.clock.step_wall(60)

    for body in ({"dates": ["2027-12-24"]}, {"name": "holidays", "dates": ["2027-12-24"]}):
        response = client.put("/calendars/holidays", json=body)
        assert response.status_code == 200
        assert client.get("/calendars/holidays").json() == {
            "name": "holidays",
            "description": None,
            "dates": ["2027-12-24"],
            "weekly_days_off": [],
            "created_at": calendar["created_at"],
            "updated_at": "2026-01-01T12:01:00Z",
        }


def test_a_calendar_can_be_sent_back_as_it_came(client: TestClient) -> None:
    calendar = create_calendar(client)

    assert client.put("/calendars/holidays", json=calendar).status_code == 200
    assert client.get("/calendars/holidays").json() == calendar


def test_a_calendar_is_not_renamed(client: TestClient) -> None:
    create_calendar(client)

    found = fault(client.put("/calendars/holidays", json=HOLIDAYS | {"name": "other"}))

    assert found["loc"] == ["body", "name"]
    assert found["msg"].startswith("the body names other and the address holidays: leave the name out")


def test_delete_asks_for_confirmation_and_then_deletes(client: TestClient) -> None:
    create_calendar(client)

    unconfirmed, confirmed = client.delete("/calendars/holidays"), client.delete("/calendars/holidays?confirm=true")

    assert (unconfirmed.status_code, confirmed.status_code) == (400, 200)
    assert unconfirmed.json()["detail"] == "Confirmation required: add ?confirm=true to delete"
    assert confirmed.json() == {"message": "Calendar holidays deleted successfully"}
    assert client.get("/calendars").json() == []


def test_a_calendar_in_use_is_not_deleted_and_its_jobs_are_named(client: TestClient) -> None:
    create_calendar(client)
    job = create(client, exclude_calendars=["holidays"])

    response = client.delete("/calendars/holidays?confirm=true")

    assert response.status_code == 409
    assert f"Number Cruncher ({job['id']})" in response.json()["detail"]
    client.patch(f"/jobs/{job['id']}", json={"exclude_calendars": None})
    assert client.delete("/calendars/holidays?confirm=true").status_code == 200


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("GET", "/calendars/nope", None),
        ("PUT", "/calendars/nope", {}),
        ("DELETE", "/calendars/nope?confirm=true", None),
        ("POST", "/calendars/nope/import", {}),
    ],
)
def test_an_unknown_calendar_is_a_404(client: TestClient, method: str, path: str, body: object) -> None:
    response = client.request(method, path, json=body)

    assert response.status_code == 404
    assert response.json()["detail"] == "Calendar nope not found"


@pytest.mark.parametrize("name", ["Holidays", "%00", "%FF", "a%20b", "a%0A", "-a", "%F0%9F%98%80", "x" * 65])
@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE"])
def test_a_name_that_no_calendar_can_have_is_refused_in_the_address(client: TestClient, method: str, name: str) -> None:
    found = fault(client.request(method, f"/calendars/{name}?confirm=true", json={} if method == "PUT" else None))

    assert found["loc"] == ["path", "name"]


@pytest.mark.parametrize(
    ("field", "given"),
    [
        *[("name", name) for name in ("", "A", "a b", "a/b", "é", "x" * 65, "a\n", "_a", "\x00")],
        ("name", 1),
        ("name", []),
        ("description", "x" * 501),
        ("description", "\x00"),
        ("dates", "2026-12-25"),
        ("dates", ["2026-12-25"] * 5_001),
        ("weekly_days_off", "sunday"),
        ("weekly_days_off", ["sunday"] * 8),
        ("icalendar", 1),
        ("icalendar", "no calendar"),
        ("icalendar", calendar_of(CHRISTMAS)[:-30]),
        ("icalendar", ""),
    ],
)
def test_a_calendar_that_does_not_fit_is_refused(client: TestClient, field: str, given: object) -> None:
    assert fault(client.post("/calendars", json=HOLIDAYS | {field: given}))["loc"] == ["body", field]
    assert client.get("/calendars").json() == []


@pytest.mark.parametrize(
    "given",
    [
        "25.12.2026",
        "2026-12-32",
        "2026-02-29",
        "20261225",
        "2026-12-25T00:00:00Z",
        20_447,
        1.5,
        None,
        True,
        "",
        "٢٠٢٦-١٢-٢٥",
    ],
)
def test_a_date_is_a_text_of_year_month_and_day(client: TestClient, given: object) -> None:
    assert fault(client.post("/calendars", json=HOLIDAYS | {"dates": ["2026-12-25", given]}))["loc"] == [
        "body",
        "dates",
        1,
    ]


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        (["MONDAY"], ["monday"]),
        (["Tue", "tue", "tuesday"], ["tuesday"]),
        (["sun", "mon", "sat", "fri", "thu", "wed", "tue"], None),
    ],
)
def test_weekdays_are_known_by_long_and_short_names_in_any_case(
    client: TestClient, given: list[str], shown: list[str] | None
) -> None:
    week = ["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"]

    assert create_calendar(client, weekly_days_off=given)["weekly_days_off"] == (shown or week)


@pytest.mark.parametrize("given", ["m", "mond", "montag", "0", 0, None, "", True])
def test_what_is_no_weekday_is_refused_with_those_there_are(client: TestClient, given: object) -> None:
    found = fault(client.post("/calendars", json=HOLIDAYS | {"weekly_days_off": [given]}))

    assert found["loc"] == ["body", "weekly_days_off", 0]
    assert "'monday'" in found["msg"]


def test_as_many_dates_as_there_may_be_are_kept(client: TestClient) -> None:
    dates = [
        f"{year}-{month:02}-{day:02}" for year in range(2000, 2015) for month in range(1, 13) for day in range(1, 29)
    ]

    assert create_calendar(client, dates=dates[:5_000])["dates"] == sorted(dates[:5_000])


def test_an_icalendar_text_is_taken_along_with_dates(client: TestClient) -> None:
    text = calendar_of(CHRISTMAS, MAINTENANCE, THANKSGIVING)

    for method, path in (("POST", "/calendars"), ("PUT", "/calendars/holidays")):
        calendar = client.request(method, path, json=HOLIDAYS | {"icalendar": text}).json()
        assert calendar["imported"] == len(calendar["dates"]) - 2
        assert {"2026-12-24", "2026-12-25", "2027-01-01", "2026-11-26"} <= set(calendar["dates"])
        assert [told[:30] for told in calendar["ignored"]] == ['event 2 ("Maintenance") begins']
        assert calendar["expanded_until"] == "2036-01-01"


def test_an_import_adds_to_the_dates_and_says_what_became_of_the_text(client: TestClient, node: Node) -> None:
    calendar = create_calendar(client)
    node.clock.step_wall(60)

    response = import_into(client, "holidays", calendar_of(CHRISTMAS, MAINTENANCE))

    assert response.status_code == 200
    assert response.json() == calendar | {
        "dates": ["2026-12-24", "2026-12-25", "2026-12-26", "2027-01-01"],
        "updated_at": "2026-01-01T12:01:00Z",
        "imported": 2,
        "ignored": [
            'event 2 ("Maintenance") begins at 20261224T080000Z, a time of day: only events of whole days are taken'
        ],
        "expanded_until": None,
    }


def test_importing_the_same_text_again_adds_nothing(client: TestClient) -> None:
    create_calendar(client)
    first = import_into(client, "holidays", calendar_of(THANKSGIVING)).json()
    second = import_into(client, "holidays", calendar_of(THANKSGIVING)).json()

    assert first["imported"] == 11
    assert second == first | {"imported": 0}


@pytest.mark.parametrize(
    "content_type", [None, "text/calendar", "application/x-www-form-urlencoded", "application/json", "nonsense"]
)
def test_an_import_takes_any_content_type(client: TestClient, content_type: str | None) -> None:
    create_calendar(client)
    headers = {"Content-Type": content_type} if content_type else {}

    response = client.post("/calendars/holidays/import", content=calendar_of(CHRISTMAS).encode(), headers=headers)

    assert response.json()["imported"] == 2


@pytest.mark.parametrize(
    "body", [b"", b"\xff\xfe", b"{}", b"\x00" * 262_144, calendar_of(CHRISTMAS).encode()[:-30], b"BEGIN:VCALENDAR"]
)
def test_an_import_of_what_is_no_calendar_is_refused_and_adds_nothing(client: TestClient, body: bytes) -> None:
    calendar = create_calendar(client)

    found = fault(import_into(client, "holidays", body))

    assert found["type"] == "invalid_icalendar"
    assert found["msg"].startswith("The iCalendar text cannot be taken: ")
    assert client.get("/calendars/holidays").json() == calendar


def test_an_import_that_would_take_too_long_is_refused(client: TestClient) -> None:
    create_calendar(client)
    text = filled_with("DTSTART;VALUE=DATE:20261224\nRRULE:FREQ=DAILY;COUNT=1000000000")

    assert "take too long to follow" in fault(import_into(client, "holidays", text))["msg"]


def test_a_text_over_the_limit_of_bodies_is_not_read(client: TestClient) -> None:
    create_calendar(client)

    response = import_into(client, "holidays", filled_with(CHRISTMAS) + " " * 1_000)

    assert response.status_code == 413
    assert response.json()["detail"] == "Request body too large: at most 262144 bytes are taken"


def test_more_dates_than_a_calendar_may_have_are_refused_whoever_adds_them(client: TestClient) -> None:
    dates = [
        f"{year}-{month:02}-{day:02}" for year in range(2000, 2015) for month in range(1, 13) for day in range(1, 29)
    ]
    calendar = create_calendar(client, dates=dates[:4_999])

    posted = client.post("/calendars", json={"name": "b", "dates": dates[:4_999], "icalendar": calendar_of(CHRISTMAS)})
    imported = import_into(client, "holidays", calendar_of(CHRISTMAS))

    for response in (posted, imported):
        assert fault(response)["msg"] == "the calendar would have 5002 dates: at most 5000 are wanted"
    assert client.get("/calendars").json() == [calendar]


def test_a_job_is_skipped_on_a_day_off_and_runs_after_the_calendar_changes(client: TestClient, node: Node) -> None:
    create_calendar(client, dates=["2026-01-02"], weekly_days_off=[])
    job = create(client, interval_seconds=None, cron_expression="0 9 * * *", exclude_calendars=["holidays"])

    node.advance(86_400)

    [run] = client.get(f"/jobs/{job['id']}/runs").json()
    assert run["state"] == "skipped"
    assert "holidays" in run["reason"]
    assert client.get(f"/jobs/{job['id']}").json()["run_count"] == 0


def test_half_a_surrogate_pair_in_a_calendar_is_no_server_error(client: TestClient) -> None:
    for field in ("name", "description", "icalendar"):
        body = f'{{"name": "a", "{field}": "\\ud800"}}' if field != "name" else '{"name": "\\ud800"}'
        assert send_raw(client, "POST", "/calendars", body).status_code == 422
    text = calendar_of("DTSTART:20261224\nSUMMARY:\\ud800").replace("\r\n", "\\n").replace('"', '\\"')
    assert send_raw(client, "POST", "/calendars", f'{{"name": "a", "icalendar": "{text}"}}').status_code == 200
