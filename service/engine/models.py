"""The models that a gateway serves: each with its manifest, its prompt's bound and the pool of its engines.

They come from the engines file, which is read again when it changes, or from the settings for one model and one engine,
which never change. A changed file is taken over as a whole or not at all: one that cannot be read, or a manifest in it,
leaves everything as it was, is logged once and counted. Manifests are read with the file, not by themselves. An answer
under way goes on with the model and the engine that it began with.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import structlog
from opentelemetry.trace import Tracer

from llava_graph.manifest import ManifestError, ModelManifest, load_manifest
from llava_graph.tracing import NO_TRACES
from service.engine.client import Engine
from service.engine.connections import EngineConnections
from service.engine.dispatch import Balance
from service.engine.engines_file import EngineEntry, EnginesFileError, ModelEntry, parse_engines_file
from service.engine.pool import Pool
from service.engine.prompt_length import PromptLength
from service.engine.replica import Replica
from service.engine.server import EngineServer
from service.errors import ModelUnknown
from service.metrics import Metrics
from service.settings import GatewaySettings

_LOOK_S = 1.0
"""How often the engines file is looked at."""

_THE_ONLY_ENGINE = "engine"
"""Its name: an address would stand in the metrics for everyone to read."""

_SHOWN_CHARS = 100

log = structlog.stdlib.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class ServedModel:
    """One model with what serves it."""

    manifest: ModelManifest
    prompt_length: PromptLength
    pool: Pool

    @property
    def engines(self) -> list[str]:
        """What its engines said that they are, each once, such as `vllm 0.32.0`."""
        return sorted({replica.identity for replica in self.pool.replicas if replica.identity})


@dataclass(frozen=True, slots=True)
class _Planned:
    """A model as the file, or the settings, want it."""

    manifest: ModelManifest
    model_dir: Path | None
    engines: Sequence[EngineEntry]
    served_model_name: str


class Models:
    """One per process. Raises EnginesFileError or ManifestError when they cannot be read at first.

    `manifest` stands for the one of the settings' folder, where it was made otherwise.
    """

    def __init__(
        self,
        settings: GatewaySettings,
        metrics: Metrics,
        tracer: Tracer = NO_TRACES,
        *,
        manifest: ModelManifest | None = None,
        environment: Mapping[str, str] = os.environ,
    ) -> None:
        self._settings = settings
        self._metrics = metrics
        self._tracer = tracer
        self._environment = environment
        self._connections = EngineConnections(settings)
        self._balance = Balance(settings.engine_imbalance, settings.engine_imbalance_from)
        self._models: dict[str, ServedModel] = {}
        self._folders: dict[str, Path | None] = {}
        self._watching: dict[str, AsyncExitStack] | None = None
        self._trouble = ""
        self._looking = asyncio.Lock()
        self._file_text = ""
        if settings.engines_file is None:
            plan = [_single(settings, manifest)]
        else:
            self._file_text = _read(settings.engines_file)
            plan = self._planned(self._file_text)
        for planned in plan:
            self._add(planned, self._pool(planned))

    @property
    def default(self) -> ServedModel:
        """What a request gets that names no model: the first of the file."""
        return next(iter(self._models.values()))

    @property
    def all(self) -> Sequence[ServedModel]:
        """Every model, the default one first."""
        return tuple(self._models.values())

    @property
    def manifests(self) -> tuple[ModelManifest, ...]:
        return tuple(model.manifest for model in self._models.values())

    def named(self, name: str | None) -> ServedModel:
        """The model of that name, or the default one. Raises ModelUnknown."""
        if name is None:
            return self.default
        model = self._models.get(name)
        if model is None:
            served = ", ".join(repr(name) for name in self._models)
            verb = "it is" if len(self._models) == 1 else "they are"
            raise ModelUnknown(f"There is no model {name[:_SHOWN_CHARS]!r} here; {verb} {served}.").at("model")
        return model

    @asynccontextmanager
    async def opened(self) -> AsyncIterator[None]:
        """The connections to engines, their health checks, and a look after changes of the file."""
        async with self._connections.opened(), AsyncExitStack() as stack:
            self._watching = {}
            stack.push_async_callback(self._end_watching)
            await self._watch_pools()
            if self._settings.engines_file is not None:
                looking = asyncio.create_task(self._look(), name="engines-file")
                stack.push_async_callback(_ended, looking)
            yield

    async def look_again(self) -> None:
        """Takes over what has changed in the engines file; keeps what there was when it cannot be read."""
        async with self._looking:  # a second look at the same change would take it over again
            await self._look_once()

    async def _look_once(self) -> None:
        assert self._settings.engines_file is not None
        try:
            text = await asyncio.to_thread(_read, self._settings.engines_file)
            if text != self._file_text:
                await self._take_over(await asyncio.to_thread(self._planned, text))
                self._file_text = text
                self._metrics.engines_file.labels("taken").inc()
                log.info("engines_changed", models=list(self._models))
            self._trouble = ""
        except (EnginesFileError, ManifestError) as error:
            if str(error) != self._trouble:  # said and counted once, not at every look
                self._metrics.engines_file.labels("broken").inc()
                log.error("engines_unreadable", detail=str(error), still_served=list(self._models))
            self._trouble = str(error)

    async def _look(self) -> None:
        while True:
            await asyncio.sleep(_LOOK_S)
            await self.look_again()

    def _planned(self, text: str) -> list[_Planned]:
        """The models of the file's text with their manifests. Raises EnginesFileError or ManifestError."""
        path, key = self._settings.engines_file, self._settings.engine_api_key
        assert path is not None
        plan = [_with_manifest(entry) for entry in parse_engines_file(path, text, self._environment, key)]
        names = [planned.manifest.name for planned in plan]
        for name in names:
            if names.count(name) > 1:
                raise EnginesFileError(f"{path}: models: several have a manifest of the name {name}")
        return plan

    async def _take_over(self, plan: Sequence[_Planned]) -> None:
        before = self._models
        kept = {replica for planned in plan for replica in self._kept(planned)}
        # Before new ones are made, which may have the name of one that goes.
        for model in before.values():
            for replica in set(model.pool.replicas) - kept:
                replica.remove()
        self._models, folders, self._folders = {}, self._folders, {}
        for planned in plan:
            name = planned.manifest.name
            if name not in before:
                self._add(planned, self._pool(planned))
                continue
            model = before[name]
            model.pool.replace(self._replicas(planned, model.pool.replicas))
            if model.manifest == planned.manifest and folders[name] == planned.model_dir:
                self._models[name], self._folders[name] = model, planned.model_dir
            else:
                self._add(planned, model.pool)
        await self._watch_pools()

    def _kept(self, planned: _Planned) -> list[Replica]:
        """The engines of now that the plan has, too."""
        model = self._models.get(planned.manifest.name)
        wanted = {(entry.name, _server(planned, entry)) for entry in planned.engines}
        return [replica for replica in model.pool.replicas if _is_in(replica, wanted)] if model else []

    def _add(self, planned: _Planned, pool: Pool) -> None:
        name = planned.manifest.name
        self._models[name] = ServedModel(planned.manifest, PromptLength(planned.manifest, planned.model_dir), pool)
        self._folders[name] = planned.model_dir

    def _pool(self, planned: _Planned) -> Pool:
        return Pool(self._replicas(planned, ()), self._balance, deliveries=self._settings.engine_deliveries)

    def _replicas(self, planned: _Planned, before: Sequence[Replica]) -> list[Replica]:
        """The engines of a plan: those that were there before, and new ones."""
        there = {(replica.name, replica.engine.server): replica for replica in before}
        replicas = []
        for entry in planned.engines:
            server = _server(planned, entry)
            replica = there.get((entry.name, server))
            if replica is None:
                engine = Engine(self._settings, server, self._connections, self._tracer)
                replica = Replica(planned.manifest.name, entry.name, engine, self._settings, self._metrics)
            replica.draining = entry.drain
            replicas.append(replica)
        return replicas

    async def _watch_pools(self) -> None:
        """Has the health of exactly the pools of now watched."""
        if self._watching is None:
            return
        for name in self._watching.keys() - self._models.keys():
            await self._watching.pop(name).aclose()
        for name, model in self._models.items():
            if name not in self._watching:
                stack = self._watching[name] = AsyncExitStack()
                await stack.enter_async_context(model.pool.watched())

    async def _end_watching(self) -> None:
        watching, self._watching = self._watching or {}, None
        for stack in watching.values():
            await stack.aclose()


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise EnginesFileError(f"{path}: {error}") from error


def _single(settings: GatewaySettings, manifest: ModelManifest | None) -> _Planned:
    """The short form: one model with one engine. Raises ManifestError."""
    model_dir = settings.model_dir if manifest is None else None
    manifest = manifest or load_manifest(settings.model_dir)
    engine = EngineEntry(settings.engine_url, _THE_ONLY_ENGINE, settings.engine_api_key)
    return _Planned(manifest, model_dir, [engine], served_model_name=manifest.name)


def _with_manifest(entry: ModelEntry) -> _Planned:
    """Raises ManifestError."""
    manifest = load_manifest(entry.model_dir)
    return _Planned(manifest, entry.model_dir, entry.engines, entry.served_model_name or manifest.name)


def _server(planned: _Planned, entry: EngineEntry) -> EngineServer:
    return EngineServer(entry.url, planned.served_model_name, entry.api_key)


def _is_in(replica: Replica, wanted: set[tuple[str, EngineServer]]) -> bool:
    return (replica.name, replica.engine.server) in wanted


async def _ended(task: asyncio.Task[None]) -> None:
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task
