"""Replays a receipt: sends the same request to a gateway again, and compares the answers.

A receipt comes with each answer (`done.receipt`, docs/receipts.md). It is read by itself or from a kept answer: in
a `done` event, in an answer of stream=false, in a line of `llava-graph explain --out`, in a chat completion. Knows the
gateway only through `llava_graph.client`, and no terminal. Receipts are untrusted files.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2

from launcher.bulk import collected
from llava_graph import client
from llava_graph.client import ExplainError
from llava_graph.context import Turn
from llava_graph.figure import FigureError, FigureLimits, open_figure

FORMAT = 1
"""The format of receipts that is read here; see service/receipt.py."""

_READ = ("ok", "cached")


class ReplayError(Exception):
    """The receipt cannot be replayed: it is missing or unreadable, or the image is another than the receipt's."""


@dataclass(frozen=True, slots=True)
class KeptReceipt:
    """What was asked, and `raw`, all that the receipt says. `answer` is the answer's text, where it was kept, too."""

    raw: Mapping[str, Any]
    answer: str | None
    model: str
    figure_id: str
    pixels: int
    caption: str
    was_read: bool
    """Whether the model was told the text of the figure as an OCR worker had read it."""
    context: str
    turns: Sequence[Turn]
    max_tokens: int
    temperature: float
    top_p: float
    seed: int | None
    stop: Sequence[str]

    @property
    def is_drawn_anew(self) -> bool:
        """Whether even the same question to the same model gets another answer."""
        return self.temperature > 0 and self.seed is None


@dataclass(frozen=True, slots=True)
class Compared:
    """One thing that an answer depends on, or the answer itself: in the receipt, and now."""

    name: str
    then: str
    now: str

    @property
    def is_same(self) -> bool:
        return self.then == self.now


@dataclass(frozen=True, slots=True)
class Replay:
    """What came of asking again. `answer` is the text that came now."""

    compared: Sequence[Compared]
    answer: str

    @property
    def is_same_answer(self) -> bool:
        return all(row.is_same for row in self.compared if row.name == _ANSWER)


_ANSWER = "answer"


def read_receipts(path: Path) -> list[KeptReceipt]:
    """All receipts in a file, which is one JSON object or has one a line. Raises ReplayError when there are none, or
    when one cannot be read, OSError when the file cannot."""
    text = path.read_text(encoding="utf-8", errors="replace")
    found = [_receipt(raw, answer) for value in _values(text) for raw, answer in _found(value)]
    if not found:
        raise ReplayError(f"{path} holds no receipt")
    return found


def choose(receipts: Sequence[KeptReceipt], image: bytes) -> KeptReceipt:
    """The receipt of the answer about this image. Raises ReplayError when there is none, or several."""
    # As large as the figures of the receipts may be, whatever is usual.
    limits = FigureLimits(
        max_bytes=max(len(image), 1), max_pixels=max(FigureLimits().max_pixels, *(found.pixels for found in receipts))
    )
    try:
        figure_id = open_figure(image, limits).id
    except FigureError as error:
        raise ReplayError(f"the image cannot be used: {error}") from error
    chosen = [found for found in receipts if found.figure_id == figure_id]
    if not chosen:
        others = ", ".join(sorted({found.figure_id for found in receipts}))
        raise ReplayError(
            f"this image is another figure: its pixels have the hash {figure_id}, and the receipt is of {others}"
        )
    if len(chosen) > 1:
        raise ReplayError(f"{len(chosen)} answers about this figure are in the file: give a file with one of them")
    return chosen[0]


async def replay(gateway: httpx2.AsyncClient, receipt: KeptReceipt, image: bytes) -> Replay:
    """Asks again and compares. A conversation's figure is kept by the gateway, as for any conversation.

    Raises ExplainError when the gateway gives no answer, ReplayError when it is one that gives no receipts.
    """
    how: dict[str, Any] = {
        # The gateway's default may be another one. Where it serves only others, what differs is seen.
        "model": receipt.model if receipt.model in await client.models(gateway) else None,
        "context": receipt.context,
        # Where no text was read in time, the model was told none; it is not to be told one now.
        "ocr": receipt.was_read,
        "max_tokens": receipt.max_tokens,
        "temperature": receipt.temperature,
        "top_p": receipt.top_p,
        "seed": receipt.seed,
    }
    parts = await _asked(gateway, receipt, image, how)
    if "receipt" not in parts:
        raise ReplayError("this gateway gives no receipts")
    answer = _until_stop(parts["text"], receipt.stop)
    now = dict(parts["receipt"]) | {"answer_sha256": hashlib.sha256(answer.encode()).hexdigest()}
    then_is, now_is = _facts(receipt.raw), _facts(now)
    return Replay([Compared(name, then_is[name], now_is[name]) for name in then_is], answer)


