"""Encodes a conversation: token ids, labels, and the places of its image.

The whole text is tokenised once and labels follow from character offsets. To tokenise piece by piece, as LLaVA does to
count lengths, gives other ids at the seams and, under some tokenizers, masks that are off by one.

A token is learned when it covers a character that is learned. Image tokens never are. `tokens_of` is the one place
where this is decided: the Encoder of recipes and the examples of the shipped models call it. Nothing here reads files
or decodes images.
"""

from __future__ import annotations

from collections.abc import Sequence, Set
from dataclasses import dataclass, field
from typing import Literal

import torch
from transformers import PreTrainedTokenizerBase

from data.record import IMAGE_TOKEN
from llava_graph.context import Turn
from training.errors import SampleError, TemplateError
from training.templates import IN_PLACE, ImageFormat, Span, Template

IGNORED = -100
"""The label of what is not learned (PyTorch's cross entropy)."""

Modality = Literal["image", "text"]


@dataclass(frozen=True, slots=True)
class EncodedSample:
    """A conversation ready for a batch. `labels` has one entry a token, IGNORED where nothing is learned.

    `image` is the image file's bytes, `size` its width and height (0 until known); `pixels`, float [3, H, W], is what
    the vision tower gets, and is made when the sample goes into a batch. All are None for text alone. `cut` names what
    was cut, as in counts.KINDS.
    """

    id: str
    input_ids: list[int]
    labels: list[int]
    has_image: bool = False
    cut: str | None = None
    image: bytes | None = field(default=None, repr=False)
    size: tuple[int, int] = (0, 0)
    pixels: torch.Tensor | None = field(default=None, repr=False, compare=False)

    @property
    def length(self) -> int:
        return len(self.input_ids)

    @property
    def modality(self) -> Modality:
        return "image" if self.has_image else "text"


_PROBE = (Turn("user", f"{IMAGE_TOKEN}\nWhat is shown?"), Turn("assistant", "A curve."))


@dataclass(frozen=True, slots=True)
class Encoder:
    """Encodes for one model. `tokenizer` is a fast one that has `<image>` as one token; `max_length` is in tokens.

    Raises TemplateError where the tokenizer lacks a token that template or image format writes, and where the template
    does not show an image, as the chat templates of language models do not.
    """

    tokenizer: PreTrainedTokenizerBase
    template: Template
    max_length: int
    images: ImageFormat = IN_PLACE
    image_id: int = field(init=False)
    _added: frozenset[int] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        if not self.tokenizer.is_fast:
            raise TemplateError("labels need character offsets, which only fast tokenizers give")
        wanted = [*self.template.tokens, IMAGE_TOKEN]
        wanted += [token for token in ("<im_start>", "<im_end>") if token in self.images.block]
        known = self.tokenizer.get_vocab()
        missing = [token for token in wanted if token not in known]
        if missing:
            raise TemplateError(
                f"the tokenizer lacks {', '.join(missing)}, which the format {self.template.name} writes"
            )

        shown = self.template.render(_PROBE, self.images).text.count(IMAGE_TOKEN)
        if shown != 1:
            raise TemplateError(f"the format {self.template.name} writes {IMAGE_TOKEN} {shown} times for one image")
        # Asked once: both are built anew at every call.
        object.__setattr__(self, "image_id", known[IMAGE_TOKEN])
        object.__setattr__(self, "_added", frozenset(self.tokenizer.added_tokens_decoder))

    def encode(self, sample_id: str, turns: Sequence[Turn], image_tokens: int | None) -> EncodedSample:
        """The sample, without its image's bytes. `image_tokens` is how many tokens its image takes, None for text
        alone.

        Raises SampleError.
        """
        shown = sum(turn.text.count(IMAGE_TOKEN) for turn in turns)
        if image_tokens is None and shown:
            raise SampleError("image_token_without_image")
        if image_tokens is not None and not shown:
            raise SampleError("image_without_image_token")
        rendered = self.template.render(turns, self.images)
        first = (self.tokenizer.bos_token or "") if self.template.begins else ""
        tokens = tokens_of(self.tokenizer, rendered.text, rendered.targets, rendered.questions, first=first)
        if tokens.ids.count(self.image_id) != shown:
            raise SampleError("image_token_in_text")
        tokens = tokens.with_image(self.image_id, image_tokens or 0, self._added)
        if not any(tokens.learned):
            raise SampleError("nothing_to_learn")
        tokens, cut = tokens.fitted(self.max_length, self.image_id)
        return EncodedSample(sample_id, tokens.ids, tokens.labels, image_tokens is not None, cut)


