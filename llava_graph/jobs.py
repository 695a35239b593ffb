"""OCR jobs on Redis: every key, the wire format, and the scripts that gateways and workers agree on.

How a figure gets its text:

1. A gateway calls `JobProducer.look_up`. A stored result is answered at once; otherwise the gateway's reply list is
   now among the figure's waiters, and if a job for the figure is already under way that was all.
2. Only when no job for the figure exists does the gateway encode the image and call `JobProducer.submit`: one script
   checks again, and stores the image, the marker and the stream entry together. However many ask, one job runs. Of one
   caller's jobs only a few stand in the stream at a time (`JOBS_AT_A_TURN` for each worker); the others wait in a list
   of the caller's own, so that the next caller's job waits for those few and not for a hundred.
3. A worker takes the entry from the consumer group, reads the figure, and settles the job with one script (`SETTLE`):
   result stored, waiters told, marker and image gone, entry acknowledged and deleted, and the next job of the same
   caller moved from its list into the stream. A worker that dies before this leaves the entry pending, and a living
   worker takes it over.
4. The gateway reads its reply list (`JobProducer.replies`): one connection per process, not one per waiting client.

Everything here that is large has a bound of its own in bytes: images of jobs (of which one caller may have half), texts
in the cache, of which those whose time ends first go. And none of it grows into the last eighth of Redis's memory
(`ROOM`), which is kept for what must not be lost, such as callers' limits; Redis itself need not evict anything, and
should be told not to (`maxmemory-policy noeviction`).

Replies are lists with a time to live, not pub/sub: a gateway that is away for a moment finds its replies afterwards.
Times on the wire are unix milliseconds of Redis's clock. Gateways say how long they wait, not until when, and workers
ask Redis for the time, so machines whose clocks disagree neither drop each other's jobs nor run those that are late.

On a Redis Cluster, give a prefix with a hash tag (`{lg}:`): the scripts touch several keys and need them in one slot.
This module knows neither HTTP nor any OCR library, and it never decodes an image.
"""

from __future__ import annotations

import dataclasses
import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import ConstantBackoff

from llava_graph.chart import Chart
from llava_graph.chart import from_json as chart_from_json
from llava_graph.chart import to_json as chart_to_json
from llava_graph.ocr import Line

WIRE_VERSION = 1
"""Raised when an old worker could misread a new gateway's job or the other way round. New fields need no raise."""

GROUP = "ocr"
"""The consumer group on the job stream."""

DEFAULT_MAX_DEPTH = 256
"""Jobs waiting and running; at one second a figure and two workers, the last one waits about two minutes."""

DEFAULT_MAX_BYTES = 64 * 1024 * 1024
"""Of the images of jobs waiting and running."""

JOBS_AT_A_TURN = 4
"""Jobs of one caller in the stream for each worker process, unless workers say otherwise: a batch of figures of about a
megapixel, fewer of larger ones. More would gain nothing, since each job that ends brings the next one, and the next
caller would wait for them."""

JOB_GRACE_MS = 120_000
"""Image, marker and waiters outlive a job's deadline by this, so that a job begun in time, lost with its worker and
taken over still finds them. It also bounds how long a marker whose job was lost can keep a figure from a new job."""

REPLIES_TTL_MS = 60_000
"""A reply list that is not read (its gateway is gone) expires after this."""

MAX_REPLIES = 10_000
"""Replies kept for a gateway that does not read; the oldest go first."""

MAX_DEAD_LETTERS = 1_000
"""Dead letters kept for inspection; the oldest go first."""


def now_ms() -> int:
    """This machine's unix time in milliseconds. For a worker's own record; jobs use Redis's clock."""
    return time.time_ns() // 1_000_000


class WireError(ValueError):
    """A job, reply or worker record that this version cannot read."""


