"""Compares greedy answers of vLLM and `transformers serve`: how many are equal, and why the others differ.

    python -m benchmarks.agreement --vllm-python .venv-vllm/bin/python --count 50

Both serve the same model and get the gateway's own prompts for the same held-out synthetic figures, one at a time, in
float32 and in bfloat16; vLLM gets them all at once as well, so that it batches. Texts are compared, character for
character. Where two part, the model is run once more in this process, to see how close its first choice was to the
token that the other engine took.
"""

from __future__ import annotations

import asyncio
import io
import json
import random
import sys
import tempfile
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import click
import httpx2

from data.synthetic import write
from data.synthetic.render import render
from data.synthetic.sample import sample_figure
from launcher import services
from launcher.addresses import reserved
from launcher.engine import engine_command
from launcher.engine.command import EngineChoice
from launcher.supervisor import Supervisor
from llava_graph.address import LOOPBACK
from llava_graph.context import DEFAULT_QUESTION, FigureContext, Turn, conversation
from llava_graph.figure import Figure, open_figure
from llava_graph.manifest import ModelManifest, load_manifest
from llava_graph.ocr import Line, reading_order
from service.figures.decode import EncodedFigure

FIRST_SEED = 1_000_000
START_DEADLINE_S = 300.0
ANSWER_DEADLINE_S = 120.0
DTYPES = ("float32", "bfloat16")


@dataclass(frozen=True, slots=True)
class Asked:
    """A held-out figure with what stands in it, ready to be asked about."""

    figure: Figure
    context: FigureContext

    def messages(self, manifest: ModelManifest, image_part: dict[str, object] | None = None) -> list[dict[str, object]]:
        """As the gateway sends them; with `image_part` in the image's place."""
        figure = self.figure
        encoded = EncodedFigure(figure.id, figure.width, figure.height, figure.png()).image_part()
        turns = [Turn("user", DEFAULT_QUESTION)]
        messages, _ = conversation(manifest.context_template, self.context, turns, image_part or encoded)
        return messages


@dataclass(frozen=True, slots=True)
class Answer:
    """`ids` are the answer's tokens, without the end of the sequence, where the engine tells them (vLLM does)."""

    text: str
    ids: list[int] | None


@dataclass(frozen=True, slots=True)
class Parting:
    """The first token that differs, as `transformers` and as vLLM chose it, and how the model's logits stood there:
    `gap` is how far the second choice lay below the first, `spacing` that of bfloat16 numbers of that size."""

    figure: int
    token: int
    transformers: str
    vllm: str
    gap: float
    spacing: float


@dataclass(frozen=True, slots=True)
class Comparison:
    one: str
    other: str
    equal: int
    count: int
    partings: list[Parting]


def asked_figures(count: int) -> list[Asked]:
    """The first `count` held-out figures, with their true texts as OCR lines."""
    figures = []
    for seed in range(FIRST_SEED, FIRST_SEED + count):
        spec = sample_figure(seed, "heldout")
        drawn = render(spec)
        with io.BytesIO() as file:
            drawn.image.save(file, "PNG")
            figure = open_figure(file.getvalue())
        caption = write.caption(spec, random.Random(f"caption-{seed}"))
        lines = reading_order([Line(text.text, text.box, 1.0) for text in drawn.texts])
        figures.append(Asked(figure, FigureContext(figure.width, figure.height, caption, lines)))
    return figures


@asynccontextmanager
async def engine(model_dir: Path, backend: str, python: str, dtype: str) -> AsyncIterator[str]:
    """The base URL of an engine that runs, as `llava-graph engine` starts it, while the context lasts."""
    with tempfile.TemporaryDirectory(prefix="llava-graph-agreement-") as workspace:
        with reserved(LOOPBACK, 0) as address:
            pass  # found free; the engine takes it
        choice = EngineChoice(backend, python, extra=("--dtype", dtype))
        command = engine_command(choice, load_manifest(model_dir), model_dir, Path(workspace), address)
        service = services.engine_service(command, address, log=Path(workspace) / "engine.log")
        async with Supervisor([service], lambda _: None).running(START_DEADLINE_S):
            yield address.url


async def answers(
    url: str, manifest: ModelManifest, figures: Sequence[Asked], at_once: int = 1, *, with_ids: bool = False
) -> list[Answer]:
    """Greedy answers of the engine at `url`, `at_once` of them under way. Raises httpx2.HTTPError.

    `with_ids` asks for tokens, by a field that only vLLM knows.
    """
    gate = asyncio.Semaphore(at_once)
    field = {"return_token_ids": True} if with_ids else {}

    async def answer(http: httpx2.AsyncClient, asked: Asked) -> Answer:
        body = {
            "model": manifest.name,
            "messages": asked.messages(manifest),
            "max_tokens": manifest.max_new_tokens,
            "temperature": 0,
            **field,
        }
        async with gate:
            response = await http.post("/v1/chat/completions", json=body)
        response.raise_for_status()
        choice = response.json()["choices"][0]
        return Answer(choice["message"]["content"], choice.get("token_ids"))

    async with httpx2.AsyncClient(base_url=url, timeout=ANSWER_DEADLINE_S, trust_env=False) as http:
        return list(await asyncio.gather(*(answer(http, asked) for asked in figures)))


