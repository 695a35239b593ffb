"""What is done to a text before it is scored. A score is only meaningful together with the name of its protocol.

`original` is what the original LLaVA-Graph and SciGraphQA report: raw strings, tokens between white space, punctuation
attached, case kept. `tokenised` lowers the case and cuts punctuation off as WMT's mteval-v13a does (sacrebleu's
tokenizer). Scores under the two must never stand in one column, so labels carry the protocol. The module knows no
metric.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib import metadata
from typing import Literal, get_args

ProtocolName = Literal["original", "tokenised"]
PROTOCOLS: tuple[ProtocolName, ...] = get_args(ProtocolName)


@dataclass(frozen=True, slots=True)
class Protocol:
    """`prepare` gives the string that is scored; `suffix` follows the metric's name in tables."""

    name: ProtocolName
    prepare: Callable[[str], str]
    suffix: str
    signature: str


def protocol(name: ProtocolName) -> Protocol:
    """The protocol of this name. The tokenised one loads sacrebleu."""
    if name == "original":
        return Protocol("original", lambda text: text, "", "raw strings, split at white space")
    from sacrebleu.tokenizers.tokenizer_13a import Tokenizer13a

    tokenizer = Tokenizer13a()  # type: ignore[no-untyped-call]
    signature = f"13a, lower case, sacrebleu {metadata.version('sacrebleu')}"
    return Protocol("tokenised", lambda text: str(tokenizer(text.lower())), " (tokenised)", signature)
