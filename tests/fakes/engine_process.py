"""A fake engine as a process of its own, which a test can stop and kill: `python -m tests.fakes.engine_process PORT`.

It says one word after the other until `max_tokens`, with a pause after each, and holds no model.
"""

from __future__ import annotations

import asyncio
import sys

import uvicorn

from tests.fakes.openai_engine import USAGE, OpenAIEngine, Wire

_PAUSE_S = 0.02


def main() -> None:
    engine = OpenAIEngine()

    async def speaks(wire: Wire) -> None:
        for _ in range(engine.requests[-1]["max_tokens"]):
            await wire.chunk("word ")
            await asyncio.sleep(_PAUSE_S)
        await wire.chunk(finish="length", usage=USAGE)
        await wire.end()

    engine.behaviour = speaks
    uvicorn.run(engine, host="127.0.0.1", port=int(sys.argv[1]), lifespan="off", log_level="error")


if __name__ == "__main__":
    main()
