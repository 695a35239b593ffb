"""Cancels the work on a request when its client disconnects."""

from __future__ import annotations

import asyncio

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.middleware.request_context import record_of


class HangUp:
    """Cancels the application's work when the client leaves, whatever it is waiting for at that moment.

    Once the body is read, the server has only one more message: that the client has disconnected. A task of its own
    listens for that, so that waiting for OCR, a prefill or a whole answer (stream=false) ends at once and everything
    upstream is closed on the way out.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        work = asyncio.current_task()
        assert work is not None
        gone = asyncio.Event()
        listener: asyncio.Task[None] | None = None
        answered = cancelled = False

        async def listen() -> None:
            nonlocal cancelled
            while (await receive())["type"] != "http.disconnect":
                pass
            gone.set()
            if not answered:
                cancelled = True
                work.cancel()

        async def receive_body() -> Message:
            nonlocal listener
            if listener is not None:
                await gone.wait()
                return {"type": "http.disconnect"}
            message = await receive()
            if message["type"] == "http.disconnect":
                record_of(scope).outcome = "client_gone"
            elif not message.get("more_body", False):
                listener = asyncio.create_task(listen(), name="hang-up")
            return message

        async def send_until_answered(message: Message) -> None:
            nonlocal answered
            # Set before sending: servers report a disconnect, too, when a response is complete.
            if message["type"] == "http.response.body" and not message.get("more_body", False):
                answered = True
            await send(message)

        try:
            await self._app(scope, receive_body, send_until_answered)
        except asyncio.CancelledError:
            # Ours, unless the server cancels as well (see asyncio.Task.uncancel).
            if not cancelled or work.uncancel() > 0:
                raise
            record_of(scope).outcome = "client_gone"
        finally:
            if listener is not None:
                listener.cancel()
