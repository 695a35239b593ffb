"""How answers are drawn: the one type for it in requests and fingerprints. It knows no endpoint."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, get_args

TokenField = Literal["max_tokens", "max_completion_tokens"]
TOKEN_FIELDS: tuple[TokenField, ...] = get_args(TokenField)
"""OpenAI's reasoning models refuse the first name, most other servers do not know the second."""


@dataclass(frozen=True, slots=True)
class Sampling:
    """How answers are drawn; `temperature` 0 is greedy. None leaves a field to the endpoint."""

    temperature: float | None = 0.0
    top_p: float | None = None
    max_tokens: int | None = 1024
    seed: int | None = None
    token_field: TokenField = "max_tokens"

    def to_json(self) -> dict[str, Any]:
        """As fingerprints hold it: every field that changes answers, whatever a server calls it."""
        return {
            "temperature": self.temperature,
            "top_p": self.top_p,
            "max_tokens": self.max_tokens,
            "seed": self.seed,
        }

    def given(self) -> dict[str, Any]:
        """What a request holds."""
        fields = {name: value for name, value in self.to_json().items() if value is not None}
        if self.token_field != "max_tokens" and "max_tokens" in fields:
            fields[self.token_field] = fields.pop("max_tokens")
        return fields