@dataclass(frozen=True, slots=True)
class Keys:
    """The name of everything that the OCR queue keeps in Redis."""

    prefix: str = "lg:"

    @property
    def jobs(self) -> str:
        """Stream of jobs. Its length is the queue depth: settled entries are deleted, never trimmed."""
        return f"{self.prefix}ocr:jobs"

    @property
    def dead(self) -> str:
        """Stream of jobs that were given up, each with a reason; capped at `MAX_DEAD_LETTERS`."""
        return f"{self.prefix}ocr:dead"

    @property
    def engine(self) -> str:
        """Revision of the OCR engine whose results are served from the cache: that of the worker started last."""
        return f"{self.prefix}ocr:engine"

    @property
    def workers(self) -> str:
        """Set of consumer names, living or not; `worker` tells which live."""
        return f"{self.prefix}ocr:workers"

    @property
    def results(self) -> str:
        """What all result keys begin with. Carries the wire version: after an upgrade no cached reply is unreadable."""
        return f"{self.prefix}ocr:result:{WIRE_VERSION}:"

    def worker(self, consumer: str) -> str:
        """Liveness of one worker: a `WorkerRecord` that expires when its worker stops renewing it."""
        return f"{self.prefix}ocr:worker:{consumer}"

    def image(self, figure_id: str) -> str:
        """PNG of a figure whose job is under way."""
        return f"{self.prefix}ocr:image:{figure_id}"

    def result(self, engine: str, figure_id: str) -> str:
        """`Reply` of a finished figure: the cache. By engine revision, so that an upgrade serves no old text."""
        return f"{self.results}{engine}:{figure_id}"

    def waiters(self, figure_id: str) -> str:
        """Set of the reply lists of the gateways that wait for a figure."""
        return f"{self.prefix}ocr:waiters:{figure_id}"

    def pending(self, figure_id: str) -> str:
        """Marker that a job for a figure is under way: a hash of `job_id` and the latest `deadline_ms` of any asker."""
        return f"{self.prefix}ocr:pending:{figure_id}"

    @property
    def load(self) -> str:
        """Hash of what jobs take: `bytes` of all images, `waiting` jobs in lists of callers, and for each caller its
        `jobs:`, its `bytes:`, and its jobs `in:` the stream. A field that would be 0 is not there."""
        return f"{self.prefix}ocr:load"

    @property
    def turn(self) -> str:
        """Jobs of one caller that may stand in the stream for each worker: what the worker started last wants."""
        return f"{self.prefix}ocr:turn"

    @property
    def texts(self) -> str:
        """Sorted set of the result keys by when they expire."""
        return f"{self.prefix}ocr:texts"

    @property
    def text_sizes(self) -> str:
        """Hash of the bytes under each result key, and under `total` their sum."""
        return f"{self.prefix}ocr:text-sizes"

    def backlog(self, caller: str) -> str:
        """List of a caller's jobs that are not in the stream yet, each the packed fields of its entry."""
        return f"{self.prefix}ocr:backlog:{caller}"

    def replies(self, gateway_id: str) -> str:
        """List of `Reply`s for one gateway process."""
        return f"{self.prefix}ocr:replies:{gateway_id}"


class Outcome(StrEnum):
    """How a job ended."""

    DONE = "done"
    """Read; there may be no text in the figure."""
    FAILED = "failed"
    """Given up for a reason that lies in the figure or the engine; a dead letter tells it."""
    EXPIRED = "expired"
    """Dropped unread: no request waited any more when a worker took it."""


class QueueAnswer(StrEnum):
    """What a look-up or submission found."""

    CACHED = "cached"
    """Answered from the store; the reply is at hand and nothing will come to the reply list."""
    JOINED = "joined"
    """A job for this figure is under way; its reply will come to the reply list."""
    QUEUED = "queued"
    """A job was made; its reply will come to the reply list."""
    UNKNOWN = "unknown"
    """Look-up only: no job for this figure exists. Submit it."""
    FULL = "full"
    """Submission only: the queue is at its bound, nothing was queued and no reply will come."""
    PENDING = "pending"
    """Peek only: a job for this figure is under way; a peek gets no reply."""