class Model:
    """The model in this process, as `transformers serve` runs it."""

    def __init__(self, model_dir: Path, manifest: ModelManifest, dtype: str) -> None:
        import torch
        from transformers import AutoProcessor, LlavaForConditionalGeneration

        self._torch = torch
        self._manifest = manifest
        self._processor: Any = AutoProcessor.from_pretrained(model_dir)  # type: ignore[no-untyped-call]
        self._model: Any = LlavaForConditionalGeneration.from_pretrained(model_dir, dtype=getattr(torch, dtype))

    def parting(self, number: int, asked: Asked, expected: str, other: Answer) -> Parting:
        """Where and by how little `other` leaves the greedy answer, which must read as `expected`."""
        torch = self._torch
        image_part: dict[str, object] = {"type": "image", "image": asked.figure.image}
        inputs = self._processor.apply_chat_template(
            asked.messages(self._manifest, image_part),
            add_generation_prompt=True,
            tokenize=True,
            return_dict=True,
            return_tensors="pt",
        ).to(self._model.dtype)
        with torch.no_grad():
            generated = self._model.generate(
                **inputs,
                max_new_tokens=self._manifest.max_new_tokens,
                do_sample=False,
                output_logits=True,
                return_dict_in_generate=True,
            )
        ids: list[int] = generated.sequences[0, inputs["input_ids"].shape[1] :].tolist()
        text = self._processor.decode(ids, skip_special_tokens=True)
        if text != expected or other.ids is None:
            raise RuntimeError(f"figure {number}: this process does not answer as the server did")
        ends = self._processor.tokenizer.eos_token_id
        theirs = other.ids if other.ids[-1:] == [ends] else [*other.ids, ends]
        place = next(i for i, (one, two) in enumerate(zip(ids, theirs, strict=False)) if one != two)
        logits = generated.logits[place][0].float()  # [vocabulary]
        first = float(logits[ids[place]])
        return Parting(
            figure=number,
            token=place,
            transformers=self._processor.decode([ids[place]]),
            vllm=self._processor.decode([theirs[place]]),
            gap=first - float(logits[theirs[place]]),
            spacing=float(torch.finfo(torch.bfloat16).eps) * 2 ** (int(abs(first)).bit_length() - 1),
        )


async def measure(model_dir: Path, vllm_python: str, count: int) -> list[Comparison]:
    """Starts each engine in each dtype, one after the other, and compares what they said."""
    manifest = load_manifest(model_dir)
    figures = asked_figures(count)
    said: dict[tuple[str, str], list[Answer]] = {}
    for dtype in DTYPES:
        async with engine(model_dir, "transformers", sys.executable, dtype) as url:
            said["transformers", dtype] = await answers(url, manifest, figures)
        async with engine(model_dir, "vllm", vllm_python, dtype) as url:
            said["vLLM", dtype] = await answers(url, manifest, figures, with_ids=True)
            said["vLLM, 16 at once", dtype] = await answers(url, manifest, figures, 16, with_ids=True)
    comparisons = []
    for dtype in DTYPES:
        model = Model(model_dir, manifest, dtype)
        for other in ("vLLM", "vLLM, 16 at once"):
            ours, theirs = said["transformers", dtype], said[other, dtype]
            partings = [
                model.parting(number, figure, one.text, two)
                for number, (figure, one, two) in enumerate(zip(figures, ours, theirs, strict=True))
                if one.text != two.text
            ]
            comparisons.append(
                Comparison(f"transformers, {dtype}", f"{other}, {dtype}", count - len(partings), count, partings)
            )
    for name in ("transformers", "vLLM"):
        one, two = (said[name, dtype] for dtype in DTYPES)
        equal = sum(a.text == b.text for a, b in zip(one, two, strict=True))
        comparisons.append(Comparison(f"{name}, float32", f"{name}, bfloat16", equal, count, []))
    return comparisons


def table(comparisons: Sequence[Comparison]) -> str:
    rows = ["| | | equal | where they part |", "| --- | --- | --- | --- |"]
    rows += [f"| {c.one} | {c.other} | {c.equal} of {c.count} | {_explained(c.partings)} |" for c in comparisons]
    return "\n".join(rows)


def _explained(partings: Sequence[Parting]) -> str:
    if not partings:
        return "–"
    near = sum(parting.gap <= parting.spacing for parting in partings)
    tied = sum(parting.gap == 0 for parting in partings)
    return (
        f"in {near} of {len(partings)} the two choices lay within one bfloat16 step, in {tied} of them level; "
        f"largest gap {max(parting.gap for parting in partings):.3g}"
    )


@click.command()
@click.option("--model", "model_dir", type=click.Path(path_type=Path), default=Path("model_repo/llava-graph-tiny"))
@click.option("--vllm-python", default=".venv-vllm/bin/python", show_default=True, help="Interpreter that has vLLM.")
@click.option("--count", type=click.IntRange(min=1), default=50, show_default=True, help="How many figures.")
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path), help="File for the result as JSON.")
def main(model_dir: Path, vllm_python: str, count: int, out: Path | None) -> None:
    """Compare greedy answers of vLLM and of transformers."""
    comparisons = asyncio.run(measure(model_dir, vllm_python, count))
    click.echo(table(comparisons))
    if out is not None:
        out.write_text(json.dumps([asdict(c) for c in comparisons], indent=2, ensure_ascii=False) + "\n", "utf-8")


if __name__ == "__main__":
    main()
