"""The engines file: several models, each with one or more engines (TOML, `LLAVA_GRAPH_ENGINES_FILE`).

    [[models]]                                 # the first is what a request gets that names no model
    dir = "model_repo/qwen3-vl-8b"             # the folder of its manifest, from the folder of this file on
    [[models.engines]]
    url = "http://10.0.0.1:8001"               # without /v1
    [[models.engines]]
    url = "http://10.0.0.2:8001"
    drain = true                               # finishes what it has, and is given nothing new

    [[models]]
    dir = "/models/llava-1.5-7b"
    served_model_name = "llava"                # what its engines call it, where that is not the manifest's name
    engines = [{ url = "https://gpu.example.org", name = "gpu", api_key_env = "GPU_KEY" }]

An unknown key is refused: a mistyped one must not be lost. Messages name the key and never repeat a value, which may be
a secret in the wrong place. This module opens no manifest and connects to nothing.
"""

from __future__ import annotations

import re
import tomllib
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, SecretStr, StringConstraints, ValidationError

from service.engine.server import address_of
from service.settings import base_url

MAX_MODELS = 64
MAX_ENGINES = 256
"""Of all models together: each is a label of metrics, and has a connection for its health checks."""

_NAME = "^[A-Za-z0-9][A-Za-z0-9._:-]{0,99}$"
_HEADER_TEXT = re.compile(r"[\x21-\x7e]+")


class EnginesFileError(Exception):
    """The engines file cannot be used; the message names the file and the key."""


@dataclass(frozen=True, slots=True)
class EngineEntry:
    """An engine: its base URL without /v1, its name in logs and metrics, and the bearer token that it asks for."""

    url: str
    name: str
    api_key: SecretStr | None
    drain: bool = False


@dataclass(frozen=True, slots=True)
class ModelEntry:
    """A model: the folder of its manifest, what its engines call it where that is not the manifest's name, and them."""

    model_dir: Path
    engines: tuple[EngineEntry, ...]
    served_model_name: str | None = None


def parse_engines_file(
    path: Path, text: str, environment: Mapping[str, str], key: SecretStr | None
) -> list[ModelEntry]:
    """The models of a file, the default one first. `key` is for engines without an `api_key_env` of their own.

    Raises EnginesFileError.
    """
    try:
        file = _File.model_validate(tomllib.loads(text))
    except tomllib.TOMLDecodeError as error:
        raise EnginesFileError(f"{path}: {error}") from error
    except ValidationError as error:
        raise EnginesFileError(f"{path}: {'; '.join(_words(entry) for entry in error.errors())}") from error
    engines = sum(len(model.engines) for model in file.models)
    if engines > MAX_ENGINES:
        raise EnginesFileError(f"{path}: models: {engines} engines; at most {MAX_ENGINES} are taken")
    return [_model(path, f"models.{i}", model, environment, key) for i, model in enumerate(file.models)]


def _model(path: Path, where: str, model: _Model, environment: Mapping[str, str], key: SecretStr | None) -> ModelEntry:
    engines = tuple(
        EngineEntry(
            engine.url,
            engine.name or address_of(engine.url),
            _key(path, f"{where}.engines.{i}", engine, environment) or key,
            engine.drain,
        )
        for i, engine in enumerate(model.engines)
    )
    for what, values in (("name", [engine.name for engine in engines]), ("url", [engine.url for engine in engines])):
        twice = [i for i, value in enumerate(values) if Counter(values)[value] > 1]
        if twice:
            raise EnginesFileError(f"{path}: {where}.engines.{twice[1]}.{what}: another engine of this model has it")
    return ModelEntry(path.parent / model.dir, engines, model.served_model_name)


def _key(path: Path, where: str, engine: _Engine, environment: Mapping[str, str]) -> SecretStr | None:
    if engine.api_key_env is None:
        return None
    key = environment.get(engine.api_key_env, "").strip()
    if not _HEADER_TEXT.fullmatch(key):
        raise EnginesFileError(f"{path}: {where}.api_key_env: the variable is not set, or holds no key")
    return SecretStr(key)


def _words(entry: Any) -> str:
    """Of an error of pydantic's, without the value that is wrong."""
    return f"{'.'.join(str(step) for step in entry['loc']) or 'the file'}: {entry['msg']}"


def _checked_url(url: str) -> str:
    stripped = base_url(url)
    try:
        parts = urlsplit(stripped)
        is_base = bool(parts.hostname) and parts.port != 0 and not (parts.query or parts.fragment)
    except ValueError:  # its words would repeat the value
        is_base = False
    if not is_base:
        raise ValueError("must be a base URL: scheme, host and port")
    return stripped


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, hide_input_in_errors=True)


class _Engine(_Strict):
    url: Annotated[str, AfterValidator(_checked_url)]
    name: Annotated[str, StringConstraints(pattern=_NAME)] | None = None
    api_key_env: Annotated[str, StringConstraints(pattern="^[A-Za-z_][A-Za-z0-9_]*$")] | None = None
    drain: bool = False


class _Model(_Strict):
    dir: Annotated[str, StringConstraints(min_length=1)]
    served_model_name: Annotated[str, StringConstraints(min_length=1, max_length=256)] | None = None
    engines: Annotated[list[_Engine], Field(min_length=1)]


class _File(_Strict):
    models: Annotated[list[_Model], Field(min_length=1, max_length=MAX_MODELS)]
