"""The gateway's settings: one table, read from the environment (prefix `LLAVA_GRAPH_`), frozen afterwards.

What a model needs (its context template, lengths, sampling) is not set here: that is data in the model's manifest.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from llava_graph.manifest import DEFAULT_MODEL_DIR

_MIB = 1024 * 1024

# The last label begins with a letter, which no address does.
_HOST = re.compile(r"(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.)*[a-z](?:[a-z0-9-]{0,61}[a-z0-9])?")


class GatewaySettings(BaseSettings):
    """Every field is the environment variable `LLAVA_GRAPH_<FIELD>`. Raises pydantic.ValidationError."""

    model_config = SettingsConfigDict(env_prefix="LLAVA_GRAPH_", frozen=True, extra="ignore")

    host: str = Field(default="127.0.0.1", description="Address the gateway listens on")
    port: int = Field(default=8000, ge=0, le=65535, description="Port the gateway listens on; 0 takes a free one")
    workers: int = Field(
        default=1,
        ge=1,
        le=256,
        description="Processes that answer at the port, one for each core that the gateway may use. Limits are for all "
        "of them together; bounds on bytes that are held, and on decoding, are shared out among them",
    )
    worker_silence_s: float = Field(
        default=30.0,
        gt=0,
        description="How long the event loop of one of several processes may stand still before it is killed and "
        "replaced",
    )
    published_host: str | None = Field(
        default=None,
        description="Addresses, with commas between, at which the gateway is reached, where that is not the one it "
        "listens on: a container's port is published at an address of its machine, and a proxy at another",
    )
    allowed_hosts: str | None = Field(
        default=None,
        description="Names, with commas between, by which callers reach the gateway, besides localhost, the two above "
        "and any address; * is every name",
    )
    access: Literal["auto", "keys", "open"] = Field(
        default="auto",
        description="Whether callers need a key: keys, open, or auto: where a key file is named, there are keys, or "
        "others than this machine can reach the gateway",
    )
    keys_file: Path | None = Field(
        default=None,
        description="TOML file of the keys that are accepted; while it holds none, no caller is accepted",
    )
    keys: SecretStr | None = Field(default=None, description="The same as in such a file, in the environment itself")
    requests_per_minute: int = Field(
        default=0,
        ge=0,
        description="Requests a minute of one caller, here and in the next two: a key without limits of its own or, "
        "without keys, an address; 0 is no limit",
    )
    upload_bytes_per_minute: int = Field(default=0, ge=0, description="Bytes that one caller may send a minute")
    concurrent_streams: int = Field(default=0, ge=0, description="Answers that one caller may have made at once")
    max_answers: int = Field(default=256, ge=1, description="Answers that the engine makes at once")
    max_waiting_answers: int = Field(
        default=512,
        ge=0,
        description="Answers asked for beyond that, past which requests are refused; one caller may have half",
    )
    answer_wait_s: float = Field(default=60.0, gt=0, description="How long an answer may wait for its turn")
    model_dir: Path = Field(default=DEFAULT_MODEL_DIR, description="Folder of the model's manifest")
    examples_dir: Path = Field(
        default=Path("examples"), description="Folder of the figures that the page offers to try; may be missing"
    )
    engine_url: str = Field(
        default="http://127.0.0.1:8001",
        description="Base URL of the engine, without /v1: an OpenAI chat completions server",
    )
    engine_api_key: SecretStr | None = Field(
        default=None, description="Bearer token that engines ask for, if any, where the engines file names no other"
    )
    engines_file: Path | None = Field(
        default=None,
        description="TOML file of several models and their engines (docs/deploy.md), read again when it changes; with "
        "it, model_dir and engine_url do not count",
    )
    redis_url: str = Field(
        default="redis://127.0.0.1:6379/0",
        repr=False,
        pattern="^(redis|rediss|unix)://",
        description="Redis with the OCR queue and its cache: redis://, rediss:// or unix://",
    )
    key_prefix: str = Field(default="lg:", description="What every Redis key begins with; the same as the OCR workers'")

    ocr_deadline_s: float = Field(
        default=10.0,
        gt=0,
        le=300,
        description="How long an explanation waits for the text of the figure before it does without",
    )
    ocr_max_depth: int = Field(
        default=512,
        ge=1,
        description="OCR jobs waiting and running, past which new figures go on without their text; one caller's may "
        "be half",
    )
    ocr_queue_bytes: int = Field(
        default=64 * _MIB,
        ge=131072,
        description="Bytes in Redis of the images of those jobs, to the same end; one caller's may be half",
    )
    ocr_upload_deadline_s: float = Field(
        default=60.0,
        gt=0,
        le=3600,
        description="How long a kept figure that no request waits for may wait to be read",
    )
    redis_deadline_s: float = Field(default=1.0, gt=0, le=30, description="How long one call to Redis may take")

    engine_connect_s: float = Field(default=2.0, gt=0, description="How long connecting to the engine may take")
    engine_silence_s: float = Field(
        default=120.0,
        gt=0,
        description="How long the engine may be silent: before the first token (prefill) and between tokens",
    )
    engine_probe_s: float = Field(default=1.0, gt=0, description="How long the check that an engine is there may take")
    engine_connections: int = Field(
        default=1024, ge=1, description="Connections to one engine: the answers streamed at once"
    )
    engine_health_interval_s: float = Field(
        default=2.0, gt=0, le=3600, description="How long between two health checks of an engine"
    )
    engine_health_s: float = Field(default=5.0, gt=0, le=300, description="How long such a check may take")
    engine_health_fall: int = Field(
        default=3, ge=1, description="Failures in a row after which an engine is down; one that refuses is so at once"
    )
    engine_health_rise: int = Field(
        default=2, ge=1, description="Successes in a row after which an engine that was down is up again"
    )
    engine_imbalance: float = Field(
        default=1.5,
        ge=1,
        le=100,
        description="Answers in flight at one engine, as a multiple of the model's mean, past which figures that "
        "belong to it go to another",
    )
    engine_imbalance_from: int = Field(
        default=4, ge=1, description="So many in flight at one engine are never too many in that sense"
    )
    engine_deliveries: int = Field(
        default=3,
        ge=1,
        description="Engines that may be given one request, one after the other, when they fail before the first "
        "token; those that accept no connection do not count",
    )
    answer_deadline_s: float = Field(
        default=600.0, gt=0, description="How long one answer may take from its first request on"
    )

    max_head_bytes: int = Field(
        default=32 * 1024, ge=1024, description="Bytes of a request line and its headers, past which it is refused"
    )
    max_headers: int = Field(default=100, ge=16, description="Headers of a request")
    head_s: float = Field(
        default=10.0,
        gt=0,
        description="How long a client may take, once it is connected or has begun another request, until request line "
        "and headers are there",
    )
    upload_grace_s: float = Field(
        default=10.0, gt=0, description="How long a body may take before it has to come at a rate"
    )
    upload_bytes_per_s: int = Field(
        default=4096, ge=1, description="Bytes a second, on the average, with which a body has to come after that"
    )
    upload_s: float = Field(default=300.0, gt=0, description="How long a body may take at most")
    uploads_bytes: int = Field(
        default=256 * _MIB,
        ge=1,
        description="Bytes of bodies being received; past it the largest body of the caller with most bytes is refused",
    )
    sending_bytes: int = Field(
        default=256 * _MIB,
        ge=1,
        description="Bytes of large responses being sent; past it the largest one of the caller with most bytes is cut",
    )
    max_image_bytes: int = Field(default=20 * _MIB, ge=1, description="Largest image file")
    max_image_pixels: int = Field(default=40_000_000, ge=64, description="Largest image, width times height")
    max_caption_chars: int = Field(
        default=20_000, ge=0, description="Longest caption; what a model does not take is cut later"
    )
    max_question_chars: int = Field(default=2_000, ge=0, description="Longest question")
    image_url_hosts: str | None = Field(
        default=None,
        description="Names of the hosts, with commas between, from which images are fetched that are given by URL",
    )
    image_url_deadline_s: float = Field(default=10.0, gt=0, le=120, description="How long fetching one image may take")
    completion_bodies_bytes: int = Field(
        default=256 * _MIB,
        ge=1,
        description="Room for the bodies of chat completions until their images are decoded; past it they are refused",
    )
    max_messages: int = Field(default=64, ge=1, description="Messages in one conversation")
    max_conversation_chars: int = Field(
        default=64_000, ge=1, description="Longest conversation, all its messages together"
    )
    figure_ttl_s: float = Field(default=86_400.0, ge=1, description="How long a figure is kept after its last use")
    figure_store_bytes: int = Field(
        default=128 * _MIB,
        ge=1,
        description="Room for kept figures in Redis; when it is used up, those used longest ago go",
    )
    decode_processes: int = Field(
        default=2, ge=1, description="Images decoded at once, each in a process; bounds the memory that pixels take"
    )
    decode_s: float = Field(
        default=20.0, gt=0, le=300, description="How long decoding one image may take before its process is killed"
    )
    decode_queue: int = Field(
        default=128,
        ge=0,
        description="Images waiting to be decoded, past which requests are refused; one caller's may be half of them",
    )
    decode_queue_bytes: int = Field(
        default=128 * _MIB, ge=1, description="Bytes of the files that wait to be decoded; one caller's may be half"
    )
    decode_wait_s: float = Field(default=30.0, gt=0, description="How long an image may wait to be decoded")
    figure_bytes: int = Field(
        default=8 * _MIB,
        ge=65536,
        description="Largest PNG of a figure as engine, OCR queue and Redis get it; larger ones are scaled down",
    )
    figures_in_hand_bytes: int = Field(
        default=384 * _MIB,
        ge=1,
        description="Memory for figures that are being explained, past which requests are refused; one caller's may "
        "take half",
    )
    known_figures_bytes: int = Field(
        default=64 * _MIB,
        ge=0,
        description="Room in the gateway for figures it decoded lately: a file that comes again is not decoded again",
    )

    feedback: Literal["off", "on"] = Field(
        default="off",
        description="on stores what callers think of answers, with the answers and their receipts, which hold captions "
        "and questions (POST /v1/feedback; the page says so)",
    )
    feedback_dir: Path = Field(
        default=Path("feedback"),
        description="Folder for it, on a disk of this machine; several gateways of one machine may share it",
    )
    feedback_bytes: int = Field(
        default=256 * _MIB, ge=1, description="Bytes of feedback there, images included, past which it is refused"
    )
    feedback_images: Literal["off", "on"] = Field(
        default="off", description="on stores the images of the figures there, too, where they are kept"
    )
    max_note_chars: int = Field(default=2_000, ge=0, description="Longest note in feedback")

    keepalive_s: float = Field(
        default=10.0, gt=0, description="Silence after which a stream carries a comment, so that proxies do not cut it"
    )
    client_write_s: float = Field(default=60.0, gt=0, description="How long a client may take to read what it was sent")
    drain_delay_s: float = Field(
        default=0.0,
        ge=0,
        description="How long the gateway listens on after SIGTERM, not ready and refusing new work, so that load "
        "balancers notice",
    )
    shutdown_s: float = Field(
        default=30.0,
        ge=0,
        description="How long running requests may go on after SIGTERM; streams that take longer end with an error",
    )
    traces_endpoint: str | None = Field(
        default=None,
        pattern="^https?://",
        description="Base URL of a collector that traces go to as OTLP over HTTP, such as http://127.0.0.1:4318",
    )
    log_level: str = Field(
        default="info", pattern="^(debug|info|warning|error)$", description="debug, info, warning or error"
    )

    @field_validator("keys_file", "engines_file", mode="before")
    @classmethod
    def _no_file(cls, given: object) -> object:
        """A variable that is set to nothing names no file."""
        return None if given == "" else given

    @field_validator("engine_url")
    @classmethod
    def _without_slash(cls, url: str) -> str:
        return base_url(url)

    @property
    def reached_at(self) -> tuple[str, ...]:
        """The addresses at which callers find the gateway; Docker takes an empty one for all of its machine."""
        published = self.host if self.published_host is None else self.published_host
        return tuple(address.strip() for address in published.split(","))

    @field_validator("image_url_hosts")
    @classmethod
    def _host_names(cls, hosts: str | None) -> str | None:
        for host in _hosts(hosts):
            if not _HOST.fullmatch(host):
                raise ValueError(f"{host!r} is not the name of a host")
        return hosts

    @property
    def max_body_bytes(self) -> int:
        """The image, every text field at its longest in UTF-8, and room for the multipart framing."""
        return self.max_image_bytes + 4 * (self.max_caption_chars + self.max_question_chars) + _MIB

    @property
    def max_chat_bytes(self) -> int:
        """The longest conversation with every character as two JSON escapes, and room for the JSON around it."""
        return 12 * self.max_conversation_chars + 1024 * self.max_messages + _MIB // 16

    @property
    def max_completion_bytes(self) -> int:
        """Images in base64, all together as large as the largest one; the longest conversation; the longest caption."""
        return (
            4 * -(-self.max_image_bytes // 3)
            + 12 * (self.max_conversation_chars + self.max_caption_chars)
            + 1024 * self.max_messages
            + _MIB
        )

    @property
    def max_feedback_bytes(self) -> int:
        """An answer with its receipt: the longest conversation, its answer, the longest caption and note, with every
        character as two JSON escapes, and room for the rest of a receipt."""
        texts = 2 * self.max_conversation_chars + self.max_caption_chars + self.max_note_chars
        return 12 * texts + 1024 * self.max_messages + _MIB

    @property
    def max_completion_values(self) -> int:
        """As many as the longest texts could have commas, and the JSON around each message."""
        return self.max_conversation_chars + self.max_caption_chars + 256 * self.max_messages + 1024

    def share_of_one(self) -> GatewaySettings:
        """The settings for one of `workers` processes: of each bound on what a process holds its share, or as much as
        the largest request needs."""
        least = {
            "uploads_bytes": self.max_completion_bytes,
            "sending_bytes": self.figure_bytes,
            "completion_bodies_bytes": self.max_completion_bytes,
            "figures_in_hand_bytes": 8 * self.figure_bytes,
            "known_figures_bytes": 0,
            "decode_processes": 1,
            "decode_queue": 2,
            "decode_queue_bytes": 2 * self.max_image_bytes,
        }
        whole: dict[str, int] = {name: getattr(self, name) for name in least}
        shares = {name: min(whole[name], max(-(-whole[name] // self.workers), least[name])) for name in least}
        return self.model_copy(update=shares)

    def max_bytes_of(self, path: str) -> int:
        """The largest body that is accepted at a path."""
        if path == "/v1/chat/completions":
            return self.max_completion_bytes
        if path == "/v1/feedback":
            return self.max_feedback_bytes
        return self.max_chat_bytes if path.endswith("/chat") else self.max_body_bytes

    @property
    def known_hosts(self) -> frozenset[str]:
        """What a request's Host may be, besides an address."""
        return _hosts(self.allowed_hosts) | _hosts(self.host) | _hosts(self.published_host) | {"localhost"}

    @property
    def image_hosts(self) -> frozenset[str]:
        return _hosts(self.image_url_hosts)

    def for_log(self) -> dict[str, object]:
        """All values, with what is secret in them masked."""
        shown = self.model_dump(mode="json")
        urls = {"redis_url": self.redis_url, "engine_url": self.engine_url, "traces_endpoint": self.traces_endpoint}
        return {**shown, **{name: _masked(url) for name, url in urls.items() if url}}


def base_url(url: str) -> str:
    """An engine's URL without a slash and `/v1` at its end. Raises ValueError for one of another scheme."""
    if not url.startswith(("http://", "https://")):
        raise ValueError("must begin with http:// or https://")
    return url.rstrip("/").removesuffix("/v1")


def _hosts(listed: str | None) -> frozenset[str]:
    """Names as URLs have them: in lower case; what is not ASCII must be given in its xn-- form."""
    return frozenset(host.strip().lower() for host in (listed or "").split(",") if host.strip())


def _masked(url: str) -> str:
    """A URL without its user, password and query."""
    parts = urlsplit(url)
    _, at, host = parts.netloc.rpartition("@")
    return parts._replace(netloc=f"***@{host}" if at else host, query="").geturl()