@dataclass(frozen=True, slots=True)
class Job:
    """One figure to read. The image travels beside it, under `Keys.image`."""

    job_id: str
    figure_id: str
    deadline_ms: int
    """When the first asker stops waiting. Later askers may wait longer: `Keys.pending` holds the latest deadline."""
    enqueued_at_ms: int
    """Both by Redis's clock."""
    request_id: str = ""
    """Of the request that caused the job, for the logs on both sides."""
    traceparent: str = ""
    """Of the span that waits for the job, where requests are traced (W3C Trace Context)."""
    width: int = 0
    height: int = 0
    """Pixels of the upright figure, in which boxes are told. The image beside the job may have fewer; 0 where a gateway
    does not say, and then it has as many."""
    caller: str = ""
    """Whose job it is, for turns; empty for one that takes none."""
    image_bytes: int = 0
    """What the image takes in Redis."""

    def to_fields(self) -> dict[str, str]:
        """The stream entry."""
        return {
            "v": str(WIRE_VERSION),
            "job_id": self.job_id,
            "figure_id": self.figure_id,
            "deadline_ms": str(self.deadline_ms),
            "enqueued_at_ms": str(self.enqueued_at_ms),
            "request_id": self.request_id,
            **({"traceparent": self.traceparent} if self.traceparent else {}),
            **({"width": str(self.width), "height": str(self.height)} if self.width else {}),
            **({"caller": self.caller} if self.caller else {}),
            **({"image_bytes": str(self.image_bytes)} if self.image_bytes else {}),
        }

    @classmethod
    def from_fields(cls, fields: Mapping[bytes, bytes]) -> Job:
        """The inverse of `to_fields`, ignoring fields it does not know; raises WireError on anything else."""
        try:
            text = {key.decode(): value.decode() for key, value in fields.items()}
            if text["v"] != str(WIRE_VERSION):
                raise WireError(f"job has wire version {text['v']!r}, this worker speaks {WIRE_VERSION}")
            if not text["job_id"] or not text["figure_id"]:
                raise WireError("job has an empty job_id or figure_id")
            return cls(
                job_id=text["job_id"],
                figure_id=text["figure_id"],
                deadline_ms=int(text["deadline_ms"]),
                enqueued_at_ms=int(text["enqueued_at_ms"]),
                request_id=text.get("request_id", ""),
                traceparent=text.get("traceparent", ""),
                width=int(text.get("width", 0)),
                height=int(text.get("height", 0)),
                caller=text.get("caller", ""),
                image_bytes=int(text.get("image_bytes", 0)),
            )
        except KeyError as error:
            raise WireError(f"job lacks the field {error}") from error
        except UnicodeDecodeError as error:
            raise WireError(f"job is not UTF-8: {error}") from error
        except ValueError as error:
            raise error if isinstance(error, WireError) else WireError(f"job has a bad number: {error}") from error


@dataclass(frozen=True, slots=True)
class Reply:
    """How a figure's job ended; also what the cache stores."""

    figure_id: str
    outcome: Outcome
    lines: Sequence[Line] = ()
    """In reading order, boxes in pixels of the upright image. Empty unless `outcome` is DONE."""
    engine: str = ""
    """Revision of what read the figure: the OCR engine and, after a `+`, the chart reader."""
    run_ms: float = 0.0
    """Time in the OCR engine. For a figure read in a batch, the time of the batch."""
    reason: str = ""
    """Why the job failed or was dropped, in words for a log."""
    chart: Chart | None = None
    """The data of the figure; None where the worker reads none."""
    chart_ms: float = 0.0
    """Time in the chart reader."""

    def to_json(self) -> bytes:
        fields: dict[str, Any] = {
            "v": WIRE_VERSION,
            "figure_id": self.figure_id,
            "outcome": self.outcome.value,
            "lines": [line.to_json() for line in self.lines],
            "engine": self.engine,
            "run_ms": round(self.run_ms, 1),
            "reason": self.reason,
        }
        if self.chart is not None:
            fields |= {"chart": chart_to_json(self.chart), "chart_ms": round(self.chart_ms, 1)}
        return json.dumps(fields, ensure_ascii=False, separators=(",", ":")).encode()

    @classmethod
    def from_json(cls, raw: bytes) -> Reply:
        """The inverse of `to_json`, ignoring fields it does not know; raises WireError on anything else."""
        try:
            data = json.loads(raw)
            if data["v"] != WIRE_VERSION:
                raise WireError(f"reply has wire version {data['v']!r}, this gateway speaks {WIRE_VERSION}")
            return cls(
                figure_id=str(data["figure_id"]),
                outcome=Outcome(data["outcome"]),
                lines=tuple(Line.from_json(line) for line in data["lines"]),
                engine=str(data["engine"]),
                run_ms=float(data["run_ms"]),
                reason=str(data["reason"]),
                chart=None if data.get("chart") is None else chart_from_json(data["chart"]),
                chart_ms=float(data.get("chart_ms", 0.0)),
            )
        except (KeyError, TypeError) as error:
            raise WireError(f"reply is not in the agreed form: {error!r}") from error
        except ValueError as error:
            raise error if isinstance(error, WireError) else WireError(f"reply cannot be read: {error}") from error


