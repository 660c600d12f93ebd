"""Settings from the environment and `.env`."""

from pathlib import Path

import pytest
from pydantic import ValidationError

from app.settings import Settings, SettingsError, load_settings
from engine.nodes import Role

POSTGRESQL = "postgresql+psycopg://scheduler:hunter2@db:5432/schedulerdb"


@pytest.fixture(autouse=True)
def _empty_surroundings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in Settings.model_fields:
        monkeypatch.delenv(name.upper(), raising=False)


def _refusal() -> str:
    with pytest.raises(SettingsError) as caught:
        load_settings()
    return str(caught.value)


def test_without_any_variable_the_defaults_hold() -> None:
    settings = load_settings()
    assert settings.model_dump() == {
        "env": "development",
        "auth": None,
        "allowed_hosts": (),
        "cors_origins": (),
        "database_url": "sqlite:///./scheduler.db",
        "log_level": "INFO",
        "log_format": "console",
        "role": "all",
        "job_modules": (),
        "pool_size": 16,
        "process_pool_size": 2,
        "async_pool_size": 200,
        "process_memory_mib": None,
        "history_days": 90.0,
        "history_runs_per_job": 10_000,
        "stop_grace_seconds": 8.0,
        "concurrent_requests": 1_000,
        "requests_per_second": None,
    }


