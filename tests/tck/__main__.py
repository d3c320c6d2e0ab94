"""Runs A2A's TCK against the server of this folder and says what came of it: ``python -m tests.tck PATH``.

PATH is a checkout of a2aproject/a2a-tck, branch 1.0-dev, which is left as it is but for its ``reports/``.  Ends with 1
for a failure that is not in ``KNOWN``, and for one of those that has gone.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
import time
import venv
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from xml.etree import ElementTree

import httpx

from tests.acceptance.serving import SLOW
from tests.ports import free_port

HOME = Path(".holdfast/tck")
BINDINGS = ("jsonrpc", "http_json", "grpc")
WRONG_WAY = "the TCK takes the error that it asks for as a failure"
OUTDATED = "the TCK tests for A2A 1.0.0, and 1.0.1 has changed this"
KNOWN = {  # each has its proof in docs/conformance.md
    **{f"test_requirements::test_must_requirement[CORE-SEND-003-{one}]": WRONG_WAY for one in BINDINGS},
    "TestRestFormat::test_response_content_type": OUTDATED,
    "TestGrpcStatusCodes::test_push_not_supported_returns_unimplemented": OUTDATED,
    "TestGrpcStatusCodes::test_version_not_supported_returns_unimplemented": OUTDATED,
}


@contextmanager
def serving(folder: Path) -> Iterator[str]:
    """The server on free ports; gives its URL."""
    url = f"http://127.0.0.1:{(port := free_port())}"
    command = [sys.executable, "-m", "tests.tck.server", "--port", str(port), "--grpc-port", str(free_port())]
    with (folder / "server.log").open("w") as log:
        server = subprocess.Popen([*command, "--db", str(folder / "tck.db")], stdout=log, stderr=log)
    try:
        until = time.monotonic() + SLOW
        while not answers(url):
            assert server.poll() is None, (folder / "server.log").read_text()
            assert time.monotonic() < until, "the server does not answer"
            time.sleep(0.05)
        yield url
    finally:
        server.terminate()
        server.wait(SLOW)


def answers(url: str) -> bool:
    """Whether a server is there."""
    try:
        return httpx.get(f"{url}/healthz", trust_env=False).is_success
    except httpx.TransportError:
        return False


def python_for(checkout: Path) -> str:
    """The interpreter of an environment that has what the TCK needs."""
    made, python = HOME / "made-from", HOME / "bin/python"
    wanted = f"{checkout}\n{(checkout / 'pyproject.toml').read_text()}"
    if not made.exists() or made.read_text() != wanted:
        print(f"Installing what the TCK needs into {HOME} ...")
        venv.create(HOME, with_pip=True, clear=True)
        subprocess.run([python, "-m", "pip", "install", "--quiet", "--no-input", checkout], check=True)
        made.write_text(wanted)
    return str(python.absolute())


def run(checkout: Path, url: str, junit: Path) -> None:
    """Runs the TCK, all bindings."""
    words = ["--sut-host", url, "--transport", ",".join(BINDINGS)]
    words += ["--", f"--junitxml={junit}", "-p", "no:cacheprovider"]
    env = {key: value for key, value in os.environ.items() if not key.startswith(("PYTEST_", "TCK_"))}
    subprocess.run([python_for(checkout), "run_tck.py", *words], cwd=checkout, env=env, check=False)


def outcomes(junit: Path) -> Iterator[tuple[str, str, str, str]]:
    """(test, binding, outcome, why) of every test; an error counts as a failure."""
    for case in ElementTree.parse(junit).iter("testcase"):
        name, where = case.get("name", ""), case.get("classname", "")
        told = next((one for one in case if one.tag in ("failure", "error", "skipped")), None)
        kind = "passed" if told is None else "skipped" if told.tag == "skipped" else "failed"
        if told is not None and told.get("type") == "pytest.xfail":
            kind = "xfailed"
        why = "" if told is None else told.get("message", "")
        yield f"{where.rpartition('.')[2]}::{name}", binding_of(name, where), kind, why


def binding_of(name: str, where: str) -> str:
    """The binding that a test is of, by its parameter, its folder, or the words in its name."""
    if found := re.search(rf"\[(?:.*-)?({'|'.join(BINDINGS)})\]", name):
        return found[1]
    words = f"{where}.{name}".lower().replace("rest", "http_json").replace("problem_details", "http_json")
    return next((one for one in BINDINGS if one in words), "card and general")


def report(found: list[tuple[str, str, str, str]]) -> bool:
    """Prints what came of it; whether it is as it has to be."""
    kinds = ("passed", "failed", "xfailed", "skipped")
    counts = Counter((binding, kind) for _, binding, kind, _ in found)
    print("| binding | passed | failed | xfailed | skipped |\n| --- | --- | --- | --- | --- |")
    for binding in (*BINDINGS, "card and general"):
        print(f"| {binding} | {' | '.join(str(counts[binding, kind]) for kind in kinds)} |")
    print(f"| all | {' | '.join(str(sum(one == kind for _, _, one, _ in found)) for kind in kinds)} |")
    for kind in ("skipped", "xfailed"):
        for why, times in Counter(re.sub(r"^.*?\.py:\d+: ", "", one[3]) for one in found if one[2] == kind).items():
            print(f"{kind} {times} x: {why}")
    failed = {name: why for name, _, kind, why in found if kind == "failed"}
    for name, why in failed.items():
        print(f"failed: {name}: {KNOWN.get(name, f'NOT KNOWN: {why}')}")
    for name in KNOWN.keys() - failed.keys():
        print(f"{name} is in the list of known failures and has not failed: take it out")
    return bool(found) and failed.keys() == KNOWN.keys()


def main(words: list[str]) -> int:
    """Runs it all."""
    if len(words) != 1 or not (Path(words[0]) / "run_tck.py").is_file():
        print("name a checkout of a2aproject/a2a-tck, branch 1.0-dev: make tck TCK=path", file=sys.stderr)
        return 2
    checkout = Path(words[0]).resolve()
    commit = subprocess.run(
        ["git", "-C", checkout, "log", "-1", "--format=%h %cs"], capture_output=True, text=True, check=False
    )
    with tempfile.TemporaryDirectory() as folder:
        junit = Path(folder) / "junit.xml"
        with serving(Path(folder)) as url:
            run(checkout, url, junit)
        found = list(outcomes(junit)) if junit.exists() else []
    print(f"TCK {commit.stdout.strip()}, {len(found)} tests")
    return 0 if report(found) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
