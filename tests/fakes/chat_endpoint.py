"""An OpenAI-compatible endpoint that answers whole chat completions as a test says, served on a real socket.

    endpoint = ChatEndpoint(lambda body: "Question: …")

It keeps the bodies that it was sent. What `says` returns is a text, or a (status, headers, JSON) of another answer.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from starlette.types import Receive, Scope, Send

Other = tuple[int, dict[str, str], dict[str, Any]]


def problem(status: int, message: str, **headers: str) -> Other:
    return status, headers, {"error": {"message": message, "type": "invalid_request_error", "code": None}}


@dataclass
class ChatEndpoint:
    says: Callable[[dict[str, Any]], str | Other]
    finish_reason: str = "stop"
    requests: list[dict[str, Any]] = field(default_factory=list)
    keys: list[str] = field(default_factory=list)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        assert (scope["method"], scope["path"]) == ("POST", "/v1/chat/completions")
        body = b""
        more = True
        while more:
            message = await receive()
            body += message.get("body", b"")
            more = message.get("more_body", False)
        asked = json.loads(body)
        self.requests.append(asked)
        self.keys.append(dict(scope["headers"])[b"authorization"].decode())
        said = self.says(asked)
        status, headers, answer = (200, {}, self._completion(said)) if isinstance(said, str) else said
        raw = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
        raw.append((b"content-type", b"application/json"))
        await send({"type": "http.response.start", "status": status, "headers": raw})
        await send({"type": "http.response.body", "body": json.dumps(answer).encode()})

    def _completion(self, text: str) -> dict[str, Any]:
        return {
            "id": "chatcmpl-1",
            "object": "chat.completion",
            "created": 0,
            "model": "fake",
            "choices": [
                {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": self.finish_reason}
            ],
            "usage": {"prompt_tokens": 100, "completion_tokens": 20, "total_tokens": 120},
        }
