"""`llava-graph up`, `demo`, `engine` and `explain`: options in, the right parts put together, an exit status out.

up        Redis, OCR worker, engine and gateway on this machine, until ctrl-C or SIGTERM
demo      the same on free ports; explains every figure of a folder; exits 1 when anything is missing
engine    the engine alone, in the foreground, started again when it dies
explain   a client in the terminal for a gateway that runs somewhere
"""

from __future__ import annotations

import asyncio
import json
import shutil
import signal
import sys
import tempfile
import tomllib
from collections.abc import AsyncGenerator, Callable, Coroutine
from contextlib import aclosing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn, TypeVar

import click
import httpx2
from rich.console import Console

from llava_graph import client
from llava_graph.client import Event, ExplainError
from llava_graph.local import services
from llava_graph.local.addresses import Address, reserved
from llava_graph.local.engine import BACKENDS, engine_command, vllm
from llava_graph.local.engine.command import EngineChoice
from llava_graph.local.errors import SetupError
from llava_graph.local.stack import PARTS, running_stack
from llava_graph.local.supervisor import ServiceError, Supervisor
from llava_graph.local.terminal import ExplanationView, PartsView, show_log_tail
from llava_graph.manifest import ManifestError, load_manifest

INTERRUPTED = 130
"""Exit status of a command that was stopped before its work was done: what shells say after ctrl-C."""

_FOLDER = click.Path(exists=True, file_okay=False, path_type=Path)
_PORT = click.IntRange(0, 65535)

_model_option = click.option(
    "--model",
    "model_dir",
    type=_FOLDER,
    envvar="LLAVA_GRAPH_MODEL_DIR",
    default=Path("model_repo/llava-graph-tiny"),
    show_default=True,
    help="Folder of the model's manifest, and of its weights if they lie there.",
)
_Command = TypeVar("_Command", bound=Callable[..., None])


def _engine_options(command: _Command) -> _Command:
    """`--backend`, `--python` and `--weights`: the fields of an EngineChoice."""
    for option in (
        click.option(
            "--weights", "weights_dir", type=click.Path(path_type=Path), help="Folder of weights that lie elsewhere."
        ),
        click.option(
            "--python", default=sys.executable, help="Interpreter of the engine's environment.  [default: this one]"
        ),
        click.option("--backend", type=click.Choice(BACKENDS), default=BACKENDS[0], show_default=True),
    ):
        command = option(command)
    return command


# Long enough for a large model to come from a slow disk; an engine that cannot start ends, and is not waited for.
_start_timeout_option = click.option(
    "--start-timeout",
    "start_deadline_s",
    type=click.FloatRange(min=1),
    default=600.0,
    show_default=True,
    help="Seconds that everything may take to become ready.",
)
_run_dir_option = click.option(
    "--run-dir", type=click.Path(file_okay=False, path_type=Path), help="Folder for the logs and run.json."
)


@click.command()
@_model_option
@_engine_options
@click.option("--host", default="127.0.0.1", show_default=True, help="Address the gateway listens on.")
@click.option("--port", type=_PORT, default=8000, show_default=True, help="Port of the gateway; 0 takes a free one.")
@_run_dir_option
@_start_timeout_option
def up(
    model_dir: Path,
    backend: str,
    python: str,
    weights_dir: Path | None,
    host: str,
    port: int,
    run_dir: Path | None,
    start_deadline_s: float,
) -> None:
    """Run everything on this machine: a private Redis, an OCR worker, the engine and the gateway.

    Logs go to .run unless --run-dir says otherwise.
    """
    console = Console(highlight=False)
    choice = EngineChoice(backend, python, weights_dir)
    folder = run_dir or Path(".run")

    async def work() -> None:
        with PartsView(console, PARTS) as view:
            async with running_stack(model_dir, choice, host, port, folder, start_deadline_s, view.tell) as stack:
                view.say("")
                view.say(f"LLaVA-Graph is ready at {stack.url}")
                view.say(f"  interface  {stack.url}/docs")
                view.say(f"  try it     llava-graph explain FIGURE.png --caption 'Its caption.' --url {stack.url}")
                view.say(f"  logs       {folder}/*.log")
                view.say("  stop       ctrl-C")
                await stack.supervisor.wait()

    _run(console, work(), status_when_stopped=0)


