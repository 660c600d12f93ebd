"""The house as DESIGN has it: who imports whom, who reads the clock, and how long a function may grow."""

import ast
import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest

pytestmark = pytest.mark.once

ROOT = Path(__file__).parent.parent
PACKAGES = ("registry", "engine", "store", "api", "app")
"""In the order of imports: each imports itself and those to its left, nothing else of ours."""

CLOCK_MODULE = "engine/clock.py"

MAY_READ_THE_SYSTEM_CLOCK = {
    CLOCK_MODULE: "the clock itself (law 8)",
    "app/jobs/examples.py": "a job function, as its author writes it: the time is what it is about",
}

MAY_SLEEP = {"tests/e2e": "real processes in real time, marked so"}

ONLY_IN = {
    "croniter": ("engine/cron/wall_clock.py",),
    "zoneinfo": ("engine/zones.py", "engine/business_days.py", "engine/preview/days_off_lint.py"),
    "icalendar": ("api/icalendar_events.py", "api/recurrences.py"),
    "dateutil": ("api/recurrences.py",),
    "sqlalchemy": ("store/", "app/settings.py"),
    "alembic": ("store/",),
    "sqlite3": ("store/",),
    "fastapi": ("api/", "app/"),
    "starlette": ("api/", "app/"),
    "pydantic": ("api/", "app/", "registry/metadata_type.py"),
    "uvicorn": ("app/",),
    "typer": ("app/",),
}
"""Where each library may be imported: a file, or all below a folder."""

NOT_FOR_IMPORT = {
    "app.main": "the composition root: importing it is starting the service",
    "store.migrations.env": "a script that alembic runs within a migration",
}

MAX_FUNCTION_LINES = 60
MAX_FILE_LINES = 400


@dataclass(frozen=True)
class Import:
    """One imported name, in full, and the file and line that import it."""

    name: str
    place: str


@cache
def parsed(file: Path) -> ast.Module:
    return ast.parse(file.read_text("utf-8"), str(file))


def files_of(*folders: str) -> list[Path]:
    files = [file for folder in folders for file in sorted((ROOT / folder).rglob("*.py"))]
    assert files
    return files


def relative(file: Path) -> str:
    return file.relative_to(ROOT).as_posix()


