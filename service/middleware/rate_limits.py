"""Rate limits per caller: requests and bytes a minute, and concurrent answers. Counted in Redis, so that all gateways
on one Redis count together; Redis is not asked for a caller without limits.

Requests and bytes are throttled-py's GCRA: a caller may use a minute's worth at once and gets it back evenly, and each
answer reports what is left. (The library `limits` would take a second round trip for that.) Concurrent answers are
leases in a sorted set of our own, because no library keeps them: a gateway renews its leases while it lives, and those
of one that died run out.

A request asks for all its limits at the same time, which takes one round trip. So what one limit refuses may have been
counted by another. A request that goes past a limit is refused before its body is read.

A failed Redis must not stop the service: while Redis is unreachable no caller is limited, a metric counts it, and for
a moment after a failure Redis is not asked, so that requests do not wait for it one after another.
"""

from __future__ import annotations

import asyncio
import math
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, cast

import structlog
from redis.asyncio import Redis
from redis.exceptions import RedisError
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from throttled.asyncio import RateLimiterType, RateLimitResult, Throttled, rate_limiter
from throttled.asyncio.store import RedisStore, RedisStoreBackend
from throttled.exceptions import StoreUnavailableError

from service.deadline import within
from service.errors import BodyTooLarge, LengthRequired, RateLimited
from service.metrics import Metrics
from service.middleware.admission import asks_for_answer
from service.middleware.callers import Caller, find_caller
from service.middleware.refusal import refuse

if TYPE_CHECKING:
    from throttled.types import AsyncRedisClientP

LEASE_S = 30.0
"""An answer whose gateway has died counts for this long."""

_PAUSE_S = 1.0
"""Redis is not asked for this long after a call that failed."""

_STREAMS_RETRY_S = 5
"""Retry-After where answers are the limit: when one ends is not known."""

# KEYS: one caller's leases, a sorted set of streams by when they run out. ARGV: lease_ms, …
_SHARED = """
local time = redis.call('TIME')
local now_ms = time[1] * 1000 + math.floor(time[2] / 1000)
local lease_ms = tonumber(ARGV[1])
"""

# Further ARGV: limit, stream. Returns whether there was room.
_TAKE = (
    _SHARED
    + """
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now_ms)
if redis.call('ZCARD', KEYS[1]) >= tonumber(ARGV[2]) then return 0 end
redis.call('ZADD', KEYS[1], now_ms + lease_ms, ARGV[3])
redis.call('PEXPIRE', KEYS[1], lease_ms)
return 1
"""
)

# Further ARGV: streams. XX, because one may have been given back in the meantime.
_RENEW = (
    _SHARED
    + """
for i = 2, #ARGV do redis.call('ZADD', KEYS[1], 'XX', now_ms + lease_ms, ARGV[i]) end
redis.call('PEXPIRE', KEYS[1], lease_ms)
"""
)

_FAILURES = (RedisError, StoreUnavailableError, OSError)

log = structlog.stdlib.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Wanted:
    """What one request would use."""

    upload_bytes: int
    stream: str | None
    """A name of its own when it asks for an answer."""


@dataclass(frozen=True, slots=True)
class Standing:
    """A caller's limit of requests and what is left of it, for the RateLimit headers."""

    limit: int
    remaining: int
    reset_s: int
    """Until all of them are available again."""


