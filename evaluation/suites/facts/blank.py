"""The blank-image ablation: the prompt that the gateway sent, word for word, with a white image in place of the figure.

What the model says then it says by text, data and caption alone; the difference to the column `all` is what the pixels
are worth. The gateway reads what it is shown, so it cannot be asked this: the engine is asked itself, over its OpenAI
interface. Nothing here scores an answer.
"""

from __future__ import annotations

import base64
import hashlib
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from PIL import Image

from evaluation.endpoint import ChatEndpoint, Reply
from evaluation.sampling import Sampling
from llava_graph.chart import from_json
from llava_graph.context import FigureContext, Turn, conversation
from llava_graph.ocr import Line


class PromptError(Exception):
    """The prompt made here is not the gateway's, so that answers to it cannot be compared."""


@dataclass(frozen=True, slots=True)
class BlankImages:
    """Asks `engine` as the gateway asks it. `template` and `max_tokens` are those of the model's manifest."""

    engine: ChatEndpoint
    template: str
    max_tokens: int

    async def answered(self, record: Mapping[str, Any]) -> Reply:
        """The answer to what a record of the column `all` (run.py) was asked, the image blank.

        Raises PromptError where the gateway's receipt names another prompt, EndpointError where the engine fails.
        """
        width, height = record["size"]
        chart = record["chart"]
        known = FigureContext(
            width,
            height,
            record["caption"],
            tuple(Line.from_json(line) for line in record["ocr"]["lines"]),
            None if chart["status"] == "off" else from_json(chart),
        )
        shown = {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{_blank(width, height)}"}}
        messages, _ = conversation(self.template, known, [Turn("user", record["question"])], shown)
        if record["prompt_sha256"] not in (None, prompt_sha256(messages)):
            raise PromptError(
                f"figure {record['figure']}: the gateway's prompt is another than the template {self.template} gives; "
                "does it serve this model?"
            )
        sampling = Sampling(temperature=0.0, max_tokens=self.max_tokens)
        return await self.engine.complete(f"figure {record['figure']}", messages, sampling)


def prompt_sha256(messages: Sequence[Mapping[str, Any]]) -> str:
    """The hash of a prompt's texts as receipts have it (docs/receipts.md)."""
    texts = [
        [message["role"], [part["text"] for part in message["content"] if part["type"] == "text"]]
        for message in messages
    ]
    return hashlib.sha256(json.dumps(texts, ensure_ascii=False, separators=(",", ":")).encode()).hexdigest()


def _blank(width: int, height: int) -> str:
    """A white PNG of this size in base64."""
    file = io.BytesIO()
    Image.new("RGB", (width, height), "white").save(file, "PNG")
    return base64.b64encode(file.getvalue()).decode("ascii")
