"""The settings of a model: from the environment and the file, whole or not at all, and nothing secret in sight."""

from __future__ import annotations

import pytest

from holdfast.checkpoints.errors import BadInput
from holdfast.nodes.models.settings import OPENAI, Price, missing, read

SECRET = "planted-secret"
BASE = {"HOLDFAST_MODEL": "m", "OPENAI_API_KEY": SECRET}


@pytest.mark.parametrize(
    ("given", "lacks"),
    [({}, None), ({"HOLDFAST_MODEL": "m"}, "neither OPENAI_API_KEY"),
     ({"OPENAI_API_KEY": SECRET}, "HOLDFAST_MODEL is not"),
     ({"OPENAI_BASE_URL": "http://h/v1"}, "HOLDFAST_MODEL is not")],
)  # fmt: skip
def test_half_a_setting_is_no_model_and_a_sentence(given, lacks):
    assert read(given, {}) is None
    assert (missing(given, {}) is None) if lacks is None else (lacks in str(missing(given, {})))


def test_a_key_alone_means_openai_and_an_address_alone_a_server_without_a_key():
    assert read(BASE, {}).base_url == OPENAI
    local = read({"HOLDFAST_MODEL": "m", "OPENAI_BASE_URL": "http://localhost:11434/v1/"}, {})
    assert (local.base_url, local.key, local.is_local) == ("http://localhost:11434/v1", "", True)


def test_what_is_secret_is_not_shown():
    made = read({**BASE, "OPENAI_BASE_URL": f"https://me:{SECRET}%21@host:1/v1"}, {})
    assert made.login == ("me", SECRET + "!")
    assert (made.base_url, made.title) == ("https://host:1/v1", "m at host:1")
    assert SECRET not in repr(made)


def test_the_file_names_the_model_and_its_limits_but_never_where_a_key_goes():
    file = {"model": "f", "base_url": "http://evil/v1", "openai_base_url": "http://evil/v1", "tokens_per_minute": 5000}
    made = read({"OPENAI_API_KEY": SECRET, "HOLDFAST_REQUESTS_PER_MINUTE": "2.5"}, file)
    assert (made.name, made.base_url, made.pace) == ("f", OPENAI, (3, 5000))
    assert read(BASE, file).name == "m"


@pytest.mark.parametrize(
    "given",
    [{"OPENAI_BASE_URL": "localhost:11434"}, {"OPENAI_BASE_URL": f"http://h/v1?key={SECRET}"},
     {"OPENAI_BASE_URL": f"http://{SECRET}:x@h:notaport/v1"}, {"OPENAI_BASE_URL": f"http://[{SECRET}/v1"},
     {"OPENAI_API_KEY": f"{SECRET}\nX: y"}, {"OPENAI_API_KEY": f"{SECRET}é"}, {"HOLDFAST_MODEL": "a\nb"},
     {"HOLDFAST_MODEL_TIMEOUT": "soon"}, {"HOLDFAST_MODEL_TIMEOUT": "nan"}, {"HOLDFAST_MODEL_TIMEOUT": "-1"},
     {"HOLDFAST_TOKENS_PER_MINUTE": "0"}],
)  # fmt: skip
def test_what_cannot_be_used_is_a_sentence_that_names_the_setting_and_quotes_nothing(given):
    with pytest.raises(BadInput) as raised:
        read({**BASE, **given}, {})
    assert next(iter(given)) in str(raised.value)
    assert SECRET not in str(raised.value)
    assert raised.value.__suppress_context__ or raised.value.__context__ is None


@pytest.mark.parametrize(
    ("name", "price"),
    [
        ("gpt-4o-mini", Price(0.15, 0.6)),
        ("gpt-4o-mini-2024-07-18", Price(0.15, 0.6)),
        ("llama3", None),
        ("mine", Price(1, 2)),
    ],
)
def test_prices_are_those_of_the_file_else_the_usual_ones(name, price):
    file = {"prices": {"mine": {"input": 1, "output": 2}}}
    assert read({**BASE, "HOLDFAST_MODEL": name}, file).price == price


@pytest.mark.parametrize("price", [1, {}, {"input": -1, "output": 1}, {"input": "x", "output": 1}])
def test_a_price_that_is_none_is_refused(price):
    with pytest.raises(BadInput, match="price of m"):
        read(BASE, {"prices": {"m": price}})