class RateLimits:
    """One per process; the Redis client is handed in and stays the caller's. Works inside `async with renewing():`."""

    def __init__(self, redis: Redis, key_prefix: str, metrics: Metrics, *, deadline_s: float) -> None:
        self._prefix = f"{key_prefix}rates"
        self._metrics = metrics
        self._deadline_s = deadline_s
        self._store = _store_on(redis)
        self._throttle = lru_cache(maxsize=64)(self._new_throttle)
        self._redis = redis
        self._take = redis.register_script(_TAKE)
        self._renew = redis.register_script(_RENEW)
        self._held: dict[str, set[str]] = {}
        """Streams with a lease, by the key they are kept under."""
        self._asked_again_s = float("-inf")

    async def use(self, caller: Caller, wanted: Wanted) -> Standing | None:
        """Counts a request; returns the caller's standing if requests are limited and Redis is reachable.

        Raises RateLimited, or BodyTooLarge for more bytes than a minute has. However it ends, `give_back` follows.
        """
        limits = caller.limits
        if 0 < limits.upload_bytes_per_minute < wanted.upload_bytes:
            raise BodyTooLarge(f"The body has more than the {limits.upload_bytes_per_minute} bytes of a minute.")
        loop = asyncio.get_running_loop()
        if loop.time() < self._asked_again_s:
            self._metrics.rate_limits_skipped.inc()
            return None
        try:
            requests, upload, room = await within(self._deadline_s, self._ask(caller, wanted))
        except _FAILURES as error:
            self._asked_again_s = loop.time() + _PAUSE_S
            self._metrics.rate_limits_skipped.inc()
            log.warning("rate_limits_skipped", detail=f"{type(error).__name__}: {error}")
            return None
        standing = None if requests is None else _standing(requests)
        refusal = self._refusal(caller, requests, upload, room=room)
        if refusal is not None:
            refusal.headers = {**(refusal.headers or {}), **_headers(standing)}
            raise refusal
        return standing

    async def give_back(self, caller: Caller, wanted: Wanted) -> None:
        """Ends the lease of a stream, if it has one. Without Redis it runs out by itself."""
        key = self._leases(caller)
        if wanted.stream is None or wanted.stream not in self._held.get(key, ()):
            return
        self._drop(key, wanted.stream)
        with suppress(RedisError, OSError):
            await within(self._deadline_s, self._return(key, wanted.stream))

    @asynccontextmanager
    async def renewing(self) -> AsyncIterator[None]:
        """Keeps the leases of running streams."""
        renewer = asyncio.create_task(self._keep_renewing(), name="stream-leases")
        try:
            yield
        finally:
            renewer.cancel()
            await asyncio.wait({renewer})

    async def renew(self) -> None:
        """Renews the leases of all running streams once. Raises RedisError or OSError."""
        for key, streams in list(self._held.items()):
            await within(self._deadline_s, self._renew(keys=[key], args=[int(LEASE_S * 1000), *streams]))

    async def _keep_renewing(self) -> None:
        while True:
            await asyncio.sleep(LEASE_S / 3)
            try:
                await self.renew()
            except (RedisError, OSError) as error:
                log.warning("stream_leases_not_renewed", detail=f"{type(error).__name__}: {error}")

    async def _ask(self, caller: Caller, wanted: Wanted) -> tuple[RateLimitResult | None, RateLimitResult | None, bool]:
        """The caller's standing with requests and bytes, where limited, and whether the stream got a lease."""
        limits = caller.limits
        return await asyncio.gather(
            self._count("requests", caller, limits.requests_per_minute, 1),
            self._count("bytes", caller, limits.upload_bytes_per_minute, wanted.upload_bytes),
            self._lease(caller, limits.concurrent_streams, wanted.stream),
        )

    async def _return(self, key: str, stream: str) -> None:
        await self._redis.zrem(key, stream)

    async def _count(self, what: str, caller: Caller, per_minute: int, cost: int) -> RateLimitResult | None:
        if per_minute == 0 or cost == 0:
            return None
        return await self._throttle(per_minute).limit(f"{what}:{caller.bucket}", cost)

    async def _lease(self, caller: Caller, most: int, stream: str | None) -> bool:
        if most == 0 or stream is None:
            return True
        key = self._leases(caller)
        # Before it is known: should the request be cancelled in between, the lease is given back all the same.
        self._held.setdefault(key, set()).add(stream)
        taken = bool(await self._take(keys=[key], args=[int(LEASE_S * 1000), most, stream]))
        if not taken:
            self._drop(key, stream)
        return taken

    def _drop(self, key: str, stream: str) -> None:
        self._held[key].discard(stream)
        if not self._held[key]:
            del self._held[key]

    def _refusal(
        self, caller: Caller, requests: RateLimitResult | None, upload: RateLimitResult | None, *, room: bool
    ) -> RateLimited | None:
        limits = caller.limits
        if requests is not None and requests.limited:
            which, words = "requests", f"{limits.requests_per_minute} requests a minute are allowed."
            retry_s = _whole_seconds(requests.state.retry_after)
        elif upload is not None and upload.limited:
            which, words = "upload_bytes", f"{limits.upload_bytes_per_minute} bytes a minute may be sent."
            retry_s = _whole_seconds(upload.state.retry_after)
        elif not room:
            which, words = "streams", f"{limits.concurrent_streams} answers at the same time are allowed."
            retry_s = _STREAMS_RETRY_S
        else:
            return None
        self._metrics.rate_limited.labels(which).inc()
        return RateLimited(words, retry_after_s=retry_s)

    def _leases(self, caller: Caller) -> str:
        return f"{self._prefix}:streams:{caller.bucket}"

    def _new_throttle(self, per_minute: int) -> Throttled:
        return Throttled(
            using=RateLimiterType.GCRA.value,
            quota=rate_limiter.per_min(per_minute),
            store=self._store,
            key_prefix=self._prefix,
        )