@dataclass(frozen=True, slots=True)
class WorkerRecord:
    """A worker process's record in Redis, renewed while it lives. Its times are its own machine's."""

    consumer: str
    engine: str
    host: str
    started_at_ms: int
    pool: str = ""
    """Names the parent that runs this process and its siblings; empty for a process without one."""
    processes: int = 1
    """How many processes the pool is to have."""
    progress_at_ms: int = 0
    """When it last finished anything, waiting for jobs included. Old in a process that lives and is stuck."""
    progress_within_ms: int = 0
    """How long one step of this process may take; 0 says nothing."""

    def to_json(self) -> bytes:
        return json.dumps(dataclasses.asdict(self)).encode()

    @classmethod
    def from_json(cls, raw: bytes) -> WorkerRecord:
        """The inverse of `to_json`; raises WireError on anything else. A record of an older version says less."""
        try:
            data = json.loads(raw)
            return cls(
                str(data["consumer"]),
                str(data["engine"]),
                str(data["host"]),
                int(data["started_at_ms"]),
                str(data.get("pool", "")),
                int(data.get("processes", 1)),
                int(data.get("progress_at_ms", 0)),
                int(data.get("progress_within_ms", 0)),
            )
        except (KeyError, TypeError, ValueError) as error:
            raise WireError(f"worker record is not in the agreed form: {error!r}") from error


@dataclass(frozen=True, slots=True)
class Asked:
    """The answer to a look-up or submission. `reply` is there exactly when `admission` is CACHED."""

    admission: QueueAnswer
    reply: Reply | None = field(default=None)


ROOM = """
local function room_for(bytes)
  local memory = redis.call('INFO', 'memory')
  local most = tonumber(string.match(memory, 'maxmemory:(%d+)'))
  return most == 0 or tonumber(string.match(memory, 'used_memory:(%d+)')) + bytes <= most / 8 * 7
end
"""
"""Lua: whether so many bytes would leave the last eighth of Redis's memory free. Without a `maxmemory` they do."""

# The count of what jobs take, and the jobs of one caller that stand in the stream. `turn` is their most, in figures of
# about a megapixel; a larger one is let in when so many of its size would fit. A page of text keeps a worker busy for
# seconds, and the next caller would wait for four of them.
_LOAD = """
local function loaded(load, field) return tonumber(redis.call('HGET', load, field) or 0) end
local function unload(load, field, by)
  if tonumber(by) == 0 then return end -- Lua writes -0, which is no integer to Redis
  if redis.call('HINCRBY', load, field, -by) <= 0 then redis.call('HDEL', load, field) end
end
local function turn_of(turn, workers, default)
  return tonumber(redis.call('GET', turn) or default) * math.max(redis.call('SCARD', workers), 1)
end
local function places(job)
  local width, height = 0, 0
  for i = 1, #job, 2 do
    if job[i] == 'width' then width = tonumber(job[i + 1]) end
    if job[i] == 'height' then height = tonumber(job[i + 1]) end
  end
  return math.max(math.floor(width * height / 1e6 + 0.5), 1)
end
local function next_jobs(jobs, load, backlog, caller, most)
  while true do
    local entry = redis.call('LINDEX', backlog, 0)
    if not entry then return end
    local job, inside = cmsgpack.unpack(entry), loaded(load, 'in:' .. caller)
    if inside > 0 and (inside + 1) * places(job) > most then return end
    redis.call('LPOP', backlog)
    redis.call('XADD', jobs, '*', unpack(job))
    redis.call('HINCRBY', load, 'in:' .. caller, 1)
    unload(load, 'waiting', 1)
  end
end
local function job_is_gone(jobs, load, backlog, caller, bytes, most)
  unload(load, 'bytes', bytes)
  if caller == '' then return end
  unload(load, 'jobs:' .. caller, 1)
  unload(load, 'bytes:' .. caller, bytes)
  unload(load, 'in:' .. caller, 1)
  next_jobs(jobs, load, backlog, caller, most)
end
"""

