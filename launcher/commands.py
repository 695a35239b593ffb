"""`llava-graph up`, `demo` and `engine`: parse options, start the parts, return an exit status.

up        Redis, OCR worker, engine and gateway on this machine, until ctrl-C or SIGTERM
demo      the same on free ports; explains every figure of a folder; exits 1 when anything is missing
engine    the engine alone, in the foreground, started again when it dies
"""

from __future__ import annotations

import asyncio
import shutil
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import click
import httpx2
from rich.console import Console

from launcher import services
from launcher.addresses import reserved
from launcher.building import build_missing
from launcher.engine import BACKENDS, engine_command, vllm
from launcher.engine.command import EngineChoice
from launcher.errors import SetupError
from launcher.explaining import shown
from launcher.running import INTERRUPTED, CommandFailedError, gateway_client, run_command
from launcher.stack import PARTS, running_stack
from launcher.supervisor import Supervisor
from launcher.terminal import PartsView
from llava_graph import client
from llava_graph.address import Address
from llava_graph.example_figures import Example, ExamplesError, load_examples
from llava_graph.manifest import DEFAULT_MODEL_DIR, ManifestError, load_manifest

_FOLDER = click.Path(exists=True, file_okay=False, path_type=Path)
_PORT = click.IntRange(0, 65535)

_model_option = click.option(
    "--model",
    "model_dir",
    type=_FOLDER,
    envvar="LLAVA_GRAPH_MODEL_DIR",
    default=DEFAULT_MODEL_DIR,
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
            await build_missing(model_dir, weights_dir, view.say)
            async with running_stack(model_dir, choice, host, port, folder, start_deadline_s, view.tell) as stack:
                view.say("")
                view.say(f"LLaVA-Graph is ready at {stack.url}")
                view.say(f"  interface  {stack.url}/docs")
                view.say(f"  try it     llava-graph explain FIGURE.png --caption 'Its caption.' --url {stack.url}")
                view.say(f"  logs       {folder}/*.log")
                view.say("  stop       ctrl-C")
                await stack.supervisor.wait()

    run_command(console, work(), status_when_stopped=0)


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
    try:
        examples = load_examples(examples_dir)
    except ExamplesError as error:
        raise click.ClickException(str(error)) from error
    folder = run_dir or Path(tempfile.mkdtemp(prefix="llava-graph-demo-"))

    async def work() -> None:
        with PartsView(console, PARTS) as view:
            await build_missing(model_dir, weights_dir, view.say)
            async with (
                running_stack(model_dir, choice, "127.0.0.1", 0, folder, start_deadline_s, view.tell) as stack,
                gateway_client(stack.url) as gateway,
            ):
                for example in examples:
                    await _demonstrate(console, gateway, example)

    try:
        run_command(console, work(), status_when_stopped=INTERRUPTED)
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
@click.option("--check", is_flag=True, help="Exit with 0 when an engine answers at this address, else with 1.")
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
    check: bool,
    extra: tuple[str, ...],
) -> None:
    """Run the engine that the model's manifest describes, and start it again when it dies.

    What stands after -- goes to the engine as it is, and wins over the manifest:

        llava-graph engine --backend vllm -- --tensor-parallel-size 2
    """
    if check:
        if port == 0:
            raise click.UsageError("--check needs the port of the engine to ask")
        sys.exit(asyncio.run(_check_engine(Address(host, port))))
    console = Console(highlight=False, stderr=True)
    choice = EngineChoice(backend, python, weights_dir, extra)
    if print_for is not None:
        if backend != "vllm":
            raise click.UsageError("--print is for --backend vllm")
        click.echo(_vllm_line(choice, print_for, model_dir, Address(host, port)))
        return

    async def work() -> None:
        await build_missing(model_dir, weights_dir, lambda words: console.print(words, markup=False, soft_wrap=True))
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

    run_command(console, work(), status_when_stopped=0)


async def _check_engine(address: Address) -> int:
    """0 when an engine that has loaded its model answers there, else 1; says so in a line either way."""
    trouble = await services.engine_trouble(address)
    click.echo(trouble or f"{address.url}: the engine is ready", err=trouble is not None)
    return 0 if trouble is None else 1


def _vllm_line(choice: EngineChoice, build: vllm.Build, model_dir: Path, address: Address) -> str:
    """Raises click.ClickException for a manifest that is wrong."""
    try:
        manifest = load_manifest(model_dir)
        return vllm.shell_line(build, manifest, model_dir, choice.weights_dir or model_dir, address, choice.extra)
    except (ManifestError, SetupError) as error:
        raise click.ClickException(str(error)) from error


async def _demonstrate(console: Console, gateway: httpx2.AsyncClient, example: Example) -> None:
    """One example, streamed; raises CommandFailedError when a part of the explanation is missing."""
    image_bytes = await asyncio.to_thread(example.image.read_bytes)
    events = await shown(console, example.image, example.caption, client.explain(gateway, image_bytes, example.caption))
    if events is None:
        raise CommandFailedError
    parts = {event.name: event.data for event in events}
    if parts.get("ocr", {}).get("status") not in ("ok", "cached"):
        raise CommandFailedError(f"{example.image}: its text was not read (see the OCR status above)")
    if not str(parts["done"].get("text", "")).strip():
        raise CommandFailedError(f"{example.image}: the answer is empty")
