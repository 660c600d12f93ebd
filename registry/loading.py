"""Importing the modules that register functions; one that does not import stops the start, with its name."""

import importlib
import pkgutil
import traceback
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import ModuleType

from registry.errors import ModuleNotLoaded, RegistryError


def load_package(name: str) -> list[str]:
    """Import the package `name` and every module below it; returns their names. Raises RegistryError."""
    package = _load(name)
    names = [name]
    for below in _names_below(package):
        names.extend(load_package(below))
    return names


def load_modules(names: Iterable[str]) -> None:
    """Import each of `names` from anywhere on the path. Raises RegistryError."""
    for name in names:
        _load(name)


def _load(name: str) -> ModuleType:
    try:
        return importlib.import_module(name)
    except RegistryError as error:
        raise type(error)(f"module {name}: {error}") from error
    # A job module may fail in any way while it is imported, SystemExit included: each is a start that is refused.
    except BaseException as error:
        if isinstance(error, KeyboardInterrupt):
            raise
        failure = traceback.format_exc()
        raise ModuleNotLoaded(f"module {name} with job functions could not be imported:\n{failure}") from error


def _names_below(package: ModuleType) -> Iterator[str]:
    """The modules and packages directly below, by name; none below a module that is no package."""
    path = list(getattr(package, "__path__", ()))
    found = {module.name for module in pkgutil.iter_modules(path)}
    # A folder without __init__.py is a package too, which pkgutil passes over.
    folders = {folder.name for place in path for folder in Path(place).glob("*/") if _is_package(folder)}
    for below in sorted(found | folders):
        yield f"{package.__name__}.{below}"


def _is_package(folder: Path) -> bool:
    is_importable = folder.is_dir() and folder.name.isidentifier() and folder.name != "__pycache__"
    return is_importable and any(folder.rglob("*.py"))