# What look-up and submission share: the cached reply, and joining a job that is under way. A joiner who waits longer
# than those before moves the deadline, and the time to live of all that the job needs. Numbers of this size need a
# format: Lua would write them with an exponent.
_SHARED = """
local function now_ms()
  local time = redis.call('TIME')
  return time[1] * 1000 + math.floor(time[2] / 1000)
end
local function digits(ms) return string.format('%.0f', ms) end
local function cached(engine_key, results, figure_id)
  local engine = redis.call('GET', engine_key)
  return engine and redis.call('GET', results .. engine .. ':' .. figure_id)
end
local function wait(waiters, reply_list, ttl_ms)
  redis.call('SADD', waiters, reply_list)
  if redis.call('PTTL', waiters) < ttl_ms then redis.call('PEXPIRE', waiters, ttl_ms) end
end
local function join(pending, image, deadline_ms, ttl_ms)
  local latest = redis.call('HGET', pending, 'deadline_ms')
  if not latest then return false end
  if tonumber(latest) < deadline_ms then
    redis.call('HSET', pending, 'deadline_ms', digits(deadline_ms))
    redis.call('PEXPIRE', pending, ttl_ms)
    redis.call('PEXPIRE', image, ttl_ms)
  end
  return true
end
"""

# KEYS: engine, pending, waiters, image. ARGV: result prefix, figure_id, reply list, wait_ms, grace_ms.
_LOOK_UP = (
    _SHARED
    + """
local reply = cached(KEYS[1], ARGV[1], ARGV[2])
if reply then return {'cached', reply} end
local ttl_ms = ARGV[4] + ARGV[5]
wait(KEYS[3], ARGV[3], ttl_ms)
if join(KEYS[2], KEYS[4], now_ms() + ARGV[4], ttl_ms) then return {'joined', ''} end
return {'unknown', ''}
"""
)

# KEYS: engine, pending. ARGV: result prefix, figure_id.
_PEEK = (
    _SHARED
    + """
local reply = cached(KEYS[1], ARGV[1], ARGV[2])
if reply then return {'cached', reply} end
if redis.call('EXISTS', KEYS[2]) == 1 then return {'pending', ''} end
return {'unknown', ''}
"""
)

