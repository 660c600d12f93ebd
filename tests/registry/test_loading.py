"""Importing the modules with job functions: all of them, and the first that fails stops the start by its name."""

import pytest

from registry import FunctionRegistry, ModuleNotLoaded, UnsuitableFunction, load_modules, load_package
from tests.registry.conftest import Sources


def job(name: str) -> str:
    """The text of a module that registers one function."""
    return f"from app.jobs.registry import register_job\n\n@register_job('{name}')\ndef job(job_id): ...\n"


def test_every_module_below_the_package_is_imported(sources: Sources, known: FunctionRegistry) -> None:
    for path in [
        "custom.py",
        "with-hyphen.py",
        "billing/__init__.py",
        "billing/invoices.py",
        "billing/deep/__init__.py",
        "billing/deep/reminders.py",
        "folder_without_init/reports.py",
        "folder_without_init/deeper/still/statistics.py",
    ]:
        sources.write(path, job(path))

    loaded = load_package(sources.name)

    assert set(known) == {
        "custom.py",
        "with-hyphen.py",
        "billing/__init__.py",
        "billing/invoices.py",
        "billing/deep/__init__.py",
        "billing/deep/reminders.py",
        "folder_without_init/reports.py",
        "folder_without_init/deeper/still/statistics.py",
    }
    assert len(loaded) == len(set(loaded)) == 12
    assert loaded[0] == sources.name
    assert f"{sources.name}.billing.deep.reminders" in loaded


def test_what_is_no_module_is_passed_over(sources: Sources, known: FunctionRegistry) -> None:
    sources.write("notes.txt", "no Python")
    sources.write("queries/all.sql", "SELECT 1")
    sources.write("2026-figures/report.py", "raise Exception('this folder cannot be imported')")
    sources.write("__pycache__/left.py", "raise Exception('this is no module')")
    sources.write("custom.py", job("custom"))

    assert load_package(sources.name) == [sources.name, f"{sources.name}.custom"]


def test_modules_load_from_anywhere_on_the_path(sources: Sources, known: FunctionRegistry) -> None:
    elsewhere = f"{sources.name}_elsewhere"
    sources.write(f"../{elsewhere}.py", job("elsewhere"))
    sources.write("inner/reports.py", job("inner"))
    sources.write("not_named.py", job("not named"))

    load_modules([elsewhere, f"{sources.name}.inner.reports"])

    assert set(known) == {"elsewhere", "inner"}


def test_a_module_that_is_named_twice_is_loaded_once(sources: Sources, known: FunctionRegistry) -> None:
    sources.write("reports.py", job("report"))

    load_modules([f"{sources.name}.reports"] * 2)
    load_package(sources.name)

    assert list(known) == ["report"]


@pytest.mark.parametrize(
    ("text", "cause"),
    [
        ("x = 1\n1 / 0", "ZeroDivisionError: division by zero"),
        ("import no_such_library", "ModuleNotFoundError: No module named 'no_such_library'"),
        ("def broken(:\n    pass", "SyntaxError: "),
        ("raise SystemExit('bye')", "SystemExit: bye"),
        ("import sys; sys.exit(0)", "SystemExit: 0"),
        ("class Odd(BaseException): pass\nraise Odd", "Odd"),
        ("raise GeneratorExit", "GeneratorExit"),
    ],
)
def test_a_module_that_fails_stops_with_its_name_and_its_traceback(sources: Sources, text: str, cause: str) -> None:
    file = sources.write("billing/broken.py", text)

    with pytest.raises(ModuleNotLoaded) as refusal:
        load_package(sources.name)

    message = str(refusal.value)
    assert message.startswith(f"module {sources.name}.billing.broken with job functions could not be imported:\n")
    assert f'File "{file}", line ' in message
    assert cause in message


def test_a_package_that_fails_stops_with_its_name(sources: Sources) -> None:
    sources.write("billing/__init__.py", "raise RuntimeError('no settings')")
    sources.write("billing/invoices.py", job("invoices"))

    with pytest.raises(
        ModuleNotLoaded, match=rf"^module {sources.name}\.billing with (.|\n)*RuntimeError: no settings"
    ):
        load_package(sources.name)


@pytest.mark.parametrize("name", ["no_such_module", "json.no_such_part", "", ".relative", "two words"])
def test_a_module_that_is_not_there_is_refused_by_its_name(name: str) -> None:
    with pytest.raises(ModuleNotLoaded, match=rf"^module {name.replace('.', '[.]')} with job functions"):
        load_modules([name])


def test_an_interrupt_while_modules_load_is_no_fault_of_theirs(sources: Sources) -> None:
    sources.write("slow.py", "raise KeyboardInterrupt")

    with pytest.raises(KeyboardInterrupt):
        load_package(sources.name)


def test_a_module_with_an_unsuitable_function_is_named_with_the_function(sources: Sources) -> None:
    file = sources.write("custom.py", job("report").replace("job_id", "customer"))

    with pytest.raises(UnsuitableFunction) as refusal:
        load_package(sources.name)

    assert str(refusal.value).startswith(f'module {sources.name}.custom: job function "report" ({file}:3) requires')


def test_nothing_after_a_failing_module_is_imported(sources: Sources, known: FunctionRegistry) -> None:
    for module in ("a", "c"):
        sources.write(f"{module}.py", job(module))
    sources.write("b.py", "1 / 0")

    with pytest.raises(ModuleNotLoaded):
        load_package(sources.name)

    assert list(known) == ["a"]
