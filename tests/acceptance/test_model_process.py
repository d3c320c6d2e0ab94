"""A model in a process of its own, as people set it: what is said of it, and what is never said."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from tests.acceptance.cli_process import Cli
from tests.acceptance.serving import Server, planned, subtask
from tests.models import kinds
from tests.models.server import ModelServer

TYPES = str(Path(kinds.__file__))
KEY, NAME, WORD = "planted-01-key-in-the-environment", "planted-02-name", "planted-03-password"


@pytest.fixture
def cli(tmp_path: Path) -> Cli:
    made = Cli(tmp_path)
    made.env |= {"HOLDFAST_TYPES": TYPES, "NO_COLOR": "1", "HOLDFAST_MODEL_TIMEOUT": "5"}
    return made


def says(**params: object) -> dict:
    return {"id": "a", "type": "m_say", "params": params}


def test_the_first_line_names_model_and_server_on_stderr_with_json(cli):
    with ModelServer() as server:
        cli.env |= server.env()
        done = cli("run", "Say it", "--plan", cli.plan(says()), "--json")
        assert done.returncode == 0, done.stderr
        lines = [json.loads(line) for line in done.stdout.splitlines()]
        assert done.stderr.startswith(f"engine: scripted at 127.0.0.1:{server.port}; task ")
        assert not any(line.get("type") == "token" for line in lines)
        assert lines[-1]["usage"]["output_tokens"] > 0
        assert server.count == 1


def test_half_a_setting_gets_a_sentence_on_the_first_line_and_the_built_in_engine_works(cli):
    done = cli("run", "Nap", "--plan", cli.plan({"id": "a", "type": "sleep"}), HOLDFAST_MODEL="m")
    assert done.returncode == 0
    told = (
        "engine: built-in rules, no AI (HOLDFAST_MODEL is set, but neither OPENAI_API_KEY nor OPENAI_BASE_URL is); task"
    )
    assert done.stdout.startswith(told)


def test_a_setting_that_cannot_be_used_is_one_sentence_and_nothing_is_started(cli):
    env = {"HOLDFAST_MODEL": "m", "OPENAI_BASE_URL": f"http://host/v1?key={KEY}"}
    done = cli("run", "Nap", "--plan", cli.plan({"id": "a", "type": "sleep"}), **env)
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert "OPENAI_BASE_URL" in done.stderr
    assert KEY not in done.stderr
    assert not (cli.folder / ".holdfast").exists()


def test_doctor_asks_the_model_remembers_what_it_can_do_and_says_what_is_wrong(cli):
    with ModelServer(refuses=["response_format"]) as server:
        cli.env |= server.env()
        assert cli("run", "Say it", "--plan", cli.plan(says())).returncode == 0
        told = {one["check"]: one for one in map(json.loads, cli("doctor", "--json").stdout.splitlines())}
        assert told["model"]["status"] == "ok"
        assert told["model"]["detail"].endswith("can do tools")
        assert server.count == 1 + 2
        with closing(sqlite3.connect(cli.folder / ".holdfast/holdfast.db")) as db:
            (kept,) = db.execute("SELECT value FROM meta WHERE key LIKE 'abilities %'").fetchone()
        assert json.loads(kept) == {"schema": False, "tools": True}
    gone = cli("doctor")
    assert gone.returncode == 2
    assert "cannot be reached" in gone.stdout


def test_a_key_in_the_path_of_the_address_stands_in_no_file(cli):
    with ModelServer() as server:
        cli.env |= server.env() | {"OPENAI_BASE_URL": f"http://127.0.0.1:{server.port}/planted-01/v1"}
        assert cli("run", "Say it", "--plan", cli.plan(says())).returncode == 0
        assert cli("doctor").returncode == 0
        assert {call.path for call in server.calls} == {"/planted-01/v1/chat/completions"}
    with closing(sqlite3.connect(cli.folder / ".holdfast/holdfast.db")) as db:
        assert db.execute("SELECT count(*) FROM meta WHERE key LIKE 'abilities %'").fetchone() == (1,)
    for path in cli.folder.rglob("*"):
        assert not (path.is_file() and b"planted" in path.read_bytes()), path


def test_help_loads_neither_langchain_nor_a_client_of_http(cli):
    import subprocess
    import sys

    code = (
        "import sys; sys.argv = ['holdfast', '--help']\nfrom holdfast.cli import main\ntry: main()\nexcept SystemExit: "
    )
    code += (
        "print([name for name in ('langchain_openai', 'openai', 'httpx', 'pypdf', 'duckdb') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


SECRETS = {
    "a header": {"fault": "planted", "headers": {"X_Request_Id": "planted-05", "WWW_Authenticate": "planted-06"}},
    "a cookie": {"fault": "planted", "headers": {"Set_Cookie": "planted-07=planted-08"}},
    "a message": {"fault": "status", "status": 400, "message": f"no {KEY} planted-09"},
    "a code": {"fault": "status", "status": 429, "error": {"code": "planted-10", "type": "planted-11"}},
    "a parameter": {"fault": "status", "status": 422, "error": {"param": "planted-12"}},
    "a page": {"fault": "raw", "body": "<html>planted-13</html>", "kind": "text/html"},
    "text": {"fault": "raw", "body": "planted-14", "kind": "text/plain"},
    "a redirect": {"fault": "redirect", "to": "http://planted-15:planted-16@127.0.0.1:9/planted-17"},
    "a stream": {"fault": "error_in_stream", "message": "planted-18"},
    "a shape": {"fault": "wrong_shape", "value": {"choices": "planted-19", "error_": "planted-20"}},
    "an echo": {"fault": "echo", "status": 400},
    "an echoed refusal": {"fault": "echo", "status": 401},
    "an echoed fault": {"fault": "echo", "status": 500},
    "a retry": {"fault": "rate_limited", "after": "planted-21"},
}


def test_twenty_secrets_stand_in_no_file_no_log_no_event_and_no_checkpoint(cli):
    answers = [{"when": f"fault {name} ", **answer} for name, answer in SECRETS.items()]
    plan = [{"id": f"s{at}", "type": "m_say", "params": {"text": f"fault {name}"}} for at, name in enumerate(SECRETS)]
    cli.env |= {
        "HOLDFAST_DEBUG": "1",
        "OPENAI_API_KEY": KEY,
        "HOLDFAST_MODEL": "scripted",
        "OPENAI_ORG_ID": "planted-22",
    }
    with ModelServer(*answers, delay=0.2) as server:
        cli.env["OPENAI_BASE_URL"] = f"http://{NAME}:{WORD}@127.0.0.1:{server.port}/v1"
        done = cli("run", "Faults", "--plan", cli.plan(*plan), "--json", "--workers", "0")
        said = done.stdout + done.stderr
        assert done.returncode == 3, said
        asked = json.dumps([call.body for call in server.calls])
        assert all(f"fault {name} " in asked for name in SECRETS)
        task = cli.tasks()[0]["id"]
        server.answers[:] = [SECRETS["an echoed refusal"]]
        for words in (("doctor",), ("show", task), ("resume", task)):
            done = cli(*words)
            said += done.stdout + done.stderr
        env = {name: value for name, value in cli.env.items() if name.startswith(("HOLDFAST_", "OPENAI_"))}
        with Server(cli.folder / "served", types=(Path(TYPES),), **env) as holdfast:
            with holdfast.stream("SendStreamingMessage", {"message": planned(subtask("a", "m_say"))}) as stream:
                said += json.dumps(stream.until(lambda told: "PAUSED" in json.dumps(told)))
            said += holdfast.log()
    assert "planted" not in said, said[max(0, said.index("planted") - 300) : said.index("planted") + 100]
    for path in cli.folder.rglob("*"):
        assert not (path.is_file() and b"planted" in path.read_bytes()), path