# KEYS: engine, pending, waiters, image, jobs, load, backlog, workers, turn.
# ARGV: as look-up, then max_depth, PNG, job_id, max_bytes, caller, default turn, the entry's fields but for its times.
#
# One caller may have half of the jobs and of the bytes. Counts are made anew when nothing is left that they could
# count: deleting entries by hand takes them out of the stream, but not out of the counts.
_SUBMIT = (
    _SHARED
    + _LOAD
    + ROOM
    + """
local reply = cached(KEYS[1], ARGV[1], ARGV[2])
if reply then
  redis.call('SREM', KEYS[3], ARGV[3])
  return {'cached', reply}
end
local now = now_ms()
local deadline_ms, ttl_ms = now + ARGV[4], ARGV[4] + ARGV[5]
if join(KEYS[2], KEYS[4], deadline_ms, ttl_ms) then
  wait(KEYS[3], ARGV[3], ttl_ms)
  return {'joined', ''}
end
local load, caller, bytes = KEYS[6], ARGV[10], #ARGV[7]
local depth = redis.call('XLEN', KEYS[5])
if depth == 0 then
  if loaded(load, 'waiting') == redis.call('LLEN', KEYS[7]) then
    redis.call('DEL', load)
    redis.call('DEL', KEYS[7])
  end
end
depth = depth + loaded(load, 'waiting')
local most_jobs, most_bytes = tonumber(ARGV[6]), tonumber(ARGV[9])
local full = depth >= most_jobs or loaded(load, 'bytes') + bytes > most_bytes or not room_for(bytes)
if caller ~= '' then
  full = full or loaded(load, 'jobs:' .. caller) >= math.ceil(most_jobs / 2)
  full = full or loaded(load, 'bytes:' .. caller) + bytes > math.ceil(most_bytes / 2)
end
if full then
  redis.call('SREM', KEYS[3], ARGV[3])
  return {'full', ''}
end
redis.call('SET', KEYS[4], ARGV[7], 'PX', ttl_ms)
redis.call('HSET', KEYS[2], 'job_id', ARGV[8], 'deadline_ms', digits(deadline_ms))
redis.call('PEXPIRE', KEYS[2], ttl_ms)
wait(KEYS[3], ARGV[3], ttl_ms)
local entry = {'deadline_ms', digits(deadline_ms), 'enqueued_at_ms', digits(now), unpack(ARGV, 12)}
redis.call('HINCRBY', load, 'bytes', bytes)
if caller == '' then
  redis.call('XADD', KEYS[5], '*', unpack(entry))
  return {'queued', ''}
end
redis.call('HINCRBY', load, 'jobs:' .. caller, 1)
redis.call('HINCRBY', load, 'bytes:' .. caller, bytes)
redis.call('HINCRBY', load, 'waiting', 1)
redis.call('RPUSH', KEYS[7], cmsgpack.pack(entry))
next_jobs(KEYS[5], load, KEYS[7], caller, turn_of(KEYS[9], KEYS[8], ARGV[11]))
return {'queued', ''}
"""
)

# Ends a job, once: store, tell, clean up, acknowledge, in this order and all or nothing; then it is the turn of the
# next job of the same caller.
# KEYS: jobs, pending, image, waiters, result, dead, load, backlog, workers, turn, texts, text sizes.
# ARGV: group, entry id, job_id, outcome, reply, keep_ms, replies_ttl_ms, max_replies, max_dead, caller, image bytes,
# default turn, max_text_bytes, dead letter's fields…
# Returns whether the entry was still ours to settle, and how many gateways were told.
#
# Two workers can settle one job: a worker that was thought dead comes back after another took its job over. A second
# DONE stores the same text again and finds no waiter; a second FAILED or EXPIRED must not undo a DONE, so it
# does nothing. A marker with another job_id belongs to a newer job for the same figure, which cleans up after itself.
SETTLE = (
    _LOAD
    + ROOM
    + """
local function drop_text(key)
  local bytes = redis.call('HGET', KEYS[12], key)
  if bytes then
    redis.call('HINCRBY', KEYS[12], 'total', -bytes)
    redis.call('HDEL', KEYS[12], key)
  end
  redis.call('ZREM', KEYS[11], key)
end
local function keep_text(...)
  local time = redis.call('TIME')
  local now = time[1] * 1000 + math.floor(time[2] / 1000)
  if not redis.call('SET', KEYS[5], ARGV[5], 'PX', ARGV[6], ...) then return end
  drop_text(KEYS[5])
  redis.call('ZADD', KEYS[11], string.format('%.0f', now + ARGV[6]), KEYS[5])
  redis.call('HSET', KEYS[12], KEYS[5], #ARGV[5])
  local total = redis.call('HINCRBY', KEYS[12], 'total', #ARGV[5])
  while true do
    local first = redis.call('ZRANGE', KEYS[11], 0, 0, 'WITHSCORES')
    if not first[1] then return end
    local over = tonumber(redis.call('HGET', KEYS[12], 'total')) > tonumber(ARGV[13])
    if tonumber(first[2]) > now and not over and room_for(0) then return end
    drop_text(first[1])
    redis.call('DEL', first[1])
  end
end
local done = ARGV[4] == 'done'
if done then keep_text() end
local ours = redis.call('XACK', KEYS[1], ARGV[1], ARGV[2])
if redis.call('XDEL', KEYS[1], ARGV[2]) == 1 then
  job_is_gone(KEYS[1], KEYS[7], KEYS[8], ARGV[10], ARGV[11], turn_of(KEYS[10], KEYS[9], ARGV[12]))
end
if ours == 0 and not done then return {0, 0} end
if not done and tonumber(ARGV[6]) > 0 then keep_text('NX') end
if ARGV[14] then redis.call('XADD', KEYS[6], 'MAXLEN', '~', ARGV[9], '*', unpack(ARGV, 14)) end
local owner = redis.call('HGET', KEYS[2], 'job_id')
local newer = owner and owner ~= ARGV[3]
local told = 0
if done or not newer then
  for _, replies in ipairs(redis.call('SMEMBERS', KEYS[4])) do
    redis.call('RPUSH', replies, ARGV[5])
    redis.call('LTRIM', replies, -tonumber(ARGV[8]), -1)
    redis.call('PEXPIRE', replies, ARGV[7])
    told = told + 1
  end
  redis.call('DEL', KEYS[4])
end
if not newer then redis.call('DEL', KEYS[2], KEYS[3]) end
return {ours, told}
"""
)

