"""Checks that a prompt fits the model's context before the engine gets it: some engines compute any length.

Tokens are counted with the model's own tokenizer where its folder holds one (`tokenizer.json`) and the library
`tokenizers` is installed, which is too large to be required. Without either, bytes stand for tokens, at a ratio that no
text of a question or a figure reaches: what is refused then would not have fitted with any tokenizer, and what is let
pass has at most that many times the model's length. Most prompts have fewer bytes than the model takes tokens, and
cost nothing here.

Counts err on the small side (the chat template's own tokens are not counted), so that nothing is refused here that the
engine would take.
"""

from __future__ import annotations

import asyncio
import importlib.util
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

from llava_graph.manifest import ModelManifest
from service.errors import PromptTooLong

if TYPE_CHECKING:
    from tokenizers import Tokenizer

TOKENIZER_FILE = "tokenizer.json"

BYTES_A_TOKEN = 6
"""More than texts have on average with today's tokenizers: English some 4.5, Chinese 4, digits and signs 1 to 3."""

_LONGEST_BYTES_A_TOKEN = 64
"""A text with more bytes than this for each token is not even counted."""

_SLICE_CHARS = 2_000
"""The library lets no other thread run while it encodes, which takes some 15 ms for so many."""

_CUT_TOKENS = 2
"""What cutting a text in two may add."""


class PromptLength:
    """One per process, for one model. `model_dir` is None where the manifest came without a folder."""

    def __init__(self, manifest: ModelManifest, model_dir: Path | None) -> None:
        self._context_length = manifest.context_length
        self._image_tokens = manifest.image_tokens
        file = None if model_dir is None else model_dir / TOKENIZER_FILE
        self._file = file if file and file.is_file() and importlib.util.find_spec("tokenizers") else None
        self._tokenizer: Tokenizer | None = None
        # One, so that the tokenizer is loaded once, and many long prompts take turns with the event loop, not with it
        # and each other.
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="prompt-length")

    async def check(self, messages: Iterable[dict[str, object]], *, images: int) -> None:
        """Raises PromptTooLong when chat messages and so many images leave no room for an answer."""
        texts = [text for message in messages for text in _texts(message)]
        room = self._context_length - 1 - images * self._image_tokens
        size_bytes = sum(len(text.encode("utf-8", "replace")) for text in texts)
        if size_bytes <= room:
            return
        if self._file is None:
            too_long = size_bytes > room * BYTES_A_TOKEN
        elif size_bytes > max(room, 1) * _LONGEST_BYTES_A_TOKEN:
            too_long = True
        else:
            loop = asyncio.get_running_loop()
            too_long = await loop.run_in_executor(self._thread, self._has_more_tokens, self._file, texts, room)
        if too_long:
            words = (
                f"The model takes {self._context_length} tokens of images, texts and answer together; these are more."
            )
            raise PromptTooLong(words)

    def _has_more_tokens(self, file: Path, texts: Sequence[str], most: int) -> bool:
        """Stops counting when they are too many."""
        if self._tokenizer is None:
            from tokenizers import Tokenizer

            self._tokenizer = Tokenizer.from_file(str(file))
            self._tokenizer.no_truncation()
            self._tokenizer.no_padding()
        tokens = 0
        for text in texts:
            for start in range(0, len(text), _SLICE_CHARS):
                tokens += len(self._tokenizer.encode(text[start : start + _SLICE_CHARS], add_special_tokens=False).ids)
                tokens -= _CUT_TOKENS if start else 0
                if tokens > most:
                    return True
        return False


def _texts(message: dict[str, object]) -> list[str]:
    content = message["content"]
    assert isinstance(content, list)
    return [part["text"] for part in content if part["type"] == "text"]
