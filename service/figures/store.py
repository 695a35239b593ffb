"""Store of kept figures in Redis, with their captions, so that a conversation needs one upload.

A stored figure is one hash: the PNG exactly as engines get it, the figure's size and hash, and the caption. A turn of a
conversation loads it and sends it on; nothing is decoded or encoded as an image again. (What is left to do per turn is
base64, 0.4 ms for a typical figure of 250 kB; kept in that form it would take a third more memory.)

A stored figure's id (`stored_id`) is a hash of its owner (`scope`), of the pixels (`figure_id`) and of the caption: the
same figure sent again with the same caption is the same stored figure. Only its owner can use it: for other callers the
id is unknown.

The scripts below keep two bounds atomically, for any number of gateways:

- Time: a figure is dropped when it was not used for the time to live. Every use renews it.
- Memory: when a new figure would exceed the bound, or come into the part of Redis's memory that is kept free
  (llava_graph.jobs.ROOM), those used longest ago go first. An index in Redis holds when each was used and how large it
  is. What a Redis that evicts drops by itself counts in the index until it is asked for or its time has passed, so the
  bound errs on the safe side.

Either way the figure is unknown afterwards, and its owner sends it again. On a Redis Cluster, give a prefix with a hash
tag (see llava_graph.jobs). This module knows nothing of HTTP, OCR or engines.
"""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass
from typing import Any

import structlog
from redis.asyncio import Redis
from redis.commands.core import AsyncScript
from redis.exceptions import RedisError

from llava_graph.figure import FigureError
from llava_graph.jobs import ROOM
from service.deadline import within
from service.errors import FigureRefused, FiguresUnavailable, FigureUnknown
from service.figures.decode import EncodedFigure, counted
from service.figures.figure_room import FigureRoom
from service.metrics import Metrics
from service.middleware.callers import bucket_of_request

_VERSION = 1
"""Part of every key: raised when an older gateway could not read what a newer one stores, or the other way round."""

_OVERHEAD_BYTES = 1024
"""What Redis 6.2 needs for a stored figure besides its PNG and caption (MEMORY USAGE: 700 to 850, and for large ones
what the allocator rounds up, some per cent)."""

_ID = re.compile(r"fig_[0-9a-f]{64}")

log = structlog.stdlib.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class FigureAbout:
    """What is known of a stored figure besides its image. `width` and `height` are pixels of the upright image."""

    stored_id: str
    figure_id: str
    width: int
    height: int
    caption: str


@dataclass(frozen=True, slots=True)
class StoredFigure:
    about: FigureAbout
    figure: EncodedFigure


@dataclass(frozen=True, slots=True)
class Kept:
    """What came of keeping a figure: `new` unless it was there already."""

    stored_id: str
    new: bool


# KEYS: figure, used, sizes. ARGV: what figure keys begin with, stored_id, scope, ttl_ms, …
# `used` sorts ids by when they were last used, `sizes` holds each one's bytes and, under 'total', their sum.
_SHARED = """
local prefix, id, scope, ttl_ms = ARGV[1], ARGV[2], ARGV[3], tonumber(ARGV[4])
local function now_ms()
  local time = redis.call('TIME')
  return time[1] * 1000 + math.floor(time[2] / 1000)
end
local function drop(gone)
  local bytes = redis.call('HGET', KEYS[3], gone)
  if bytes then
    redis.call('HINCRBY', KEYS[3], 'total', -bytes)
    redis.call('HDEL', KEYS[3], gone)
  end
  redis.call('ZREM', KEYS[2], gone)
  return redis.call('DEL', prefix .. gone) -- at once: whether there is room is asked right after
end
local function is_there()
  local owner = redis.call('HGET', KEYS[1], 'scope')
  if not owner then drop(id) end
  return owner == scope
end
local function use()
  redis.call('PEXPIRE', KEYS[1], ttl_ms)
  redis.call('ZADD', KEYS[2], now_ms(), id)
end
"""

# Further ARGV: bytes, max_bytes, field, value… Returns whether the figure is new and how many had to go for it; 2 where
# Redis has no room for it even without any other.
# Those whose time has passed leave the index on this occasion, too: they are the ones used longest ago.
_KEEP = (
    _SHARED
    + ROOM
    + """
local bytes, max_bytes = tonumber(ARGV[5]), tonumber(ARGV[6])
if is_there() then
  use()
  return {0, 0}
end
local dropped = 0
while true do
  local oldest = redis.call('ZRANGE', KEYS[2], 0, 0, 'WITHSCORES')
  if not oldest[1] then
    redis.call('DEL', KEYS[3])
    if not room_for(bytes) then return {2, dropped} end
    break
  end
  local total = tonumber(redis.call('HGET', KEYS[3], 'total') or 0)
  if oldest[2] + ttl_ms > now_ms() and total + bytes <= max_bytes and room_for(bytes) then break end
  dropped = dropped + drop(oldest[1])
end
redis.call('HSET', KEYS[1], 'scope', scope, unpack(ARGV, 7))
redis.call('HSET', KEYS[3], id, bytes)
redis.call('HINCRBY', KEYS[3], 'total', bytes)
use()
return {1, dropped}
"""
)

