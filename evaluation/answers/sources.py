"""The two ways to get an answer: from our service, which reads the figure itself, or from any OpenAI endpoint.

Both give an Answered, with what they learnt of the model on the way, and try again where that makes sense. A figure
whose text or data came too late is such a case: an answer without them would belong to another context. Neither keeps
anything; see `run`.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from contextlib import aclosing
from dataclasses import asdict, dataclass, field
from typing import Any, Protocol

import httpx2

from evaluation.answers.contexts import (
    ContextName,
    Reading,
    messages_for,
    template_label,
    uses_caption,
    uses_chart,
    uses_ocr,
)
from evaluation.answers.questions import Question
from evaluation.endpoint import ChatEndpoint
from evaluation.errors import EndpointError, InputError
from evaluation.pacing import BusyError, Pacer
from evaluation.rows import text_sha256
from evaluation.sampling import Sampling
from llava_graph import client
from llava_graph.checks import checks
from llava_graph.figure import Figure
from llava_graph.grounding import ground

_READ = ("ok", "cached")
_CHART_READ = ("ok", "cached", "abstained")  # that the reader claims nothing is a result


@dataclass(frozen=True, slots=True)
class Answered:
    """One answer. `learnt` are fields of the run's fingerprint, `metadata` goes into the row."""

    text: str
    model_id: str
    prompt_sha256: str | None
    learnt: Mapping[str, str | None]
    metadata: dict[str, Any] = field(default_factory=dict)


class AnswerSource(Protocol):
    """`preprocessing` and `engine` are fields of the fingerprint."""

    preprocessing: str
    engine: str

    async def answer(self, question: Question, figure: Figure | None) -> Answered:
        """One answer. Raises EndpointError."""
        ...


class ServiceSource:
    """Our service: it reads the figure, builds the prompt by its model's template, and says so in a receipt."""

    preprocessing = "upright RGB on white as PNG; the service decodes it, the engine's processor scales it"
    engine = "llava-graph service"

    def __init__(self, gateway: httpx2.AsyncClient, context: ContextName, sampling: Sampling, pacer: Pacer) -> None:
        self._gateway = gateway
        self._context = context
        self._sampling = sampling
        self._pacer = pacer

    async def answer(self, question: Question, figure: Figure | None) -> Answered:
        if figure is None:
            raise InputError(f"question {question.question_id} has no figure, which our service explains")
        png = figure.png()
        what = f"question {question.question_id}"
        parts = await self._pacer.call(what, lambda: self._parts(question, png, what))
        return _answered(parts, self._context)

    async def _parts(self, question: Question, png: bytes, what: str) -> dict[str, dict[str, Any]]:
        parts: dict[str, dict[str, Any]] = {}
        events = client.explain(
            self._gateway,
            png,
            question.caption if uses_caption(self._context) else "",
            question=question.text,
            # Without a name the gateway gives all it has.
            context=None if self._context == "all" else self._context,
            ocr=self._context in ("ocr", "chart", "all"),
            **self._sampling.given(),
        )
        try:
            async with aclosing(events):
                async for event in events:
                    if event.name != "delta":  # their text stands in `done` once more
                        parts[event.name] = event.data
        except client.ExplainError as error:
            if error.retryable:
                raise BusyError(str(error), error.retry_after_s) from error
            raise EndpointError(f"{what}: {error}") from error
        if uses_ocr(self._context) and (status := parts["ocr"]["status"]) not in _READ:
            raise BusyError(f"the text of the figure was not read ({status})")
        if uses_chart(self._context):
            chart = parts.get("chart", {}).get("status", "off")
            if chart == "off":
                raise EndpointError(f"{what}: this service reads no charts, which the context is to hold")
            if chart not in _CHART_READ:
                raise BusyError(f"the chart was not read ({chart})")
        return parts


class EndpointSource:
    """Any OpenAI-compatible endpoint: the prompt is built here, from readings that were made before."""

    preprocessing = "upright RGB on white as PNG in a data URI; the endpoint's processor scales it"
    engine = "OpenAI-compatible endpoint"

    def __init__(
        self,
        endpoint: ChatEndpoint,
        context: ContextName,
        template: str,
        readings: Mapping[str, Reading] | None,
        sampling: Sampling,
    ) -> None:
        self._endpoint = endpoint
        self._context = context
        self._template = template
        self._label = template_label(template)
        self._readings = readings
        self._sampling = sampling

    async def answer(self, question: Question, figure: Figure | None) -> Answered:
        reading = self._readings.get(question.image or "") if self._readings else None
        size = (figure.width, figure.height) if figure else None
        messages, prompt = messages_for(
            question, self._context, self._template, reading, size, _image_part(figure) if figure else None
        )
        what = f"question {question.question_id}"
        reply = await self._endpoint.complete(what, messages, self._sampling)
        metadata: dict[str, Any] = {"finish_reason": reply.finish_reason, "usage": dict(reply.usage)}
        if reply.refusal:
            metadata["refusal"] = reply.refusal
        if reply.system_fingerprint:
            metadata["system_fingerprint"] = reply.system_fingerprint
        if reading is not None:
            # Checked against all that was read, told or not, so that contexts are held to one measure.
            found = checks(reply.text, reading.lines, question.caption, reading.chart)
            metadata |= reading.to_json()
            metadata["grounding"] = [asdict(link) for link in ground(reply.text, reading.lines)]
            metadata["checks"] = [check.to_json() for check in found]
        return Answered(
            reply.text,
            reply.model or self._endpoint.model,
            text_sha256(prompt),
            {"model": reply.model or None, "template": self._label},
            metadata,
        )


def _answered(parts: Mapping[str, Mapping[str, Any]], context: ContextName) -> Answered:
    done = parts["done"]
    receipt = done.get("receipt") or {}
    model = receipt.get("model") or {}
    template = f"{model['template']} v{model['template_version']}" if "template" in model else None
    gateway, engine = receipt.get("gateway"), model.get("engine")
    metadata: dict[str, Any] = {
        "finish_reason": done.get("finish_reason"),
        "usage": done.get("usage"),
        "size": [parts["figure"]["width"], parts["figure"]["height"]] if "figure" in parts else None,
        "grounding": done.get("grounding") or [],
        "checks": done.get("checks") or [],
    }
    if uses_ocr(context):
        metadata["lines"] = parts["ocr"].get("lines") or []
    if uses_chart(context) and "chart" in parts:
        metadata["chart"] = {"panels": parts["chart"].get("panels") or [], "status": parts["chart"].get("status")}
    return Answered(
        str(done["text"]),
        str(model.get("id", "")),
        receipt.get("prompt_sha256"),
        {
            "model": model.get("id"),
            "revision": model.get("revision"),
            "template": template,
            # What answered, behind the gateway: another version is another run.
            "engine_version": ", ".join(filter(None, (f"gateway {gateway}" if gateway else None, engine))) or None,
        },
        metadata,
    )


def _image_part(figure: Figure) -> dict[str, object]:
    encoded = base64.b64encode(figure.png()).decode("ascii")
    return {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{encoded}"}}
