"""A start that is refused, as the operator sees it: a real server, and what it logs."""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import uvicorn
from fastapi import FastAPI

from api.application import create_app
from engine.errors import StoreRefused, StoreUnavailable
from registry import ModuleNotLoaded


def errors_logged_while_starting(error: Exception, caplog: pytest.LogCaptureFixture) -> list[str]:
    """Serve an application whose start ends with `error`."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        await _fail(error)
        yield

    app = create_app(version="0", lifespan=lifespan)
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_config=None, lifespan="on"))
    # It ends the process when a start fails.
    with caplog.at_level(logging.INFO, logger="uvicorn.error"), pytest.raises(SystemExit):
        asyncio.run(server.serve())
    return [record.getMessage() for record in caplog.records if record.levelno >= logging.ERROR]


@pytest.mark.parametrize(
    "error",
    [
        StoreRefused("the database is newer than this release: upgrade the service"),
        StoreUnavailable("the database does not answer"),
        ModuleNotLoaded("module app.jobs.custom could not be imported"),
    ],
)
def test_a_refused_start_is_told_in_one_line(error: Exception, caplog: pytest.LogCaptureFixture) -> None:
    logged = errors_logged_while_starting(error, caplog)

    assert logged == [str(error), "Application startup failed. Exiting."]
    assert not any(record.exc_info for record in caplog.records)


def test_a_start_that_fails_unexpectedly_keeps_its_traceback(caplog: pytest.LogCaptureFixture) -> None:
    first, *rest = errors_logged_while_starting(ZeroDivisionError("a mistake"), caplog)

    assert first.startswith("Traceback")
    assert first.rstrip().endswith("ZeroDivisionError: a mistake")
    assert rest == ["Application startup failed. Exiting."]


async def _fail(error: Exception) -> None:
    raise error
