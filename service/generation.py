"""Request fields for generation and context, shared by all routes that answer.

The types carry bounds and descriptions, for forms and JSON bodies alike: `top_p: TopP = None` in a model,
`top_p: Annotated[TopP, Form()] = None` in a form. How many tokens an answer may have depends on the model, so
`max_tokens_of` checks that, and service/schema/description.py describes it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import Field

from llava_graph.context import Turn
from llava_graph.manifest import ModelManifest
from service.engine.client import MAX_SEED, Sampling
from service.errors import FieldProblem, FieldsInvalid

_PART = "caption|ocr|chart"

OcrWish = Literal["auto", "off"]

ModelField = Annotated[
    str | None, Field(description="Which of the models in /v1/models is to answer; default: the first of them")
]
MaxTokens = Annotated[int | None, Field(ge=1, description="Longest answer; at most, and by default, the model's")]
Temperature = Annotated[float | None, Field(ge=0, le=2, description="0 is greedy; default: the model's")]
TopP = Annotated[
    float | None,
    Field(
        gt=0,
        le=1,
        description="Draw only from the likeliest tokens that make up this share of the probability; "
        "default: the model's",
    ),
]
Seed = Annotated[
    int | None,
    Field(
        ge=0,
        le=MAX_SEED,
        description="Has the same tokens drawn again when the same is asked; without it others are drawn each time",
    ),
]
ContextField = Annotated[
    str,
    Field(
        description="What the model is told besides the image: any of caption, ocr and chart, with commas between, or "
        "all, both (caption and ocr), none",
        pattern=f"^(all|both|none|({_PART})(,({_PART})){{0,2}})$",  # which bounds the length, too
        examples=["all", "caption,ocr", "none"],
    ),
]
OcrField = Annotated[OcrWish, Field(description="Whether to read the text in the figure first")]
StreamField = Annotated[bool, Field(description="Events as they come, or one JSON object at the end")]


@dataclass(frozen=True, slots=True)
class GenerationRequest:
    """What is asked: the conversation so far, the last turn the user's. None stands for the model's default, or for
    another `seed` each time. The answer ends before the first of the `stop` strings, none of which is empty."""

    turns: Sequence[Turn]
    max_tokens: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    seed: int | None = None
    stop: tuple[str, ...] = ()

    def sampling(self, manifest: ModelManifest) -> Sampling:
        """How to generate, with the model's defaults filled in."""
        defaults = manifest.sampling
        return Sampling(
            max_tokens=manifest.max_new_tokens if self.max_tokens is None else self.max_tokens,
            temperature=defaults.temperature if self.temperature is None else self.temperature,
            top_p=defaults.top_p if self.top_p is None else self.top_p,
            seed=self.seed,
            stop=self.stop,
            max_repeats=defaults.max_repeats,
        )


def max_tokens_of(max_tokens: int | None, manifest: ModelManifest, *, field: str = "max_tokens") -> int | None:
    """`max_tokens` as it was sent. Raises FieldsInvalid for more than the model's longest answer."""
    if max_tokens is not None and max_tokens > manifest.max_new_tokens:
        words = f"{max_tokens} is more than the model's {manifest.max_new_tokens}"
        raise FieldsInvalid(f"{field}: {words}.", [FieldProblem(field=field, message=words)])
    return max_tokens
