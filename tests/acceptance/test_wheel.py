"""What people install: the source archive, the wheel made from it, and the wheel run beside packages of our names."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import zipfile
from configparser import ConfigParser
from email import message_from_string
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
LAYERS = ("graphs", "nodes", "checkpoints")
FILES = ("pyproject.toml", "README.md", "LICENSE")
MADE_HERE = shutil.ignore_patterns("__pycache__", "*.egg-info")
PLAN = {
    "subtasks": [
        {"id": "first", "type": "sleep"},
        {"id": "second", "type": "sleep", "params": {"seconds": 0.01}, "dependencies": ["first"]},
    ]
}


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the source archive and the wheel, built from a copy so that nothing is left in the checkout."""
    folder = tmp_path_factory.mktemp("built")
    source = folder / "source"
    source.mkdir()
    for name in FILES:
        shutil.copy(ROOT / name, source)
    for name in ("src", *LAYERS):
        shutil.copytree(ROOT / name, source / name, symlinks=True, ignore=MADE_HERE)
    # without further options the wheel is made from the source archive, so that one has to be complete
    run([sys.executable, "-m", "build", "--no-isolation", "--outdir", str(folder / "dist"), str(source)], folder)
    return folder / "dist"


@pytest.fixture(scope="module")
def wheel(built: Path) -> Path:
    [path] = built.glob("*.whl")
    return path


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The interpreter of an environment that has the wheel, and borrows the dependencies of this one."""
    folder = tmp_path_factory.mktemp("installed") / "venv"
    run([sys.executable, "-m", "venv", "--without-pip", str(folder)], folder.parent)
    python = folder / "bin" / "python"
    [packages] = folder.glob("lib/python3*/site-packages")
    borrowed = {sysconfig.get_path("purelib"), sysconfig.get_path("platlib")}
    # a .pth file adds folders without reading the .pth files in them: the editable install here stays out
    (packages / "borrowed.pth").write_text("\n".join(borrowed), "utf-8")
    pip = [sys.executable, "-m", "pip", "--python", str(python), "--disable-pip-version-check"]
    run([*pip, "install", "--quiet", "--no-deps", "--no-index", str(wheel)], folder.parent)
    return python


@pytest.fixture
def elsewhere(tmp_path: Path) -> Path:
    """A user's folder with packages of the same names as our layers, which nothing of ours may load."""
    for name in (*LAYERS, "tests"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text(f"raise AssertionError('the user’s own {name} was loaded')")
    return tmp_path


def test_the_wheel_installs_only_holdfast(wheel: Path) -> None:
    tops = {name.split("/")[0] for name in names_in(wheel)}
    [information] = [name for name in tops if name.endswith(".dist-info")]
    assert tops == {"holdfast", information}
    assert not [name for name in names_in(wheel) if re.search(r"(^|/)(tests?/|test_|conftest)", name.lower())]


def test_the_wheel_has_every_file_of_the_package(wheel: Path) -> None:
    folders = {**{f"holdfast/{layer}": ROOT / layer for layer in LAYERS}, "holdfast": ROOT / "src" / "holdfast"}
    wanted = {
        f"{prefix}/{path.relative_to(folder)}"
        for prefix, folder in folders.items()
        for path in folder.rglob("*")  # does not follow the links to the layers
        if path.is_file() and "__pycache__" not in path.parts and path.name != "README.md"
    }
    assert {name for name in names_in(wheel) if name.startswith("holdfast/")} == wanted
    assert "holdfast/py.typed" in wanted
    assert [name for name in wanted if name.startswith("holdfast/checkpoints/migrations/") and name.endswith(".sql")]
    assert [name for name in wanted if name.endswith(".j2")]


def test_the_wheel_says_what_it_is(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        [place] = {name.split("/")[0] for name in archive.namelist() if ".dist-info/" in name}
        metadata = message_from_string(archive.read(f"{place}/METADATA").decode())
        scripts = ConfigParser()
        scripts.read_string(archive.read(f"{place}/entry_points.txt").decode())
        assert f"{place}/licenses/LICENSE" in archive.namelist()
    assert (metadata["Name"], metadata["License-Expression"]) == ("holdfast", "MIT")
    assert metadata["Requires-Python"] == ">=3.11"
    assert metadata.get_payload()
    assert scripts["console_scripts"]["holdfast"] == "holdfast.cli:main"


def test_the_source_archive_has_licence_and_readme_and_no_machine_paths(built: Path) -> None:
    [path] = built.glob("*.tar.gz")
    with tarfile.open(path) as archive:
        members = archive.getmembers()
    names = {member.name.split("/", 1)[-1] for member in members}
    assert {"LICENSE", "README.md", "pyproject.toml", "src/holdfast/graphs/orchestrator.py"} <= names
    assert not [member.name for member in members if member.issym() or member.islnk()]


def test_an_installed_holdfast_runs_beside_packages_of_the_same_names(installed: Path, elsewhere: Path) -> None:
    plan = elsewhere / "plan.json"
    plan.write_text(json.dumps(PLAN), "utf-8")
    options = ["--plan", str(plan), "--db", str(elsewhere / "state" / "holdfast.db")]
    # with -m the working folder stands first on the path
    run([str(installed), "-m", "holdfast", "run", "try it", *options], elsewhere)
    shown = run([str(installed.with_name("holdfast")), "tasks", "--json", *options[2:]], elsewhere)
    [task] = [json.loads(line) for line in shown.splitlines()]
    assert task["state"] == "COMPLETED"


def test_an_installed_graph_runs_in_plain_langgraph(installed: Path, elsewhere: Path) -> None:
    script = (
        "import holdfast, sys\n"
        "from holdfast.graphs.orchestrator import graph\n"
        f"output = graph.invoke({{'goal': 'try it', 'plan': {PLAN!r}}})\n"
        "print(holdfast.__file__, output['status'])\n"
    )
    where, status = run([str(installed), "-c", script], elsewhere).split()
    assert Path(where).is_relative_to(installed.parents[1])
    assert status == "COMPLETED"


def names_in(wheel: Path) -> list[str]:
    with zipfile.ZipFile(wheel) as archive:
        return archive.namelist()


def run(command: list[str], folder: Path) -> str:
    """What the command prints; its end has to be 0."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("HOLDFAST_", "PYTHON"))}
    done = subprocess.run(command, cwd=folder, env=kept, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, f"{command} ended with {done.returncode}:\n{done.stdout}\n{done.stderr}"
    return done.stdout