# Ends an entry that is no job of this version, as far as its fields can be read.
# KEYS: jobs, dead, load, backlog, workers, turn.
# ARGV: group, entry id, max_dead, caller, image bytes, default turn, dead letter's fields…
DISCARD = (
    _LOAD
    + """
redis.call('XADD', KEYS[2], 'MAXLEN', '~', ARGV[3], '*', unpack(ARGV, 7))
redis.call('XACK', KEYS[1], ARGV[1], ARGV[2])
if redis.call('XDEL', KEYS[1], ARGV[2]) == 1 then
  job_is_gone(KEYS[1], KEYS[3], KEYS[4], ARGV[4], ARGV[5], turn_of(KEYS[6], KEYS[5], ARGV[6]))
end
"""
)


class JobProducer:
    """The gateway's side of the queue. One per process; the Redis client is handed in and stays the caller's.

    Every method raises `redis.exceptions.RedisError` when Redis cannot be reached or refuses.
    """

    def __init__(
        self,
        redis: Redis,
        keys: Keys,
        gateway_id: str,
        *,
        max_depth: int = DEFAULT_MAX_DEPTH,
        max_bytes: int = DEFAULT_MAX_BYTES,
    ) -> None:
        """`gateway_id` names the reply list and must be new for each process: two would take each other's replies.
        `max_depth` bounds jobs waiting and running, `max_bytes` their images."""
        self._redis = redis
        self._keys = keys
        self._reply_list = keys.replies(gateway_id)
        self._max_depth = max_depth
        self._max_bytes = max_bytes
        self._look_up = redis.register_script(_LOOK_UP)
        self._submit = redis.register_script(_SUBMIT)
        self._peek = redis.register_script(_PEEK)

    async def look_up(self, figure_id: str, wait_ms: int) -> Asked:
        """CACHED, JOINED or UNKNOWN; from now on this gateway is among the figure's waiters unless it was CACHED.

        `wait_ms` is how long the asker waits from now on. Raises WireError when the cache holds what this version
        cannot read.
        """
        keys = self._keys
        raw = await self._look_up(
            keys=[keys.engine, keys.pending(figure_id), keys.waiters(figure_id), keys.image(figure_id)],
            args=[keys.results, figure_id, self._reply_list, wait_ms, JOB_GRACE_MS],
        )
        return _asked(raw)

    async def peek(self, figure_id: str) -> Asked:
        """CACHED, PENDING or UNKNOWN; changes nothing.

        Raises WireError when the cache holds what this version cannot read.
        """
        keys = self._keys
        raw = await self._peek(keys=[keys.engine, keys.pending(figure_id)], args=[keys.results, figure_id])
        return _asked(raw)

    async def submit(
        self,
        figure_id: str,
        png: bytes,
        *,
        job_id: str,
        wait_ms: int,
        request_id: str = "",
        traceparent: str = "",
        size: tuple[int, int] = (0, 0),
        caller: str = "",
    ) -> Asked:
        """QUEUED, or CACHED, JOINED or FULL when that is how things stand by now; FULL also when this caller has half
        of the queue, or Redis has no room for the image.

        `wait_ms` as in `look_up`; `size` is width and height; the rest as in `Job`. Safe to call again after a
        connection error: the second call finds the first one's job and joins it.
        """
        keys = self._keys
        job = Job(job_id, figure_id, 0, 0, request_id, traceparent, *size, caller, len(png))
        fields = job.to_fields()
        del fields["deadline_ms"], fields["enqueued_at_ms"]  # by Redis's clock
        raw = await self._submit(
            keys=[
                keys.engine,
                keys.pending(figure_id),
                keys.waiters(figure_id),
                keys.image(figure_id),
                keys.jobs,
                keys.load,
                keys.backlog(caller),
                keys.workers,
                keys.turn,
            ],
            args=[
                keys.results,
                figure_id,
                self._reply_list,
                wait_ms,
                JOB_GRACE_MS,
                self._max_depth,
                png,
                job_id,
                self._max_bytes,
                caller,
                JOBS_AT_A_TURN,
                *(part for pair in fields.items() for part in pair),
            ],
        )
        return _asked(raw)

    async def replies(self, *, block_s: float = 2.0, most: int = 100) -> list[bytes]:
        """Waits up to `block_s` for replies and returns those that are there, at most `most`; none is an empty list.

        Each is for `Reply.from_json`; they come undecoded so that one that cannot be read costs only its own waiters.
        For one reader task per process. `block_s` must stay below the client's socket timeout (see `connect`).
        """
        first = await self._redis.blpop([self._reply_list], timeout=block_s)
        if first is None:
            return []
        rest: Any = await self._redis.lpop(self._reply_list, most - 1) if most > 1 else None
        return [first[1], *(rest or ())]

    async def depth(self) -> int:
        """Jobs waiting and running."""
        pipeline = self._redis.pipeline(transaction=False)
        pipeline.xlen(self._keys.jobs)
        pipeline.hget(self._keys.load, "waiting")
        in_stream, waiting = await pipeline.execute()
        return int(in_stream) + int(waiting or 0)