def test_the_original_readmes_development_file_works(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("ENV=development\nDATABASE_URL=sqlite:///./scheduler.db\nLOG_LEVEL=DEBUG\n")
    assert load_settings().log_level == "DEBUG"


def test_the_original_readmes_production_example_works(monkeypatch: pytest.MonkeyPatch) -> None:
    url = "postgresql+psycopg2://scheduler:schedulerpass@db:5432/schedulerdb"
    monkeypatch.setenv("ENV", "production")
    monkeypatch.setenv("DATABASE_URL", url)
    assert load_settings().database_url == url


@pytest.mark.parametrize(
    ("env", "auth", "requires_key", "serves_network"),
    [
        ("development", None, False, False),
        ("development", "off", False, True),
        ("development", "required", True, True),
        ("production", None, True, True),
        ("production", " OFF ", False, True),
        ("production", "required", True, True),
    ],
)
def test_keys_are_asked_for_in_production_unless_they_are_not_wanted(
    env: str, auth: str | None, requires_key: bool, serves_network: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ENV", env)
    monkeypatch.setenv("DATABASE_URL", POSTGRESQL)
    if auth is not None:
        monkeypatch.setenv("AUTH", auth)
    settings = load_settings()
    assert (settings.requires_key, settings.serves_network) == (requires_key, serves_network)


def test_hosts_and_origins_are_split_at_commas(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALLOWED_HOSTS", "Scheduler.example, localhost")
    monkeypatch.setenv("CORS_ORIGINS", "https://a.example,http://b.example:8080")
    settings = load_settings()
    assert settings.allowed_hosts == ("scheduler.example", "localhost")
    assert settings.cors_origins == ("https://a.example", "http://b.example:8080")


def test_the_environment_goes_before_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / ".env").write_text("POOL_SIZE=3\nSTOP_GRACE_SECONDS=1.5\n")
    monkeypatch.setenv("POOL_SIZE", "4")
    settings = load_settings()
    assert (settings.pool_size, settings.stop_grace_seconds) == (4, 1.5)


def test_unknown_variables_are_nobodys_business(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("SOMETHING_ELSE=1\nPORT=what\n")
    assert load_settings() == Settings()


def test_settings_do_not_change() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        load_settings().pool_size = 2


@pytest.mark.parametrize("given", ["warning", "WARNING", " Warning "])
def test_the_log_level_is_read_in_any_case(given: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOG_LEVEL", given)
    assert load_settings().log_level == "WARNING"


@pytest.mark.parametrize("given", ["worker", "WORKER", " Worker "])
def test_the_role_is_read_in_any_case(given: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ROLE", given)
    assert load_settings().role is Role.WORKER


@pytest.mark.parametrize(
    ("env", "chosen", "used"),
    [
        ("production", None, "json"),
        ("production", "console", "console"),
        ("development", None, "console"),
        ("development", "JSON", "json"),
    ],
)
def test_the_log_format_follows_the_environment_unless_chosen(
    env: str, chosen: str | None, used: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ENV", env)
    monkeypatch.setenv("DATABASE_URL", POSTGRESQL)
    if chosen is not None:
        monkeypatch.setenv("LOG_FORMAT", chosen)
    assert load_settings().log_format == used


@pytest.mark.parametrize(
    ("given", "names"),
    [
        ("", ()),
        (" , ", ()),
        ("team.jobs", ("team.jobs",)),
        (" team.jobs , team.reports,", ("team.jobs", "team.reports")),
    ],
)
def test_job_modules_are_split_at_commas(given: str, names: tuple[str, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JOB_MODULES", given)
    assert load_settings().job_modules == names


@pytest.mark.parametrize(
    ("name", "given", "wanted"),
    [
        ("ENV", "staging", "development or production"),
        ("ENV", "", "development or production"),
        ("LOG_LEVEL", "verbose", "DEBUG, INFO, WARNING, ERROR or CRITICAL"),
        ("LOG_FORMAT", "xml", "json or console"),
        ("ROLE", "leader", "all, api or worker"),
        ("AUTH", "maybe", "required or off"),
        ("AUTH", "", "required or off"),
        ("ALLOWED_HOSTS", "*", "host names"),
        ("ALLOWED_HOSTS", "scheduler.example:8000", "host names"),
        ("CORS_ORIGINS", "*", "origins"),
        ("CORS_ORIGINS", "https://a.example/", "origins"),
        ("POOL_SIZE", "0", "from 1 to 1000"),
        ("POOL_SIZE", "1001", "from 1 to 1000"),
        ("POOL_SIZE", "many", "from 1 to 1000"),
        ("STOP_GRACE_SECONDS", "-1", "from 0 to 3600"),
        ("STOP_GRACE_SECONDS", "nan", "from 0 to 3600"),
        ("STOP_GRACE_SECONDS", "inf", "from 0 to 3600"),
        ("HISTORY_DAYS", "-1", "a number of days from 0, for ever, to 36500"),
        ("HISTORY_DAYS", "inf", "from 0, for ever, to 36500"),
        ("HISTORY_RUNS_PER_JOB", "0.5", "a whole number from 0, for all of them, to 10000000"),
        ("JOB_MODULES", "team/jobs.py", "dotted module names"),
        ("JOB_MODULES", "team..jobs", "dotted module names"),
        ("DATABASE_URL", "", "sqlite:///FILE"),
        ("DATABASE_URL", "sqlite://", "sqlite:///FILE"),
        ("DATABASE_URL", "sqlite:///:memory:", "sqlite:///FILE"),
        ("DATABASE_URL", "sqlite:///file:x?mode=memory&uri=true", "sqlite:///FILE"),
    ],
)
def test_a_wrong_value_is_refused_by_name_with_what_is_wanted(
    name: str, given: str, wanted: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, given)
    refusal = _refusal()
    assert refusal.casefold().startswith(f"{name} is '{given}'".casefold())
    assert wanted in refusal
    assert "\n" not in refusal


def test_each_wrong_variable_gets_a_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("POOL_SIZE", "0")
    monkeypatch.setenv("LOG_LEVEL", "loud")
    assert [line.split()[0] for line in _refusal().splitlines()] == ["LOG_LEVEL", "POOL_SIZE"]


@pytest.mark.parametrize(
    "url",
    [
        "mysql+pymysql://scheduler:hunter2@db/jobs",
        "sqlite+aiosqlite:///hunter2.db",
        "postgresql+asyncpg://scheduler:hunter2@db/jobs",
        "postgresql+psycopg://scheduler:hunter2@db:port/jobs",
        "scheduler:hunter2@db",
        "hunter2",
    ],
)
def test_a_refused_database_url_never_shows_its_password(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", url)
    with pytest.raises(SettingsError) as caught:
        load_settings()
    assert str(caught.value).startswith("DATABASE_URL is ")
    assert "hunter2" not in str(caught.value)
    assert caught.value.__context__ is None


def test_a_password_is_not_in_the_settings_repr(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", POSTGRESQL)
    assert "hunter2" not in repr(load_settings())


@pytest.mark.parametrize("url", [None, "sqlite:///./scheduler.db"])
def test_production_refuses_sqlite_and_names_both_variables(url: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ENV", "production")
    if url is not None:
        monkeypatch.setenv("DATABASE_URL", url)
    refusal = _refusal()
    assert "ENV=production" in refusal
    assert "DATABASE_URL" in refusal
    assert "\n" not in refusal


def test_an_unreadable_file_is_named(tmp_path: Path) -> None:
    (tmp_path / ".env").write_bytes(b"ENV=\xff\xfe\n")
    assert _refusal().startswith(".env can't be read")


def test_an_at_sign_in_the_password_is_refused_without_showing_what_follows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", "postgresql+psycopg2://scheduler:hunter2@secret@db:5432/jobs")

    with pytest.raises(SettingsError, match="%40") as refusal:
        load_settings()

    assert "secret" not in str(refusal.value)
    assert "hunter2" not in str(refusal.value)