# Further ARGV: the fields asked for. Returns their values, or nothing when there is no such figure.
_LOAD = (
    _SHARED
    + """
if not is_there() then return false end
use()
return redis.call('HMGET', KEYS[1], unpack(ARGV, 5))
"""
)

# Returns how many were there.
_FORGET = (
    _SHARED
    + """
if not is_there() then return 0 end
return drop(id)
"""
)


class FigureStore:
    """One per process; the Redis client is handed in, and the code that handed it in closes it.

    `scope` is the figure's owner, in every method. Each takes at most `deadline_s`, and raises FiguresUnavailable when
        Redis cannot be reached or refuses.
    """

    def __init__(
        self,
        redis: Redis,
        key_prefix: str,
        metrics: Metrics,
        *,
        ttl_s: float,
        max_bytes: int,
        deadline_s: float,
        room: FigureRoom | None = None,
    ) -> None:
        self._room = room or FigureRoom(max_bytes)
        self._metrics = metrics
        self._prefix = f"{key_prefix}figures:{_VERSION}:"
        self._ttl_ms = int(ttl_s * 1000)
        self._max_bytes = max_bytes
        self._deadline_s = deadline_s
        self._keep = redis.register_script(_KEEP)
        self._load = redis.register_script(_LOAD)
        self._forget = redis.register_script(_FORGET)

    async def keep(self, figure: EncodedFigure, caption: str, *, scope: str) -> Kept:
        """Keeps a figure from now on, or for longer when it was kept already.

        Raises FigureRefused for a figure that is larger than all room there is, FiguresUnavailable when other things
        take that room.
        """
        stored_id = stored_id_of(scope, figure.figure_id, caption)
        fields: dict[str, str | int | bytes] = {
            "figure_id": figure.figure_id,
            "width": figure.width,
            "height": figure.height,
            "caption": caption,
            "png": figure.png,
        }
        kept_bytes = len(figure.png) + len(caption.encode()) + _OVERHEAD_BYTES
        if kept_bytes > self._max_bytes:
            words = f"The figure takes {kept_bytes} bytes to keep; there is room for {self._max_bytes}."
            raise FigureRefused(FigureError("image_too_large", words))
        entry = [part for pair in fields.items() for part in pair]
        async with self._room.large(len(figure.png)):
            new, dropped = await self._run(self._keep, stored_id, scope, kept_bytes, self._max_bytes, *entry)
        self._metrics.figures.labels("dropped").inc(dropped)
        if new == _NO_ROOM:
            log.warning("figures_unavailable", detail="Redis has no room for figures: see its maxmemory")
            raise FiguresUnavailable("There is no room for kept figures now. POST /v1/explain needs none.")
        self._metrics.figures.labels("new" if new else "known").inc()
        return Kept(stored_id, new == 1)

    async def about(self, stored_id: str, *, scope: str) -> FigureAbout:
        """What is known of a figure. Raises FigureUnknown."""
        return _about(stored_id, await self._fields(stored_id, scope, *_ABOUT))

    async def load(self, stored_id: str, *, scope: str) -> StoredFigure:
        """A figure with its image. Raises FigureUnknown, or Overloaded when figures in hand fill their room."""
        self._room.check(bucket_of_request())
        *known, png = await self._fields(stored_id, scope, *_ABOUT, "png")
        about = _about(stored_id, known)
        return StoredFigure(about, counted(about.figure_id, about.width, about.height, png, self._room))

    async def forget(self, stored_id: str, *, scope: str) -> None:
        """Raises FigureUnknown."""
        _check(stored_id)
        if not await self._run(self._forget, stored_id, scope):
            raise FigureUnknown(_NO_SUCH_FIGURE)

    async def _fields(self, stored_id: str, scope: str, *names: str) -> list[bytes]:
        _check(stored_id)
        found = await self._run(self._load, stored_id, scope, *names)
        if found is None:
            raise FigureUnknown(_NO_SUCH_FIGURE)
        values: list[bytes] = found
        return values

    async def _run(self, script: AsyncScript, stored_id: str, scope: str, *more: str | int | bytes) -> Any:
        keys = [f"{self._prefix}{stored_id}", f"{self._prefix}used", f"{self._prefix}sizes"]
        try:
            call = script(keys, [self._prefix, stored_id, scope, self._ttl_ms, *more])
            return await within(self._deadline_s, call)
        except (RedisError, OSError) as error:
            log.warning("figures_unavailable", detail=f"{type(error).__name__}: {error}")
            raise FiguresUnavailable("Kept figures cannot be reached now. POST /v1/explain needs none.") from error


_NO_ROOM = 2
_ABOUT = ("figure_id", "width", "height", "caption")
_NO_SUCH_FIGURE = "There is no such figure, or no longer: send it again."


def stored_id_of(scope: str, figure_id: str, caption: str) -> str:
    """The id under which a figure with this caption is kept for `scope`."""
    parts = json.dumps([scope, figure_id, caption])
    return f"fig_{hashlib.sha256(parts.encode()).hexdigest()}"


def _about(stored_id: str, values: list[bytes]) -> FigureAbout:
    figure_id, width, height, caption = values
    return FigureAbout(stored_id, figure_id.decode(), int(width), int(height), caption.decode())


def _check(stored_id: str) -> None:
    """What is no id never reaches Redis."""
    if not _ID.fullmatch(stored_id):
        raise FigureUnknown(_NO_SUCH_FIGURE)
