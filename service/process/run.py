"""Runs a gateway process, alone or as one of several: puts application, log, server and memory together from the
settings. The parent of several is service/process/parent.py."""

from __future__ import annotations

import gc
from pathlib import Path

import click
import structlog
import uvicorn
from fastapi import FastAPI

from llava_graph.manifest import ManifestError
from llava_graph.metrics_folder import write_to_folder
from llava_graph.tracing import TracesError
from service.app import create_app
from service.engine.engines_file import EnginesFileError
from service.feedback import FeedbackFolderError
from service.middleware.authentication import AccessError
from service.middleware.drain import Drain
from service.process.logs import configure_logging
from service.process.memory import give_back_large_blocks
from service.process.one_of_several import OneOfSeveral
from service.process.place import Place
from service.process.server import GatewayServer, server_config
from service.process.shared_slots import ParentsSlots
from service.settings import GatewaySettings
from service.slots import Slots


def run(settings: GatewaySettings) -> None:
    """Serves until a signal ends it. Raises click.ClickException when it cannot start like this."""
    configure_logging(settings.log_level)
    drain = Drain()
    app = _application(settings, drain)
    GatewayServer(
        _config(app, settings), drain, drain_delay_s=settings.drain_delay_s, shutdown_s=settings.shutdown_s
    ).run()


def run_one_of_several(settings: GatewaySettings, place: Place) -> None:
    """The same in one of several processes; `settings` are those of the whole gateway."""
    configure_logging(settings.log_level, process=place.seat)
    write_to_folder(place.seat)
    drain, slots = Drain(), ParentsSlots(place.parent)
    app = _application(settings.share_of_one(), drain, slots=slots, metrics_folder=place.metrics_folder)
    OneOfSeveral(
        _config(app, settings), drain, slots, drain_delay_s=settings.drain_delay_s, shutdown_s=settings.shutdown_s
    ).run(place.listeners)


def _application(
    settings: GatewaySettings, drain: Drain, *, slots: Slots | None = None, metrics_folder: Path | None = None
) -> FastAPI:
    """Raises click.ClickException when the settings allow none."""
    give_back_large_blocks()
    try:
        app = create_app(settings, drain=drain, slots=slots, metrics_folder=metrics_folder)
    except (AccessError, EnginesFileError, FeedbackFolderError, ManifestError, TracesError) as error:
        raise click.ClickException(str(error)) from error
    structlog.stdlib.get_logger(__name__).info("settings", **settings.for_log())
    _collect_garbage_rarely()
    return app


def _config(app: FastAPI, settings: GatewaySettings) -> uvicorn.Config:
    return server_config(app, settings, app.state.metrics)


def _collect_garbage_rarely() -> None:
    """What lives as long as the process is not searched for garbage again, and the rest more rarely: with hundreds of
    streams, whose objects are no garbage, Python's defaults stop all of them for tens of milliseconds at a time."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 50, 1000)
