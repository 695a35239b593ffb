"""A fake judge: a chat endpoint with scripted replies, OpenAI's protocol without streaming, on an ASGI app.

    judge = FakeJudge(replies=[rate_limited("0"), says("8 7\\nBoth are right.")])
    judge.otherwise = says("5 5")

`replies` are used up in the order of the requests, then `otherwise` answers; it may look at the request. Serve it with
`tests.harness.gateway.serving`. It keeps what it was sent, and holds no model.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from starlette.types import Receive, Scope, Send

MODEL = "fake-judge-2026"


@dataclass(frozen=True)
class Reply:
    """One response; with `hangs_up` the connection ends before any of it."""

    status: int = 200
    body: bytes = b""
    headers: tuple[tuple[str, str], ...] = ()
    hangs_up: bool = False


Otherwise = Reply | Callable[[dict[str, Any]], Reply]


def says(text: str | None, *, finish: str = "stop", refusal: str | None = None, model: str = MODEL) -> Reply:
    """A completion."""
    message = {"role": "assistant", "content": text, "refusal": refusal}
    body = {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 0,
        "model": model,
        "choices": [{"index": 0, "message": message, "finish_reason": finish, "logprobs": None}],
        "usage": {"prompt_tokens": 300, "completion_tokens": 40, "total_tokens": 340},
    }
    return Reply(body=json.dumps(body).encode())


def cut(text: str) -> Reply:
    """A completion that ran into its limit of tokens."""
    return says(text, finish="length")


def refuses(words: str = "I cannot judge this.") -> Reply:
    return says(None, refusal=words)


def filtered() -> Reply:
    """A refusal that comes as an error, as hosted endpoints send it."""
    return fails(400, "The prompt was filtered.", code="content_filter")


def rate_limited(retry_after: str | None = None) -> Reply:
    headers = (("retry-after", retry_after),) if retry_after is not None else ()
    return fails(429, "Too many requests.", code="rate_limit_exceeded", headers=headers)


def fails(status: int, words: str, *, code: str | None = None, headers: tuple[tuple[str, str], ...] = ()) -> Reply:
    body = {"error": {"message": words, "type": "error", "code": code, "param": None}}
    return Reply(status, json.dumps(body).encode(), headers)


def without_choices() -> Reply:
    return Reply(body=b'{"id": "1", "object": "chat.completion", "created": 0, "model": "m", "choices": []}')


def no_json() -> Reply:
    return Reply(body=b"<html>a proxy's page</html>", headers=(("content-type", "text/html"),))


def hangs_up() -> Reply:
    return Reply(hangs_up=True)


@dataclass
class FakeJudge:
    replies: list[Reply] = field(default_factory=list)
    otherwise: Otherwise = field(default_factory=lambda: says("7 7\nBoth are alike."))
    requests: list[dict[str, Any]] = field(default_factory=list)
    """Bodies of the chat completions asked for."""
    headers: list[dict[str, str]] = field(default_factory=list)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        assert scope["type"] == "http"
        if scope["path"] == "/version":
            await _respond(send, Reply(body=b'{"version": "0.0.1"}'))
            return
        assert (scope["method"], scope["path"]) == ("POST", "/v1/chat/completions")
        body = b""
        more = True
        while more:
            message = await receive()
            body += message.get("body", b"")
            more = message.get("more_body", False)
        request = json.loads(body)
        self.requests.append(request)
        self.headers.append({name.decode(): value.decode() for name, value in scope["headers"]})
        if self.replies:
            reply = self.replies.pop(0)
        else:
            reply = self.otherwise if isinstance(self.otherwise, Reply) else self.otherwise(request)
        if not reply.hangs_up:
            await _respond(send, reply)

    @property
    def prompts(self) -> list[str]:
        """The texts of the last message of each request."""
        return [prompt_of(request) for request in self.requests]


def prompt_of(request: dict[str, Any]) -> str:
    """The text of the last message of a request, whichever of OpenAI's two forms it has."""
    content = request["messages"][-1]["content"]
    if isinstance(content, str):
        return content
    return "\n".join(part["text"] for part in content if part["type"] == "text")


def answers_in(prompt: str) -> tuple[str, str]:
    """What stands in the blocks of Assistant 1 and Assistant 2."""
    first, second = (
        prompt.split(f"[Assistant {n}]\n", 1)[1].split(f"\n\n[End of Assistant {n}]", 1)[0] for n in (1, 2)
    )
    return first, second


async def _respond(send: Send, reply: Reply) -> None:
    names = {name for name, _ in reply.headers}
    headers = [(name.encode(), value.encode()) for name, value in reply.headers]
    if "content-type" not in names:
        headers.append((b"content-type", b"application/json"))
    await send({"type": "http.response.start", "status": reply.status, "headers": headers})
    await send({"type": "http.response.body", "body": reply.body})