def imports_of(file: Path) -> Iterator[Import]:
    """Every import of the file, also those within functions."""
    for node in ast.walk(parsed(file)):
        place = f"{relative(file)}:{getattr(node, 'lineno', 0)}"
        if isinstance(node, ast.Import):
            yield from (Import(alias.name, place) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{place}: imports are absolute"
            yield from (Import(f"{node.module}.{alias.name}", place) for alias in node.names)


def imported_from(package: str, one: Import) -> bool:
    return one.name == package or one.name.startswith(f"{package}.")


@pytest.mark.parametrize("package", PACKAGES)
def test_a_package_imports_itself_and_those_to_its_left(package: str) -> None:
    to_the_right = PACKAGES[PACKAGES.index(package) + 1 :]
    forbidden = [*to_the_right, "tests", "benchmarks"]
    breaches = [
        f"{one.place} imports {one.name}"
        for file in files_of(package)
        for one in imports_of(file)
        if any(imported_from(other, one) for other in forbidden)
    ]

    assert breaches == []


@pytest.mark.parametrize("library", ONLY_IN)
def test_a_library_is_imported_only_where_it_belongs(library: str) -> None:
    users = [one.place for file in files_of(*PACKAGES) for one in imports_of(file) if imported_from(library, one)]

    assert users, f"{library} is imported nowhere: its rule can go"
    assert [place for place in users if not place.startswith(ONLY_IN[library])] == []


SYSTEM_CLOCK = {
    "time": {"time", "time_ns", "monotonic", "monotonic_ns", "sleep", "perf_counter", "perf_counter_ns"},
    "datetime": {"now", "utcnow", "today"},
    "date": {"today"},
}


def _hides_the_time(node: ast.Import | ast.ImportFrom) -> bool:
    """Whether it imports the time module, or out of it, under a name that would not be noticed."""
    if isinstance(node, ast.ImportFrom):
        return node.module == "time"
    return any(alias.name == "time" and alias.asname for alias in node.names)


def system_clock_uses(tree: ast.Module) -> Iterator[int]:
    """The lines that read the system's clock or wait for it."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import | ast.ImportFrom) and _hides_the_time(node):
            yield node.lineno
        elif isinstance(node, ast.Attribute):
            owner = node.value.attr if isinstance(node.value, ast.Attribute) else getattr(node.value, "id", "")
            if node.attr in SYSTEM_CLOCK.get(owner, ()):
                yield node.lineno


@pytest.mark.parametrize(
    "text",
    [
        "import time\ntime.time()",
        "import time\ntime.sleep(1)",
        "import time as t\nt.sleep(1)",
        "from time import monotonic",
        "import datetime\ndatetime.datetime.now()",
        "from datetime import datetime\nfactory = datetime.utcnow",
        "from datetime import date\ndate.today()",
    ],
)
def test_reading_the_system_clock_is_noticed(text: str) -> None:
    assert list(system_clock_uses(ast.parse(text)))


@pytest.mark.parametrize("text", ["clock.now()", "self._clock.monotonic()", "datetime.fromtimestamp(record.created)"])
def test_asking_the_clock_of_the_engine_is_fine(text: str) -> None:
    assert not list(system_clock_uses(ast.parse(text)))


def test_only_the_clock_reads_the_system_clock() -> None:
    users = {relative(file) for file in files_of(*PACKAGES) if any(system_clock_uses(parsed(file)))}

    assert users == set(MAY_READ_THE_SYSTEM_CLOCK)


def test_no_test_sleeps() -> None:
    sleepers = {
        f"{relative(file)}:{node.lineno}"
        for file in files_of("tests")
        for node in ast.walk(parsed(file))
        if (isinstance(node, ast.Attribute) and node.attr == "sleep")
        or (
            isinstance(node, ast.ImportFrom) and node.module == "time" and "sleep" in [each.name for each in node.names]
        )
    }

    assert {place for place in sleepers if not place.startswith(tuple(MAY_SLEEP))} == set()


def functions_of(file: Path) -> Iterator[tuple[str, int]]:
    """Each function of the file by place and name, with its lines, decorators and docstring included."""
    for node in ast.walk(parsed(file)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            first = min([node.lineno, *(decorator.lineno for decorator in node.decorator_list)])
            assert node.end_lineno is not None
            yield f"{relative(file)}:{node.lineno} {node.name}", node.end_lineno - first + 1


def test_no_function_is_longer_than_a_page() -> None:
    lengths = dict(entry for file in files_of(*PACKAGES) for entry in functions_of(file))

    assert {name: lines for name, lines in lengths.items() if lines > MAX_FUNCTION_LINES} == {}


def test_no_file_is_one_that_everybody_adds_to() -> None:
    lengths = {relative(file): len(file.read_text("utf-8").splitlines()) for file in files_of(*PACKAGES)}

    assert {name: lines for name, lines in lengths.items() if lines > MAX_FILE_LINES} == {}


def test_every_module_opens_with_what_it_holds() -> None:
    assert [relative(file) for file in files_of(*PACKAGES) if not ast.get_docstring(parsed(file))] == []


WATCHED_IMPORT = """
import importlib, json, os, sys, threading
sys.path.insert(0, sys.argv[1])
changes = []
def watch(event, arguments):
    if event == "open" and isinstance(arguments[2], int) and arguments[2] & (os.O_WRONLY | os.O_RDWR | os.O_CREAT):
        changes.extend({str(arguments[0])} - {os.devnull})
    elif event in {"os.mkdir", "os.rename", "os.remove", "sqlite3.connect", "socket.bind", "socket.connect"}:
        changes.append(event)
sys.addaudithook(watch)
for name in sys.argv[2:]:
    importlib.import_module(name)
threads = [thread.name for thread in threading.enumerate() if thread is not threading.main_thread()]
print(json.dumps({"changes": changes, "threads": threads}))
"""


def modules_of(package: str) -> list[str]:
    """Every module of the package that is there to be imported."""
    paths = [file.relative_to(ROOT).with_suffix("") for file in files_of(package)]
    names = [".".join(path.parent.parts if path.name == "__init__" else path.parts) for path in paths]
    return [name for name in names if name not in NOT_FOR_IMPORT]


@pytest.mark.parametrize("package", PACKAGES)
def test_importing_a_package_starts_nothing_and_writes_nothing(package: str, tmp_path: Path) -> None:
    command = [sys.executable, "-B", "-c", WATCHED_IMPORT, str(ROOT), *modules_of(package)]

    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=60)

    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == {"changes": [], "threads": []}
    assert list(tmp_path.iterdir()) == []