@click.command()
@_model_option
@_engine_options
@click.option(
    "--examples",
    "examples_dir",
    type=_FOLDER,
    default=Path("examples"),
    show_default=True,
    help="Folder with figures and their captions.toml.",
)
@_run_dir_option
@_start_timeout_option
def demo(
    model_dir: Path,
    backend: str,
    python: str,
    weights_dir: Path | None,
    examples_dir: Path,
    run_dir: Path | None,
    start_deadline_s: float,
) -> None:
    """Start everything on free ports, explain the example figures, stop everything.

    Fails when a figure gets no answer or its text could not be read. Logs go to a temporary folder, kept on failure,
    unless --run-dir says otherwise.
    """
    console = Console(highlight=False)
    choice = EngineChoice(backend, python, weights_dir)
    examples = load_examples(examples_dir)
    folder = run_dir or Path(tempfile.mkdtemp(prefix="llava-graph-demo-"))

    async def work() -> None:
        with PartsView(console, PARTS) as view:
            async with (
                running_stack(model_dir, choice, "127.0.0.1", 0, folder, start_deadline_s, view.tell) as stack,
                _gateway(stack.url) as gateway,
            ):
                for example in examples:
                    await _demonstrate(console, gateway, example)

    try:
        _run(console, work(), status_when_stopped=INTERRUPTED)
    except SystemExit:
        console.print(f"logs are kept in {folder}", style="dim", soft_wrap=True)
        raise
    if run_dir is None:
        shutil.rmtree(folder)


@click.command()
@_model_option
@_engine_options
@click.option("--host", default="127.0.0.1", show_default=True, help="Address the engine listens on.")
@click.option("--port", type=_PORT, default=8001, show_default=True, help="Port of the engine; 0 takes a free one.")
@_start_timeout_option
@click.option(
    "--print",
    "print_for",
    type=click.Choice(("gpu", "cpu")),
    help="Start nothing: write vLLM's command for another machine or a container, as a line for a shell.",
)
@click.argument("extra", nargs=-1, type=click.UNPROCESSED)
def engine(
    model_dir: Path,
    backend: str,
    python: str,
    weights_dir: Path | None,
    host: str,
    port: int,
    start_deadline_s: float,
    print_for: vllm.Build | None,
    extra: tuple[str, ...],
) -> None:
    """Run the engine that the model's manifest describes, and start it again when it dies.

    What stands after -- goes to the engine as it is, and wins over the manifest:

        llava-graph engine --backend vllm -- --tensor-parallel-size 2
    """
    console = Console(highlight=False, stderr=True)
    choice = EngineChoice(backend, python, weights_dir, extra)
    if print_for is not None:
        if backend != "vllm":
            raise click.UsageError("--print is for --backend vllm")
        click.echo(_vllm_line(choice, print_for, model_dir, Address(host, port)))
        return

    async def work() -> None:
        with tempfile.TemporaryDirectory(prefix="llava-graph-engine-") as workspace:
            with reserved(host, port) as address:
                pass  # found free; the engine takes it
            command = engine_command(choice, load_manifest(model_dir), model_dir, Path(workspace), address)
            service = services.engine_service(command, address, log=None)
            with PartsView(console, [service.name]) as view:
                supervisor = Supervisor([service], view.tell)
                async with supervisor.running(start_deadline_s):
                    view.say(f"the engine is ready at {address.url}")
                    await supervisor.wait()

    _run(console, work(), status_when_stopped=0)