async def live_workers(redis: Redis, keys: Keys) -> list[WorkerRecord]:
    """The workers that renewed their liveness lately. Raises RedisError, or WireError for a record it cannot read."""
    consumers: Any = await redis.smembers(keys.workers)
    if not consumers:
        return []
    records: Any = await redis.mget([keys.worker(name.decode()) for name in sorted(consumers)])
    return [WorkerRecord.from_json(raw) for raw in records if raw is not None]


def connect(
    redis_url: str,
    *,
    max_connections: int = 16,
    connect_timeout_s: float = 1.0,
    command_timeout_s: float = 5.0,
) -> Redis:
    """A client on which every call has a deadline; nothing is sent before the first call. Close it with `aclose()`.

    A command waits at most `command_timeout_s` for its answer (so blocking reads must block for less), and as long for
    a free connection. It is tried twice: after a Redis restart the pool still holds connections that are dead.
    """
    pool: BlockingConnectionPool = BlockingConnectionPool.from_url(
        redis_url,
        max_connections=max_connections,
        timeout=command_timeout_s,
        socket_connect_timeout=connect_timeout_s,
        socket_timeout=command_timeout_s,
        retry=Retry(ConstantBackoff(0.05), 1),
        health_check_interval=30,
    )
    return Redis.from_pool(pool)


def _asked(raw: Any) -> Asked:
    admission = QueueAnswer(raw[0].decode())
    return Asked(admission, Reply.from_json(raw[1]) if admission is QueueAnswer.CACHED else None)
