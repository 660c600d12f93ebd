"""`make fuzz`: so many requests to the whole API, on both databases, with a key, without, and where none is wanted."""

import argparse
import logging
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import product
from pathlib import Path
from uuid import uuid4

import structlog
from fastapi import FastAPI
from schemathesis.generation import GenerationMode
from starlette.testclient import TestClient

from api.access import Access
from api.application import attach_service, create_app
from engine.access import Scope
from engine.key_ring import KeyRing
from store import SqlStore, open_store
from tests.fakes import Node, running
from tests.fuzz.sending import Seen, send_anything
from tests.store.postgres import running_server

MOST_SECONDS = 2.0
"""No answer may take longer."""
CALLERS = ("anybody", "with a key", "without a key")
MODES = (GenerationMode.POSITIVE, GenerationMode.NEGATIVE)


def main() -> None:
    """Exits with 1 at the first answer that is not as documented."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz")
    parser.add_argument("--cases", type=int, default=20_000, help="requests in all, at least (20000)")
    wanted: int = parser.parse_args().cases
    # Each request is told of, and each run twice.
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    seen: Seen = Counter()
    examples = 1 + wanted // (2 * len(CALLERS) * len(MODES) * 30)
    while seen.total() < wanted:
        for database, caller, mode in product(("sqlite", "postgresql"), CALLERS, MODES):
            with database_of(database) as url:
                new = fuzz(url, caller=caller, mode=mode, examples=examples)
            seen += new
            print(f"{database}, {caller}, {mode.value}: {new.total():,} requests", flush=True)
    statuses = Counter[int]()
    for (_operation, status), count in seen.items():
        statuses[status] += count
    print(
        f"{seen.total():,} requests: {', '.join(f'{count:,} x {status}' for status, count in sorted(statuses.items()))}"
    )
    sys.exit(any(status >= 500 and status != 503 for status in statuses))


@contextmanager
def database_of(kind: str) -> Iterator[str]:
    """The address of a new database."""
    if kind == "sqlite":
        with tempfile.TemporaryDirectory() as folder:
            yield f"sqlite:///{Path(folder) / 'scheduler.db'}"
        return
    with running_server() as server:
        assert server is not None, "no PostgreSQL binaries"
        yield server.url("postgres")


def fuzz(url: str, *, caller: str, mode: GenerationMode, examples: int) -> Seen:
    """Send anything to a service of its own on the database."""
    store = open_store(url)
    node = Node(store)
    for name in ("dummy_number_crunch", "print_hello", "log_time"):
        node.functions.register(name, _do_nothing)
    keys = KeyRing(store=store.keys, clock=node.clock, new_id=uuid4)
    _key, text = keys.create("fuzz", Scope.ADMIN)
    try:
        with running(node), TestClient(app_of(node, store, keys, requires_key=False)) as maker:
            return send_anything(
                app_of(node, store, keys, requires_key=caller != "anybody"),
                maker,
                mode=mode,
                examples=examples,
                headers={"X-API-Key": text} if caller == "with a key" else None,
                most_seconds=MOST_SECONDS,
                is_random=True,
            )
    finally:
        store.close()


def app_of(node: Node, store: SqlStore, keys: KeyRing, *, requires_key: bool) -> FastAPI:
    """The whole API, over this scheduler and this store."""
    app = create_app(version="1.2.3")
    access = Access(keys, requires_key=requires_key, serves_network=True, shows_documentation=True)
    attach_service(app, scheduler=node.scheduler, store=store.views, clock=node.clock, access=access)
    return app


def _do_nothing(job_id: str) -> None:
    """Do nothing at all."""


if __name__ == "__main__":
    main()