def tokens_of(
    tokenizer: PreTrainedTokenizerBase,
    text: str,
    targets: Sequence[Span],
    questions: Sequence[Span] = (),
    *,
    first: str = "",
) -> Tokens:
    """The tokens of `first` and `text` together, by a fast tokenizer.

    Learned are those that cover a character of `targets`; loose are those of `questions`. Both are stretches of `text`,
    in order, that do not overlap.
    """
    encoded = tokenizer(first + text, add_special_tokens=False, return_offsets_mapping=True, verbose=False)
    offsets = [(start - len(first), end - len(first)) for start, end in encoded["offset_mapping"]]
    return Tokens(list(encoded["input_ids"]), _covered(offsets, targets), _covered(offsets, questions))


@dataclass(frozen=True, slots=True)
class Tokens:
    """Ids, and for each whether it is learned and whether it may be cut out of a question."""

    ids: list[int]
    learned: list[bool]
    loose: list[bool]

    @property
    def labels(self) -> list[int]:
        """The ids, IGNORED where nothing is learned."""
        return [token if learned else IGNORED for token, learned in zip(self.ids, self.learned, strict=True)]

    def with_image(self, image_id: int, count: int, added: Set[int] = frozenset()) -> Tokens:
        """With the image's token `count` times, which is never learned. Added tokens are not loose."""
        made = Tokens([], [], [])
        for token, learned, loose in zip(self.ids, self.learned, self.loose, strict=True):
            times = count if token == image_id else 1
            made.ids.extend([token] * times)
            made.learned.extend([learned and token != image_id] * times)
            made.loose.extend([loose and token not in added] * times)
        return made

    def fitted(self, max_length: int, image_id: int) -> tuple[Tokens, str | None]:
        """At most `max_length` tokens, never a part of an image, and what was cut. Raises SampleError.

        The end is cut where image and some of an answer stay. Otherwise questions are cut first, in the middle: their
        beginning and their end say most, a list of texts in between says least.
        """
        if len(self.ids) <= max_length:
            return self, None
        if self._survives(max_length, image_id):
            return self._without(set(range(max_length, len(self.ids)))), "cut_at_end"
        first_answer = self.learned.index(True)
        excess = len(self.ids) - max_length
        dropped: set[int] = set()
        for start, end in sorted(self._stretches(first_answer), key=lambda stretch: stretch[0] - stretch[1]):
            count = min(excess - len(dropped), end - start)
            middle = start + (end - start - count) // 2
            dropped.update(range(middle, middle + count))
        shorter = self._without(dropped)
        if not shorter._survives(max_length, image_id):
            raise SampleError("too_long")
        return shorter._without(set(range(max_length, len(shorter.ids)))), "cut_in_prompt"

    def _survives(self, length: int, image_id: int) -> bool:
        """Whether the first `length` tokens hold the image and something to learn."""
        return image_id not in self.ids[length:] and any(self.learned[:length])

    def _stretches(self, end: int) -> list[Span]:
        stretches = []
        start = None
        for i in range(end + 1):
            loose = i < end and self.loose[i]
            if loose and start is None:
                start = i
            elif not loose and start is not None:
                stretches.append((start, i))
                start = None
        return stretches

    def _without(self, dropped: set[int]) -> Tokens:
        kept = [i for i in range(len(self.ids)) if i not in dropped]
        return Tokens([self.ids[i] for i in kept], [self.learned[i] for i in kept], [self.loose[i] for i in kept])


def _covered(offsets: Sequence[Span], spans: Sequence[Span]) -> list[bool]:
    """For each token whether it covers a character of a span. Both are in order."""
    covered = []
    following = iter(spans)
    span = next(following, None)
    for start, end in offsets:
        while span is not None and span[1] <= start:
            span = next(following, None)
        covered.append(span is not None and start < span[1] and end > span[0])
    return covered
