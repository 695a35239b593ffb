"""What a run will cost, before it starts: requests, tokens, money.

Prompt tokens are counted on the very messages that will be sent, with the model's tokenizer.json where one is given,
else at four characters a token, which English text comes close to under the usual vocabularies. Answers are not known
beforehand: the default, 245 tokens, is the mean of SciGraphQA's dialogues (295,602 of them).
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from data import record as records
from data.build.tokens import TokenCount
from data.dialogues.prompts import Kind, has_context, messages
from data.shards import rows_of

CHARS_A_TOKEN = 4.0
ANSWER_TOKENS = 245


@dataclass(frozen=True, slots=True)
class Estimate:
    """`cost` is in the currency of the prices, None where none were given."""

    requests: int
    prompt_tokens: int
    answer_tokens: int
    cost: float | None

    def __str__(self) -> str:
        tokens = f"{self.prompt_tokens:,} prompt tokens and {self.answer_tokens:,} answer tokens"
        text = f"{self.requests:,} requests, about {tokens}"
        return text if self.cost is None else f"{text}: about {self.cost:,.2f}"


def estimate(
    shards: Sequence[Path],
    kinds: Sequence[Kind],
    *,
    rate: bool = False,
    tokenizer: str | None = None,
    answer_tokens: int = ANSWER_TOKENS,
    limit: int | None = None,
    price_in: float | None = None,
    price_out: float | None = None,
) -> Estimate:
    """Of asking for every kind about every record of the shards. Prices are for a million tokens; `limit`
    is of records in each shard.

    With `rate`, each dialogue is rated by one more request, whose prompt holds the record and the dialogue.
    """
    count = TokenCount(tokenizer)
    requests = prompt = answer = 0
    for shard in shards:
        for row in islice(rows_of(shard, columns=["record"]), limit):
            record = records.from_json(json.loads(row["record"]))
            if not has_context(record):
                continue
            for kind in kinds:
                text = "".join(message["content"] for message in messages(kind, record))
                tokens = round(len(text) / CHARS_A_TOKEN) if tokenizer is None else count(text)
                requests += 2 if rate else 1
                prompt += tokens * (2 if rate else 1) + (answer_tokens if rate else 0)
                answer += answer_tokens + (10 if rate else 0)
    cost = None
    if price_in is not None and price_out is not None:
        cost = (prompt * price_in + answer * price_out) / 1e6
    return Estimate(requests, prompt, answer, cost)
