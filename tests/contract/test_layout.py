"""Where things lie, what may be imported where, and what no tracked file may contain."""

from __future__ import annotations

import ast
import functools
import json
import re
import subprocess
import tomllib
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]
LAYERS = ("graphs", "nodes", "checkpoints")
MODULES = sorted(
    path
    for folder in (*LAYERS, "src/holdfast")
    for path in (ROOT / folder).rglob("*.py")
    if not (folder == "src/holdfast" and path.relative_to(ROOT / folder).parts[0] in LAYERS)
)
HEAVY = {"duckdb", "typst", "vl_convert", "jinja2"}
INTERFACES = {"click", "rich"}  # what only the command line needs
BINARY = {".gz", ".png", ".ttf", ".woff2", ".pdf", ".parquet", ".ico", ".gif"}
MACHINE_PATHS = re.compile(r"(?<![\w.<>*-])/(?:work|root|home/\w+|Users/\w+|opt|mnt)/[\w.-]")
PACKAGE_INDEX = re.compile(r"pypi\.org/simple|files\.pythonhosted\.org|--(?:extra-)?index-url|--find-links")


def test_the_layers_are_folders_and_the_package_links_to_them() -> None:
    for layer in LAYERS:
        link = ROOT / "src" / "holdfast" / layer
        assert (ROOT / layer).is_dir()
        assert not (ROOT / layer).is_symlink()
        assert link.is_symlink()
        assert link.readlink() == Path("../..") / layer
        assert (ROOT / layer / "__init__.py").is_file()


def test_what_a_clone_needs_is_there() -> None:
    wanted = "pyproject.toml requirements.lock langgraph.json Makefile LICENSE README.md CHANGELOG.md CONTRIBUTING.md"
    for name in [*wanted.split(), "SECURITY.md", ".ci/run", ".ci/setup", "src/holdfast/py.typed"]:
        assert (ROOT / name).is_file(), name
    for name in (".ci/run", ".ci/setup"):
        assert (ROOT / name).stat().st_mode & 0o111, f"{name} cannot be run"


def test_every_import_inside_the_package_is_absolute() -> None:
    relative = [f"{place(path)}:{node.lineno}" for path in MODULES for node in imports(path) if is_relative(node)]
    assert not relative, "LangGraph loads a graph file by path, where relative imports fail"


def test_no_module_imports_a_layer_by_its_folder_name() -> None:
    wrong = [f"{place(path)}: {name}" for path in MODULES for name in imported(path) if top(name) in LAYERS]
    assert not wrong, "an installed graphs, nodes or checkpoints would be somebody else's"


def test_what_only_reports_need_is_imported_where_it_is_used() -> None:
    early = [f"{place(path)}: {name}" for path in MODULES for name in imported_early(path) if top(name) in HEAVY]
    assert not early


def test_only_the_command_line_knows_of_the_terminal() -> None:
    below = [path for path in MODULES if not path.is_relative_to(ROOT / "src" / "holdfast")]
    assert not [f"{place(path)}: {name}" for path in below for name in imported(path) if top(name) in INTERFACES]


def test_langgraph_json_names_things_that_exist() -> None:
    config = json.loads((ROOT / "langgraph.json").read_text("utf-8"))
    graph = config["graphs"]["holdfast"]["path"]
    checkpointer = config["checkpointer"]["path"]
    # By module, not by file: a file would be loaded once for each, and each would open the database for itself.
    assert [graph.partition(":")[0], checkpointer.rpartition(".")[0]] == ["holdfast.graphs.orchestrator"] * 2
    source = parsed(ROOT / "graphs" / "orchestrator.py")
    names = {getattr(node, "name", None) for node in source.body}
    names |= {target.id for node in source.body if isinstance(node, ast.Assign) for target in named(node)}
    assert {graph.partition(":")[2], checkpointer.rpartition(".")[2]} <= names


def test_the_lock_has_a_hash_for_everything_that_pyproject_names() -> None:
    lock = (ROOT / "requirements.lock").read_text("utf-8")
    blocks = re.findall(r"^([a-z0-9._-]+)(?:\[[^]]*\])?==\S+(.*?)(?=^[a-z0-9]|\Z)", lock, re.M | re.S)
    assert blocks
    assert "://" not in lock
    assert not [name for name, rest in blocks if "--hash=sha256:" not in rest]
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    wanted = project["project"]["dependencies"] + project["dependency-groups"]["dev"]
    wanted += [one for extra in project["project"]["optional-dependencies"].values() for one in extra]
    missing = {re.split(r"[\[<>=~! ;]", one)[0].lower().replace("_", "-") for one in wanted} - {
        name for name, _ in blocks
    }
    assert not missing, "make lock"


def test_the_lock_pins_what_others_ask_for_with_extras() -> None:
    """Else pip takes the newest ``langsmith[otel]``, which is not the one that is pinned as ``langsmith``."""
    lock = (ROOT / "requirements.lock").read_text("utf-8")
    pinned = {
        name: set(re.split(r"[, ]+", extras))
        for name, extras in re.findall(r"^([a-z0-9._-]+)(?:\[([^]]*)\])?==", lock, re.M)
    }
    wanted = [Requirement(text) for one in metadata.distributions() for text in one.requires or ()]
    missing = [
        str(one)
        for one in wanted
        if one.extras
        and (one.marker is None or one.marker.evaluate({"extra": ""}))
        and not one.extras <= pinned.get(canonicalize_name(one.name), one.extras)
    ]
    assert not missing, "make lock"


def test_no_tracked_file_names_a_machine() -> None:
    found = []
    for name in tracked():
        path = ROOT / name
        if path.suffix in BINARY or not path.is_file() or path == Path(__file__):
            continue
        for number, line in enumerate(path.read_text("utf-8").splitlines(), 1):
            if MACHINE_PATHS.search(line) or PACKAGE_INDEX.search(line):
                found.append(f"{name}:{number}: {line.strip()[:100]}")
    assert not found


def tracked() -> list[str]:
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=False)
    if listed.returncode != 0:
        pytest.skip("not a git checkout")
    return [name for name in listed.stdout.split("\0") if name]


def place(path: Path) -> str:
    return str(path.relative_to(ROOT))


def top(name: str) -> str:
    return name.partition(".")[0]


def named(node: ast.Assign) -> list[ast.Name]:
    return [target for target in node.targets if isinstance(target, ast.Name)]


def is_relative(node: ast.Import | ast.ImportFrom) -> bool:
    return isinstance(node, ast.ImportFrom) and node.level > 0


@functools.cache
def parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text("utf-8"))


def imports(path: Path) -> Iterator[ast.Import | ast.ImportFrom]:
    for node in ast.walk(parsed(path)):
        if isinstance(node, ast.Import | ast.ImportFrom):
            yield node


def imported(path: Path) -> list[str]:
    return [name for node in imports(path) for name in names_of(node)]


def imported_early(path: Path) -> list[str]:
    """What loading the module imports: all but what stands in functions or under ``if TYPE_CHECKING``."""
    found: list[str] = []
    waiting: list[ast.AST] = [parsed(path)]
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.Import | ast.ImportFrom):
            found += names_of(node)
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            continue
        elif isinstance(node, ast.If) and ast.unparse(node.test).endswith("TYPE_CHECKING"):
            waiting += node.orelse
        else:
            waiting += ast.iter_child_nodes(node)
    return found


def names_of(node: ast.Import | ast.ImportFrom) -> list[str]:
    if isinstance(node, ast.ImportFrom):
        return [] if node.level else [node.module or ""]
    return [alias.name for alias in node.names]
