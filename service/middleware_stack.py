"""Puts the middleware around the application, in the order that service/middleware/__init__.py tells."""

from __future__ import annotations

from fastapi import FastAPI

from service.gateway import Gateway
from service.middleware.admission import Admit
from service.middleware.authentication import Identify, default_limits
from service.middleware.body_bound import BoundBody
from service.middleware.drain import EndInTime
from service.middleware.hang_up import HangUp
from service.middleware.origin import CheckOrigin
from service.middleware.plain_content_type import PlainContentType
from service.middleware.rate_limits import LimitRates
from service.middleware.request_log import RecordRequests
from service.middleware.sending import SendInPieces
from service.middleware.tracing import TraceRequests
from service.middleware.uploads import Pace, ReceiveInTime
from service.room import Room


def surround(app: FastAPI, gateway: Gateway) -> None:
    """Adds all of it to the application, innermost first: the last one added is the outermost."""
    settings = gateway.settings
    pace = Pace(settings.upload_bytes_per_s, settings.upload_grace_s, settings.upload_s)
    app.add_middleware(PlainContentType)
    app.add_middleware(Admit, admission=gateway.admission)
    app.add_middleware(ReceiveInTime, pace=pace, room=Room(settings.uploads_bytes))
    app.add_middleware(LimitRates, rates=gateway.rates)
    app.add_middleware(SendInPieces, room=Room(settings.sending_bytes))
    app.add_middleware(Identify, keys=gateway.keys, limits=default_limits(settings))
    app.add_middleware(BoundBody, max_bytes=settings.max_bytes_of)
    app.add_middleware(CheckOrigin, hosts=settings.known_hosts)
    app.add_middleware(EndInTime, drain=gateway.drain)
    app.add_middleware(HangUp)
    app.add_middleware(RecordRequests, metrics=gateway.metrics)
    if gateway.traces.on:
        app.add_middleware(TraceRequests, tracer=gateway.traces.tracer)
