"""Request context: facts about one request, gathered while it is answered, for its log line and metrics.

The middleware makes one per request and puts it into the ASGI scope; later steps add what they learn.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Literal

from starlette.types import Scope

from service.errors import GatewayError, RequestError

_SCOPE_KEY = "llava_graph.record"

Outcome = Literal["ok", "refused", "failed", "client_gone"]


@dataclass(slots=True)
class RequestRecord:
    request_id: str
    started_s: float = field(default_factory=time.perf_counter)
    """On the clock of `time.perf_counter`."""
    status: int | None = None
    """Of the response, once it has begun."""
    outcome: Outcome | None = None
    """Set where the status does not tell: a stream that failed after its 200, a client that left."""
    code: str | None = None
    """Of the problem, if there was one."""
    facts: dict[str, object] = field(default_factory=dict)
    """More for the log line: figure_id, ocr_status, first_token_ms, tokens_in, tokens_out."""

    @property
    def elapsed_ms(self) -> float:
        return (time.perf_counter() - self.started_s) * 1000

    def failed(self, error: GatewayError) -> None:
        """A stream ended with `error` after its 200."""
        self.code = error.code
        self.outcome = "refused" if isinstance(error, RequestError) else "failed"

    def final_outcome(self) -> Outcome:
        if self.outcome is not None:
            return self.outcome
        if self.status is None or self.status >= 500:
            return "failed"
        return "refused" if self.status >= 400 else "ok"


def attach(scope: Scope, record: RequestRecord) -> None:
    scope[_SCOPE_KEY] = record


def record_of(scope: Scope) -> RequestRecord:
    """The record of the request that `scope` belongs to."""
    record: RequestRecord = scope[_SCOPE_KEY]
    return record
