"""Prompts that a model cannot take: refused before the engine sees them, by every call, whatever they are made of."""

from __future__ import annotations

from pathlib import Path

import pytest

from llava_graph.manifest import ModelManifest, load_manifest
from service.engine.prompt_length import BYTES_A_TOKEN, PromptLength
from service.errors import PromptTooLong
from tests.fakes.openai_engine import OpenAIEngine
from tests.harness.gateway import MANIFEST, gateway
from tests.hostile.images import encoded, figure
from tests.hostile.prompts import PROMPTS
from tests.paths import REPOSITORY

TINY = REPOSITORY / "model_repo" / "llava-graph-tiny"


def said(text: str) -> list[dict[str, object]]:
    return [{"role": "user", "content": [{"type": "text", "text": text}]}]


def manifest(**more: object) -> ModelManifest:
    given = {"name": "m", "revision": "1", "context_template": "located", "context_length": 2048, "max_new_tokens": 256}
    return ModelManifest(**{**given, **more})  # type: ignore[arg-type]


@pytest.mark.parametrize("model_dir", [TINY, None], ids=["tokenizer", "bytes"])
@pytest.mark.parametrize("kind", PROMPTS)
async def test_text_that_no_model_of_that_length_takes_is_refused(kind: str, model_dir: Path | None) -> None:
    with pytest.raises(PromptTooLong):
        await PromptLength(manifest(), model_dir).check(said(PROMPTS[kind]), images=0)


async def test_tokens_are_the_models_own() -> None:
    length = PromptLength(load_manifest(TINY), TINY)
    taken = load_manifest(TINY).context_length - 1
    await length.check(said("x" * taken), images=0)
    await length.check(said("the figure shows " * 250), images=0)  # 4,250 bytes, some 1,500 tokens
    with pytest.raises(PromptTooLong):  # two are forgiven at each cut that was made to count
        await length.check(said("x" * (taken + 3)), images=0)


async def test_images_count() -> None:
    length = PromptLength(load_manifest(TINY), TINY)
    almost = "x" * (load_manifest(TINY).context_length - 1 - 144)
    await length.check(said(almost), images=1)
    with pytest.raises(PromptTooLong):
        await length.check(said(almost + "x" * 3), images=1)


async def test_without_a_tokenizer_bytes_decide_at_a_ratio_that_no_text_has() -> None:
    length = PromptLength(manifest(), None)
    await length.check(said("x" * 2047 * BYTES_A_TOKEN), images=0)
    with pytest.raises(PromptTooLong):
        await length.check(said("x" * (2047 * BYTES_A_TOKEN + 1)), images=0)


@pytest.mark.parametrize("kind", PROMPTS)
async def test_completion_that_does_not_fit_never_reaches_the_engine(
    kind: str, redis_url: str, engine_url: str, engine: OpenAIEngine
) -> None:
    async with gateway(redis_url, engine_url) as service:
        body = {"model": MANIFEST.name, "messages": [{"role": "user", "content": PROMPTS[kind]}]}
        response = await service.http.post("/v1/chat/completions", json=body)
    assert (response.status_code, response.json()["error"]["code"]) == (400, "prompt_too_long")
    assert engine.requests == []


async def test_chat_about_a_kept_figure_that_does_not_fit_never_reaches_the_engine(
    redis_url: str, engine_url: str, engine: OpenAIEngine
) -> None:
    async with gateway(redis_url, engine_url) as service:
        kept = await service.http.post(
            "/v1/figures", files={"image": ("f", encoded(figure()))}, data={"caption": "growth"}
        )
        turns = [{"role": role, "content": "x" * 2000} for role in ("user", "assistant") * 5]
        response = await service.http.post(
            f"/v1/figures/{kept.json()['id']}/chat",
            json={"messages": [*turns, {"role": "user", "content": "And?"}], "stream": False},
        )
        assert (response.status_code, response.json()["code"]) == (422, "prompt_too_long")
        assert engine.requests == []
        fits = await service.http.post(
            f"/v1/figures/{kept.json()['id']}/chat",
            json={"messages": [{"role": "user", "content": "And?"}], "stream": False},
        )
    assert fits.status_code == 200
    assert len(engine.requests) == 1
