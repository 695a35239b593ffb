"""Structured logs: one JSON object a line on standard error, with the request id that is bound around each request.

The standard library's loggers (uvicorn's among them) and Python's warnings come out in the same form. A line that
cannot be written is lost and counted, and costs nothing else (llava_graph/log_stream.py). Called once, by the process's
main function: importing this or any other module of the gateway configures nothing.
"""

from __future__ import annotations

import logging
import sys

import structlog

from llava_graph.log_stream import LogStream

_CHATTY = ("aiohttp", "python_multipart", "asyncio")
"""Libraries whose information is about each call or byte; their warnings still count."""


def configure_logging(level: str, *, process: int | None = None) -> None:
    """Routes structlog and the standard library to JSON lines on standard error. `level` as in `logging`, any case;
    `process` is the one of several that writes the lines."""

    def name_process(_: object, __: str, event: structlog.types.EventDict) -> structlog.types.EventDict:
        return event if process is None else {**event, "process": process}

    shared: list[structlog.types.Processor] = [
        name_process,
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
    ]
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(LogStream(sys.stderr))
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[*shared, structlog.stdlib.add_logger_name, structlog.stdlib.ExtraAdder()],
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.JSONRenderer(),
            ],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    logging.captureWarnings(True)
    for name in _CHATTY:
        logging.getLogger(name).setLevel(max(logging.WARNING, root.level))
