"""Structured logs: one JSON object a line on standard error, with the request id that is bound around each request.

The standard library's loggers (uvicorn's among them) come out in the same form. Called once, by the process's main
function: importing this or any other module of the gateway configures nothing.
"""

from __future__ import annotations

import logging
import sys

import structlog

_CHATTY = ("aiohttp", "python_multipart", "asyncio")
"""Libraries whose information is about each call or byte; their warnings still count."""


def configure_logging(level: str) -> None:
    """Routes structlog and the standard library to JSON lines on standard error. `level` as in `logging`, any case."""
    shared: list[structlog.types.Processor] = [
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
    handler = logging.StreamHandler(sys.stderr)
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
    for name in _CHATTY:
        logging.getLogger(name).setLevel(max(logging.WARNING, root.level))
