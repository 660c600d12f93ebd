"""The command line: `scheduler serve`, `migrate`, `keys` and `version`."""

import os
from ipaddress import ip_address
from typing import Annotated

import typer
import uvicorn

import store
from app import VERSION, key_commands
from app.settings import Settings, SettingsError, load_settings
from engine.errors import StoreRefused, StoreUnavailable

REFUSED = 2
"""Exit code for settings or a database that the service refuses: trying again changes nothing."""

GRACEFUL_SHUTDOWN_SECONDS = 5
"""How long open requests may go on after a stop signal; an open event stream would hold the process for ever."""

commands = typer.Typer(
    name="scheduler",
    help="Runs registered Python functions by interval or cron expression, managed over a REST API.",
    no_args_is_help=True,
    add_completion=False,
    # Plain text: these messages are read in logs of containers as often as in terminals.
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)
commands.add_typer(key_commands.commands)


def main() -> None:
    """The console script."""
    commands()


@commands.command()
def serve(
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port to listen on; 0 takes a free one.")] = 8000,
    log_level: Annotated[str | None, typer.Option(help="Goes before LOG_LEVEL.")] = None,
) -> None:
    """Run the service until a stop signal. Settings come from the environment and .env.

    Exit codes: 0 stopped by Ctrl-C, 143 stopped by SIGTERM, 2 settings refused, 3 could not start (such as a database
    that is refused or a port in use), 1 anything else.
    """
    if log_level is not None:
        # The application reads its settings by itself, also in worker processes.
        os.environ["LOG_LEVEL"] = log_level
    settings = _settings()
    if not settings.serves_network and not _is_loopback(host):
        raise _refusal(
            f"--host {host} is reached by other machines, and ENV=development asks for no API keys: set AUTH=required "
            "to ask for them, or AUTH=off to serve everybody"
        )
    uvicorn.run(
        "app.main:app",
        host=host,
        port=port,
        app_dir="",  # modules named by JOB_MODULES may stand in the working directory
        log_config=None,
        timeout_graceful_shutdown=GRACEFUL_SHUTDOWN_SECONDS,
    )


@commands.command()
def migrate() -> None:
    """Bring the database that DATABASE_URL names to this version's tables. `serve` does so by itself.

    Exit codes: 0 done, or nothing to do; 2 settings or database refused, or no answer from it; 1 anything else.
    """
    url = _settings().database_url
    try:
        store.migrate_database(url)
    except (StoreRefused, StoreUnavailable) as error:
        raise _refusal(error) from None


@commands.command()
def version() -> None:
    """Print the version. Exit code 0."""
    typer.echo(VERSION)


def _settings() -> Settings:
    try:
        return load_settings()
    except SettingsError as error:
        raise _refusal(error) from None


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _refusal(reason: Exception | str) -> typer.Exit:
    typer.echo(str(reason), err=True)
    return typer.Exit(REFUSED)


if __name__ == "__main__":
    main()
