"""Several engines on real sockets, and the engines file that lists them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.fakes.openai_engine import OpenAIEngine
from tests.harness.gateway import serving


@dataclass(frozen=True)
class Fleet:
    """Engines by name, where each is, and the engines file."""

    engines: Mapping[str, OpenAIEngine]
    urls: Mapping[str, str]
    path: Path

    def write(self, models: Mapping[str, Sequence[str]], *, drain: Sequence[str] = ()) -> None:
        """Lists the models with the names of their engines; the first is the default one. A model's manifest lies in a
        folder of its name beside the file."""
        lines = []
        for model, names in models.items():
            lines += ["[[models]]", f'dir = "{model}"']
            for name in names:
                lines += ["[[models.engines]]", f'name = "{name}"', f'url = "{self.urls[name]}"']
                lines += ["drain = true"] if name in drain else []
        self.path.write_text("\n".join(lines))

    def with_requests(self) -> set[str]:
        """The engines that were asked for an answer."""
        return {name for name, engine in self.engines.items() if engine.requests}


@asynccontextmanager
async def fleet(folder: Path, *names: str, **elsewhere: str) -> AsyncIterator[Fleet]:
    """Engines that run, of these names; `elsewhere` are URLs of others. Knows two models, `first` and `second`."""
    write_manifest(folder, "first", max_new_tokens=256)
    write_manifest(folder, "second", max_new_tokens=64)
    engines = {name: OpenAIEngine() for name in names}
    async with AsyncExitStack() as stack:
        urls = {
            name: await stack.enter_async_context(serving(engine, lifespan=False)) for name, engine in engines.items()
        }
        yield Fleet(engines, {**urls, **elsewhere}, folder / "engines.toml")


async def until(condition: Callable[[], bool], asked: OpenAIEngine) -> None:
    """Returns once it holds; looked at whenever the engine is asked for its health, so let that be often."""
    async with asyncio.timeout(30):
        while not condition():
            asked.asked_health.clear()
            await asked.asked_health.wait()


def write_manifest(folder: Path, name: str, *, max_new_tokens: int) -> None:
    (folder / name).mkdir(exist_ok=True)
    (folder / name / "manifest.toml").write_text(
        f'name = "{name}"\nrevision = "1"\ncontext_template = "located"\ncontext_length = 1024\n'
        f"max_new_tokens = {max_new_tokens}\n"
    )