@click.command()
@click.argument("images", nargs=-1, required=True, type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option(
    "--caption", "captions", multiple=True, required=True, help="One for all images, or one for each in turn."
)
@click.option("--question", help="What to ask instead of an explanation.")
@click.option("--url", default="http://127.0.0.1:8000", show_default=True, help="The gateway.")
@click.option("--no-ocr", is_flag=True, help="Do without the text in the figure.")
@click.option("--max-tokens", type=click.IntRange(min=1), help="Longest answer; default: the model's.")
@click.option("--temperature", type=click.FloatRange(0, 2), help="0 is greedy; default: the model's.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line for each image, instead of a stream.")
def explain(
    images: tuple[Path, ...],
    captions: tuple[str, ...],
    question: str | None,
    url: str,
    no_ocr: bool,
    max_tokens: int | None,
    temperature: float | None,
    as_json: bool,
) -> None:
    """Explain figures in the terminal, token by token."""
    if len(captions) not in (1, len(images)):
        raise click.UsageError(f"{len(images)} images need one --caption, or {len(images)}; there are {len(captions)}")
    each_caption = captions if len(captions) == len(images) else captions * len(images)
    console = Console(highlight=False)

    async def work() -> None:
        failed = False
        async with _gateway(url) as gateway:
            for image, caption in zip(images, each_caption, strict=True):
                image_bytes = await asyncio.to_thread(image.read_bytes)
                events = client.explain(
                    gateway,
                    image_bytes,
                    caption,
                    question=question,
                    ocr=not no_ocr,
                    max_tokens=max_tokens,
                    temperature=temperature,
                )
                if as_json:
                    parts = await _collected(events)
                    click.echo(json.dumps({"image": str(image), **parts}, ensure_ascii=False))
                    failed |= "error" in parts
                else:
                    failed |= await _shown(console, image, caption, events) is None
        if failed:
            raise _CommandFailedError

    _run(console, work(), status_when_stopped=INTERRUPTED)


@dataclass(frozen=True, slots=True)
class Example:
    image: Path
    caption: str


def load_examples(folder: Path) -> list[Example]:
    """The figures that `captions.toml` in the folder names. Raises click.ClickException when it is missing or wrong."""
    path = folder / "captions.toml"
    try:
        tables = tomllib.loads(path.read_text(encoding="utf-8"))["figure"]
        return [Example(folder / table["image"], table["caption"]) for table in tables]
    except OSError as error:
        raise click.ClickException(f"{path}: {error.strerror or error}") from error
    except tomllib.TOMLDecodeError as error:
        raise click.ClickException(f"{path}: {error}") from error
    except (KeyError, TypeError) as error:
        raise click.ClickException(f"{path}: every [[figure]] needs `image` and `caption`") from error


class _CommandFailedError(Exception):
    """The work is not done. What went wrong is said in the message, or was said before when there is none."""


def _vllm_line(choice: EngineChoice, build: vllm.Build, model_dir: Path, address: Address) -> str:
    """Raises click.ClickException for a manifest that is wrong."""
    try:
        manifest = load_manifest(model_dir)
        return vllm.shell_line(build, manifest, model_dir, choice.weights_dir or model_dir, address, choice.extra)
    except (ManifestError, SetupError) as error:
        raise click.ClickException(str(error)) from error


def _gateway(url: str) -> httpx2.AsyncClient:
    # A proxy from the environment is for the outside world; the gateway is ours.
    return httpx2.AsyncClient(base_url=url, timeout=client.TIMEOUT, trust_env=False)


async def _demonstrate(console: Console, gateway: httpx2.AsyncClient, example: Example) -> None:
    """One example, streamed; raises _CommandFailedError when a part of the explanation is missing."""
    image_bytes = await asyncio.to_thread(example.image.read_bytes)
    events = await _shown(
        console, example.image, example.caption, client.explain(gateway, image_bytes, example.caption)
    )
    if events is None:
        raise _CommandFailedError
    parts = {event.name: event.data for event in events}
    if parts.get("ocr", {}).get("status") not in ("ok", "cached"):
        raise _CommandFailedError(f"{example.image}: its text was not read (see the OCR status above)")
    if not str(parts["done"].get("text", "")).strip():
        raise _CommandFailedError(f"{example.image}: the answer is empty")


async def _shown(
    console: Console, image: Path, caption: str, events: AsyncGenerator[Event, None]
) -> list[Event] | None:
    """Shows an explanation as it streams and returns its events; shows the error and returns None when it fails."""
    view = ExplanationView(console, image, caption)
    seen: list[Event] = []
    try:
        async with aclosing(events):
            async for event in events:
                view.show(event)
                seen.append(event)
    except ExplainError as error:
        view.show_error(error)
        return None
    return seen


async def _collected(events: AsyncGenerator[Event, None]) -> dict[str, Any]:
    """The parts of an explanation in one object: `figure`, `ocr` and what `done` holds; or `error` alone."""
    parts: dict[str, Any] = {}
    try:
        async with aclosing(events):
            async for event in events:
                if event.name == "done":
                    parts |= event.data
                elif event.name != "delta":  # their text stands in `done` once more
                    parts[event.name] = event.data
    except ExplainError as error:
        return {"error": {"code": error.code, "message": error.message, "retryable": error.retryable}}
    return parts


def _run(console: Console, work: Coroutine[Any, Any, None], status_when_stopped: int) -> None:
    """Runs a command's work to its end; returns when all went well, leaves with the right exit status otherwise."""
    try:
        stopped = asyncio.run(_until_stopped(work))
    except ServiceError as error:
        show_log_tail(console, error.service)
        _fail(console, str(error))
    except (SetupError, ManifestError, _CommandFailedError, OSError) as error:
        _fail(console, str(error))
    else:
        if stopped and status_when_stopped:
            raise SystemExit(status_when_stopped)


def _fail(console: Console, words: str) -> NoReturn:
    if words:
        console.print(f"failed: {words}", style="red", markup=False, soft_wrap=True)
    raise SystemExit(1)


async def _until_stopped(work: Coroutine[Any, Any, None]) -> bool:
    """Awaits the work; True when SIGINT or SIGTERM stopped it.

    The first signal cancels the work, whose contexts then stop everything in order; a second one cancels that, too.
    """
    task = asyncio.create_task(work)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, task.cancel)
    try:
        await task
    except asyncio.CancelledError:
        return True
    return False