async def _asked(
    gateway: httpx2.AsyncClient, receipt: KeptReceipt, image: bytes, how: Mapping[str, Any]
) -> dict[str, Any]:
    """The parts of the answer that comes now."""
    if len(receipt.turns) == 1:
        question = receipt.turns[0].text
        try:
            return await collected(client.explain(gateway, image, receipt.caption, question=question, **how))
        except ExplainError as error:
            if error.code != "question_too_long":  # it was a conversation of one message, which may be longer
                raise
    kept = await client.add_figure(gateway, image, receipt.caption)
    return await collected(client.chat(gateway, str(kept["id"]), receipt.turns, **how))


def same_beginning(first: str, second: str) -> int:
    """How many characters two texts have in common before they part."""
    shorter = min(len(first), len(second))
    return next((i for i in range(shorter) if first[i] != second[i]), shorter)


def _values(text: str) -> Iterator[object]:
    """The JSON values of a file: one, or one a line; a line that is none holds no receipt."""
    for part in (text, *text.split("\n")):
        try:
            yield json.loads(part)
        except (ValueError, RecursionError):
            continue
        if part is text:
            return


def _found(value: object) -> Iterator[tuple[dict[str, Any], str | None]]:
    """Receipts, each with the answer's text that lies beside it."""
    if not isinstance(value, dict):
        return
    if "prompt_sha256" in value:
        yield value, None
    elif isinstance(inner := value.get("receipt"), dict):
        yield inner, _text(value.get("text"))
    elif isinstance(figure := value.get("figure"), dict) and isinstance(inner := figure.get("receipt"), dict):
        yield inner, _completion_text(value)


def _completion_text(completion: Mapping[str, Any]) -> str | None:
    try:
        return _text(completion["choices"][0]["message"]["content"])
    except (KeyError, IndexError, TypeError):  # the last chunk of a stream
        return None


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None


def _receipt(raw: dict[str, Any], answer: str | None) -> KeptReceipt:
    try:
        if raw["format"] != FORMAT:
            raise ReplayError(f"the receipt has format {raw['format']!r}, this command reads {FORMAT}")
        if len(raw["figures"]) != 1:
            raise ReplayError(
                f"the receipt is of {len(raw['figures'])} figures, this command replays answers about one"
            )
        _facts(raw)
        figure, sampling = raw["figures"][0], raw["sampling"]
        if figure["turn"] != 0:
            raise ReplayError("the receipt is of a conversation that shows its figure later than at the beginning")
        return KeptReceipt(
            raw=raw,
            answer=answer,
            model=str(raw["model"]["id"]),
            figure_id=str(figure["id"]),
            pixels=int(figure["width"]) * int(figure["height"]),
            caption=str(figure["caption"]),
            was_read=figure["ocr"]["status"] in _READ,
            context=str(figure["context"]),
            turns=[Turn(turn["role"], str(turn["text"])) for turn in raw["turns"]],
            max_tokens=int(sampling["max_tokens"]),
            temperature=float(sampling["temperature"]),
            top_p=float(sampling["top_p"]),
            seed=None if sampling["seed"] is None else int(sampling["seed"]),
            stop=[str(stop) for stop in sampling["stop"]],
        )
    except KeyError as error:
        raise ReplayError(f"the receipt lacks {error}") from error
    except (TypeError, ValueError, AttributeError, OverflowError) as error:
        raise ReplayError(f"the receipt is not in the form of one: {error}") from error


def _facts(raw: Mapping[str, Any]) -> dict[str, str]:
    """What is compared, in words."""
    model, figure, sampling = raw["model"], raw["figures"][0], raw["sampling"]
    ocr = figure["ocr"]
    return {
        "figure": f"{figure['id']}, {figure['width']} × {figure['height']} pixels",
        "gateway": f"version {raw['gateway']}",
        "model": f"{model['id']}, revision {model['revision']}",
        # Receipts from before engines were asked do not name it, nor do those of engines that do not tell.
        "engine": str(model.get("engine") or "not named"),
        "template": f"{model['template']}, version {model['template_version']}",
        # The others are asked for as they were.
        "repetition": f"ends an answer at {sampling['max_repeats']} times"
        if sampling["max_repeats"]
        else "ends nothing",
        "OCR engine": str(ocr["engine"] or "none"),
        "figure's text": f"{ocr['lines']} lines, SHA-256 {ocr['sha256']}",
        "figure's data": _data(figure),
        "prompt": f"SHA-256 {raw['prompt_sha256']}",
        _ANSWER: f"SHA-256 {raw['answer_sha256']}",
    }


def _data(figure: Mapping[str, Any]) -> str:
    """The data that the model was told; receipts from before there was any do not name them."""
    chart = figure.get("chart")
    return f"SHA-256 {chart['sha256']}" if isinstance(chart, Mapping) else "not named"


def _until_stop(text: str, stops: Sequence[str]) -> str:
    """As the gateway cuts an answer for callers that can give stop strings, which are not those that are asked here."""
    return re.split("|".join(map(re.escape, stops)), text, maxsplit=1)[0] if stops else text
