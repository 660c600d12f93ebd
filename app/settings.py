"""What the environment and `.env` say, checked; what is wrong is named by its variable."""

import re
from importlib.util import find_spec
from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict
from sqlalchemy import make_url
from sqlalchemy.exc import ArgumentError

from engine.nodes import Role

DIALECTS = ("sqlite", "postgresql", "postgresql+psycopg", "postgresql+psycopg2")

Level = Literal["DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"]
Format = Literal["json", "console"]


class SettingsError(Exception):
    """A variable that can't be used; the text has one line for each."""


def _upper(value: object) -> object:
    return value.strip().upper() if isinstance(value, str) else value


def _lower(value: object) -> object:
    return value.strip().lower() if isinstance(value, str) else value


def _split(value: object) -> object:
    return tuple(filter(None, (name.strip() for name in value.split(",")))) if isinstance(value, str) else value


def _usual_format(known: dict[str, Any]) -> Format:
    return "json" if known.get("env") == "production" else "console"


class Settings(BaseSettings):
    """The service's settings; each description is what an error message asks for."""

    # What was given stays out of errors' texts: it may hold a password.
    model_config = SettingsConfigDict(env_file=".env", extra="ignore", frozen=True, hide_input_in_errors=True)

    env: Annotated[Literal["development", "production"], BeforeValidator(_lower)] = Field(
        default="development", description="development or production"
    )
    auth: Annotated[Literal["required", "off"] | None, BeforeValidator(_lower)] = Field(
        default=None, description="required or off"
    )
    allowed_hosts: Annotated[tuple[str, ...], NoDecode, BeforeValidator(_split)] = Field(
        default=(), description="host names with commas between them, such as scheduler.example,scheduler.internal"
    )
    cors_origins: Annotated[tuple[str, ...], NoDecode, BeforeValidator(_split)] = Field(
        default=(), description="origins with commas between them, such as https://dashboard.example"
    )
    database_url: str = Field(
        default="sqlite:///./scheduler.db",
        repr=False,
        description="sqlite:///FILE, or postgresql:// (psycopg 3), postgresql+psycopg:// or postgresql+psycopg2:// "
        "with USER:PASSWORD@HOST:PORT/DATABASE",
    )
    log_level: Annotated[Level, BeforeValidator(_upper)] = Field(
        default="INFO", description="DEBUG, INFO, WARNING, ERROR or CRITICAL"
    )
    log_format: Annotated[Format, BeforeValidator(_lower)] = Field(
        default_factory=_usual_format, description="json or console"
    )
    role: Annotated[Role, BeforeValidator(_lower)] = Field(default=Role.ALL, description="all, api or worker")
    job_modules: Annotated[tuple[str, ...], NoDecode, BeforeValidator(_split)] = Field(
        default=(), description="dotted module names with commas between them, such as team.jobs,team.reports"
    )
    pool_size: int = Field(default=16, ge=1, le=1000, description="a whole number from 1 to 1000")
    process_pool_size: int = Field(default=2, ge=1, le=100, description="a whole number from 1 to 100")
    async_pool_size: int = Field(default=200, ge=1, le=10_000, description="a whole number from 1 to 10000")
    process_memory_mib: int | None = Field(
        default=None, ge=64, le=1_048_576, description="a whole number of MiB from 64 to 1048576"
    )
    # Shorter than the 10 s after which `docker stop` kills.
    stop_grace_seconds: float = Field(
        default=8, ge=0, le=3600, allow_inf_nan=False, description="a number of seconds from 0 to 3600"
    )

    concurrent_requests: int = Field(default=1_000, ge=1, le=100_000, description="a whole number from 1 to 100000")
    requests_per_second: float | None = Field(
        default=None, gt=0, le=1_000_000, allow_inf_nan=False, description="a number from just above 0 to 1000000"
    )

    history_days: float = Field(
        default=90, ge=0, le=36_500, allow_inf_nan=False, description="a number of days from 0, for ever, to 36500"
    )
    history_runs_per_job: int = Field(
        default=10_000, ge=0, le=10_000_000, description="a whole number from 0, for all of them, to 10000000"
    )

    @property
    def requires_key(self) -> bool:
        """Whether requests need a key of the API."""
        return self.auth == "required" or (self.auth is None and self.env == "production")

    @property
    def serves_network(self) -> bool:
        """Whether requests of other machines are served: with keys, or by express wish."""
        return self.requires_key or self.auth == "off"

    @property
    def process_memory_bytes(self) -> int | None:
        """The address space that each worker process may have."""
        return None if self.process_memory_mib is None else self.process_memory_mib * 1_048_576

    @field_validator("database_url")
    @classmethod
    def _is_usable(cls, url: str) -> str:
        _check_database_url(url)
        return url

    @field_validator("allowed_hosts")
    @classmethod
    def _are_host_names(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        for name in names:
            if not re.fullmatch(r"[a-z0-9.-]+", name.lower()):
                raise ValueError(f"{name!r} is no host name: no port, no wildcard")
        return tuple(name.lower() for name in names)

    @field_validator("cors_origins")
    @classmethod
    def _are_origins(cls, origins: tuple[str, ...]) -> tuple[str, ...]:
        for origin in origins:
            if not re.fullmatch(r"https?://[a-z0-9.-]+(:\d+)?", origin):
                raise ValueError(f"{origin!r} is no origin: a scheme, a host and perhaps a port, in lower case")
        return origins

    @field_validator("job_modules")
    @classmethod
    def _are_module_names(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        for name in names:
            if not all(part.isidentifier() for part in name.split(".")):
                raise ValueError(f"{name!r} is no module name")
        return names

    @model_validator(mode="after")
    def _has_a_database_for_production(self) -> Self:
        if self.env == "production" and self.database_url.startswith("sqlite"):
            raise ValueError(
                "ENV=production needs a PostgreSQL server, but DATABASE_URL is not set or names SQLite: "
                "set DATABASE_URL to postgresql://USER:PASSWORD@HOST:PORT/DATABASE, or ENV to development"
            )
        return self


def load_settings() -> Settings:
    """Read the environment and, behind it, `.env` in the working directory. Raises SettingsError."""
    try:
        return Settings()
    except ValidationError as error:
        # A default that depends on a wrong value is no mistake of its own.
        lines = [_line(problem) for problem in error.errors() if problem["type"] != "default_factory_not_called"]
    except (OSError, UnicodeDecodeError) as error:
        lines = [f".env can't be read: {error}"]
    # Outside the except blocks: the original error, shown as its context, would show what was given.
    raise SettingsError("\n".join(lines))


def _line(problem: Any) -> str:
    if not problem["loc"]:
        return str(problem["ctx"]["error"])
    name = str(problem["loc"][0])
    reason = f": {problem['ctx']['error']}" if problem["type"] == "value_error" else ""
    wanted = Settings.model_fields[name].description
    return f"{name.upper()} is {_given(name, problem['input'])}{reason}; wanted: {wanted}"


def _given(name: str, value: object) -> str:
    """What was given, without anything that could be a password."""
    if name != "database_url":
        text = ",".join(value) if isinstance(value, tuple) else str(value)
        return repr(text if len(text) <= 200 else f"{text[:200]}...")
    dialect, separator, _rest = str(value).partition("://")
    if dialect == "sqlite" or not value:
        return repr(value)
    return f"'{dialect}://...'" if separator and re.fullmatch(r"[a-z0-9_+]+", dialect) else "not a URL"


def _check_database_url(text: str) -> None:
    try:
        url = make_url(text)
    except (ArgumentError, ValueError):
        raise ValueError("it can't be read as a database URL") from None
    if url.drivername not in DIALECTS:
        raise ValueError(f"no database of the kind {url.drivername!r} is supported")
    if "@" in (url.host or ""):
        # What stands before it is a part of the password, and would be told as a host that cannot be found.
        raise ValueError("its password or user holds an @, which is written %40 there")
    if url.drivername == "sqlite":
        _check_sqlite(url.database or "", str(url.query.get("mode", "")))
    elif url.drivername == "postgresql+psycopg2" and find_spec("psycopg2") is None:
        raise ValueError("its driver is not installed; pip install psycopg2-binary, or use postgresql+psycopg")


def _check_sqlite(file: str, mode: str) -> None:
    if not file:
        raise ValueError("it names no file")
    if ":memory:" in file or mode == "memory":
        raise ValueError("a database in memory would forget every job at the next start")
