"""The engines file: what it may say, and that what is wrong in it is named without being repeated."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import SecretStr

from service.app import create_app
from service.engine.engines_file import MAX_ENGINES, EngineEntry, EnginesFileError, ModelEntry, parse_engines_file
from service.settings import GatewaySettings

PATH = Path("/etc/llava-graph/engines.toml")

TWO_MODELS = """
[[models]]
dir = "models/first"
[[models.engines]]
url = "http://10.0.0.1:8001"
[[models.engines]]
url = "http://10.0.0.2:8001/v1/"
drain = true

[[models]]
dir = "/models/second"
served_model_name = "adapter"
engines = [{ url = "https://gpu.example.org", name = "gpu", api_key_env = "GPU_KEY" }]
"""


def parsed(text: str, **environment: str) -> list[ModelEntry]:
    return parse_engines_file(PATH, text, environment, SecretStr("everywhere"))


def test_models_and_engines_are_read_in_their_order() -> None:
    key, own = SecretStr("everywhere"), SecretStr("gpu-key")
    assert parsed(TWO_MODELS, GPU_KEY="gpu-key") == [
        ModelEntry(
            Path("/etc/llava-graph/models/first"),
            (
                EngineEntry("http://10.0.0.1:8001", "10.0.0.1:8001", key),
                EngineEntry("http://10.0.0.2:8001", "10.0.0.2:8001", key, drain=True),
            ),
        ),
        ModelEntry(Path("/models/second"), (EngineEntry("https://gpu.example.org", "gpu", own),), "adapter"),
    ]


@pytest.mark.parametrize("text", [None, "[[models"], ids=["missing", "broken"])
def test_gateway_does_not_start_with_a_file_that_cannot_be_used(tmp_path: Path, text: str | None) -> None:
    path = tmp_path / "engines.toml"
    if text is not None:
        path.write_text(text)
    with pytest.raises(EnginesFileError, match=r"engines\.toml"):
        create_app(GatewaySettings(engines_file=path))


def test_variable_that_is_set_to_nothing_names_no_file(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LLAVA_GRAPH_ENGINES_FILE", "")
    assert GatewaySettings().engines_file is None


def test_name_of_an_engine_has_nothing_of_the_password_in_its_url() -> None:
    [model] = parsed('[[models]]\ndir = "a"\nengines = [{ url = "http://me:secret@host:1" }]')
    assert model.engines[0].name == "host:1"


def one_engine(line: str) -> str:
    return f'[[models]]\ndir = "a"\n[[models.engines]]\n{line}\n'


WRONG = {
    "not TOML": ("[[models", "end of document"),
    "no models": ("", "models: Field required"),
    "empty list of models": ("models = []", "models: List should have at least 1"),
    "no dir": ('[[models]]\nengines = [{ url = "http://a" }]', r"models\.0\.dir: Field required"),
    "no engines": ('[[models]]\ndir = "a"', r"models\.0\.engines: Field required"),
    "empty list of engines": ('[[models]]\ndir = "a"\nengines = []', r"models\.0\.engines: List should have at least"),
    "unknown key of the file": ('[[modles]]\ndir = "a"', r"modles: Extra inputs are not permitted"),
    "unknown key of a model": (one_engine('url = "http://a"') + '[[models]]\nname = "x"', r"models\.1\.name: Extra"),
    "unknown key of an engine": (one_engine('url = "http://a"\nweight = 2'), r"engines\.0\.weight: Extra inputs"),
    "no url": (one_engine("drain = true"), r"engines\.0\.url: Field required"),
    "url of a file": (one_engine('url = "file:///secret"'), r"engines\.0\.url: .*http"),
    "url without a host": (one_engine('url = "http://"'), r"engines\.0\.url: .*base URL"),
    "url with a query": (one_engine('url = "http://a?key=secret"'), r"engines\.0\.url: .*base URL"),
    "port that is none": (one_engine('url = "http://a:secret"'), r"engines\.0\.url: "),
    "drain as text": (one_engine('url = "http://a"\ndrain = "secret"'), r"engines\.0\.drain: .*boolean"),
    "name with a space": (one_engine('url = "http://a"\nname = "se cret"'), r"engines\.0\.name: "),
    "key in the place of its variable": (one_engine('url = "http://a"\napi_key_env = "sk-secret"'), "api_key_env: "),
    "variable that is not set": (one_engine('url = "http://a"\napi_key_env = "NOT_SET"'), "api_key_env: the variable"),
    "variable with a line break": (one_engine('url = "http://a"\napi_key_env = "TWO_LINES"'), "api_key_env: the var"),
    "same url twice": (
        one_engine('url = "http://a/v1"\n[[models.engines]]\nurl = "http://a"'),
        r"engines\.1\..*another",
    ),
    "same name twice": (
        one_engine('url = "http://a"\nname = "x"\n[[models.engines]]\nurl = "http://b"\nname = "x"'),
        r"engines\.1\.name: another",
    ),
    "too many engines": (
        '[[models]]\ndir = "a"\n'
        + "".join(f'[[models.engines]]\nurl = "http://a:{port}"\n' for port in range(1, MAX_ENGINES + 2)),
        f"at most {MAX_ENGINES}",
    ),
}


@pytest.mark.parametrize("wrong", WRONG)
def test_wrong_file_is_refused_by_name_and_key_and_without_its_words(wrong: str) -> None:
    text, complaint = WRONG[wrong]
    with pytest.raises(EnginesFileError, match=complaint) as caught:
        parsed(text, TWO_LINES="a\nsecret")
    assert str(PATH) in str(caught.value)
    assert "secret" not in str(caught.value)
