"""Loading the modules and files in which people register their own task types."""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import sys
from collections.abc import Iterable
from pathlib import Path
from types import ModuleType

from holdfast.checkpoints.errors import BadInput, HoldfastError
from holdfast.nodes.registry import REGISTRY, Registry


def load_types(given: Iterable[str], registry: Registry = REGISTRY) -> list[str]:
    """Imports each dotted name or ``.py`` file, in order; returns the names of the task types that this added.

    What has been loaded is not loaded again.  The current folder, and a file's own, can be imported from.  Raises
    BadInput with a sentence for whatever a module does wrong.
    """
    before = {kind.name for kind in registry}
    for source in given:
        _load(source)
    return [kind.name for kind in registry if kind.name not in before]


def _load(source: str) -> None:
    try:
        if source.endswith(".py") or "/" in source:
            _load_file(Path(source).expanduser().resolve())
        else:
            _reach(Path.cwd())
            importlib.import_module(source)
    except HoldfastError as error:
        raise BadInput(f"the task types in {source} cannot be loaded: {error}") from error
    except SyntaxError as error:
        raise BadInput(f"{error.filename or source}, line {error.lineno}: {error.msg}") from error
    except ModuleNotFoundError as error:
        if error.name and (source == error.name or source.startswith(f"{error.name}.")):
            raise BadInput(
                f"there is no module {source!r} to load task types from; give a dotted name or a .py file"
            ) from None
        raise BadInput(f"the task types in {source} cannot be loaded: there is no module {error.name!r}") from error
    except (Exception, SystemExit) as error:  # it is somebody else's code, so anything may come
        raise BadInput(f"the task types in {source} cannot be loaded: {type(error).__name__}: {error}") from error


def _load_file(path: Path) -> ModuleType:
    name = f"holdfast_types_{path.stem}_{hashlib.sha256(str(path).encode()).hexdigest()[:8]}"
    if name in sys.modules:
        return sys.modules[name]
    if not path.is_file():
        raise BadInput(f"there is no file {path}")
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise BadInput(f"{path.name} is not a Python file")
    _reach(path.parent)
    module = sys.modules[name] = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module


def _reach(folder: Path) -> None:
    """Lets modules of the folder be imported, after everything that is installed."""
    if str(folder) not in sys.path:
        sys.path.append(str(folder))