class LimitRates:
    """Counts requests against their callers' limits; tells callers how they stand."""

    def __init__(self, app: ASGIApp, rates: RateLimits) -> None:
        self._app = app
        self._rates = rates

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        caller = find_caller(scope) if scope["type"] == "http" else None
        if caller is None or not caller.limits.any:
            await self._app(scope, receive, send)
            return
        stream = uuid.uuid4().hex if asks_for_answer(scope) else None
        try:
            wanted = Wanted(_upload_bytes(scope, caller), stream)
        except LengthRequired as refusal:
            await refuse(refusal, scope, receive, send)
            return
        try:
            try:
                standing = await self._rates.use(caller, wanted)
            except (RateLimited, BodyTooLarge) as refusal:
                await refuse(refusal, scope, receive, send)
                return

            async def send_with_standing(message: Message) -> None:
                if message["type"] == "http.response.start":
                    MutableHeaders(scope=message).update(_headers(standing))
                await send(message)

            await self._app(scope, receive, send_with_standing)
        finally:
            await self._rates.give_back(caller, wanted)


def _store_on(redis: Redis) -> RedisStore:
    """throttled-py's store over the connections that the gateway has, with their deadlines. The library makes a client
    of its own from a URL; `get_client` and the class of the backend are where it lets a subclass give another."""

    class Backend(RedisStoreBackend):
        def get_client(self) -> AsyncRedisClientP:
            return cast("AsyncRedisClientP", redis)

    class Store(RedisStore):
        _BACKEND_CLASS = Backend

    return Store()


def _upload_bytes(scope: Scope, caller: Caller) -> int:
    """The declared length of the body. Raises LengthRequired where bytes are limited and the length is not told."""
    headers = Headers(scope=scope)
    if caller.limits.upload_bytes_per_minute and "transfer-encoding" in headers:
        raise LengthRequired("Send a Content-Length: the bytes of this caller are limited.")
    return int(headers.get("content-length", "0"))  # a number: middleware.BoundBody has looked


def _standing(result: RateLimitResult) -> Standing:
    state = result.state
    return Standing(state.limit, state.remaining, math.ceil(state.reset_after))


def _headers(standing: Standing | None) -> dict[str, str]:
    """What clients know (the IETF's draft up to its sixth version): three numbers, of the requests."""
    if standing is None:
        return {}
    return {
        "RateLimit-Limit": str(standing.limit),
        "RateLimit-Remaining": str(standing.remaining),
        "RateLimit-Reset": str(standing.reset_s),
    }


def _whole_seconds(seconds: float) -> int:
    return max(1, math.ceil(seconds))
