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

_MIB = 1024 * 1024

# The last label begins with a letter, which no address does.
_HOST = re.compile(r"(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.)*[a-z](?:[a-z0-9-]{0,61}[a-z0-9])?")


class GatewaySettings(BaseSettings):
    """Every field is the environment variable `LLAVA_GRAPH_<FIELD>`. Raises pydantic.ValidationError."""

    model_config = SettingsConfigDict(env_prefix="LLAVA_GRAPH_", frozen=True, extra="ignore")

    host: str = Field(default="127.0.0.1", description="Address the gateway listens on")
    port: int = Field(default=8000, ge=0, le=65535, description="Port the gateway listens on; 0 takes a free one")
    published_host: str | None = Field(
        default=None,
        description="Address at which the gateway is reached, where that is not the one it listens on: a container's "
        "port is published at an address of its machine",
    )
    access: Literal["auto", "keys", "open"] = Field(
        default="auto",
        description="Whether callers need a key: keys, open, or auto: where there are keys, or where others than this "
        "machine can reach the gateway",
    )
    keys_file: Path | None = Field(default=None, description="TOML file of the keys that are accepted")
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
        default=512, ge=0, description="Answers asked for beyond that, past which requests are refused"
    )
    answer_wait_s: float = Field(default=60.0, gt=0, description="How long an answer may wait for its turn")
    model_dir: Path = Field(default=Path("model_repo/llava-graph-tiny"), description="Folder of the model's manifest")
    examples_dir: Path = Field(
        default=Path("examples"), description="Folder of the figures that the page offers to try; may be missing"
    )
    engine_url: str = Field(
        default="http://127.0.0.1:8001",
        description="Base URL of the engine, without /v1: an OpenAI chat completions server",
    )
    engine_api_key: SecretStr | None = Field(default=None, description="Bearer token that the engine asks for, if any")
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
        default=256, ge=1, description="OCR jobs waiting and running past which new figures go on without their text"
    )
    ocr_upload_deadline_s: float = Field(
        default=60.0,
        gt=0,
        le=3600,
        description="How long a figure that is kept, and that nobody waits for, may wait to be read",
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
        default=1024, ge=1, description="Connections to the engine: the answers streamed at once"
    )
    answer_deadline_s: float = Field(
        default=600.0, gt=0, description="How long one answer may take from its first request on"
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
    decode_threads: int = Field(
        default=2, ge=1, description="Images decoded at once; bounds the memory that pixels take"
    )
    decode_queue: int = Field(
        default=64, ge=0, description="Images waiting to be decoded, past which requests are refused"
    )
    known_figures_bytes: int = Field(
        default=64 * _MIB,
        ge=0,
        description="Room in the gateway for figures it decoded lately: a file that comes again is not decoded again",
    )

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

    @field_validator("engine_url")
    @classmethod
    def _without_slash(cls, url: str) -> str:
        if not url.startswith(("http://", "https://")):
            raise ValueError("must begin with http:// or https://")
        return url.rstrip("/").removesuffix("/v1")

    @property
    def reached_at(self) -> str:
        """The address at which callers find the gateway."""
        return self.host if self.published_host is None else self.published_host

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
    def max_completion_values(self) -> int:
        """As many as the longest texts could have commas, and the JSON around each message."""
        return self.max_conversation_chars + self.max_caption_chars + 256 * self.max_messages + 1024

    def max_bytes_of(self, path: str) -> int:
        """The largest body that is accepted at a path."""
        return self.max_completion_bytes if path == "/v1/chat/completions" else self.max_body_bytes

    @property
    def image_hosts(self) -> frozenset[str]:
        return _hosts(self.image_url_hosts)

    def for_log(self) -> dict[str, object]:
        """All values, with what is secret in them masked."""
        shown = self.model_dump(mode="json")
        urls = {"redis_url": self.redis_url, "engine_url": self.engine_url, "traces_endpoint": self.traces_endpoint}
        return {**shown, **{name: _masked(url) for name, url in urls.items() if url}}


def _hosts(listed: str | None) -> frozenset[str]:
    """Names as URLs have them: in lower case; what is not ASCII must be given in its xn-- form."""
    return frozenset(host.strip().lower() for host in (listed or "").split(",") if host.strip())


def _masked(url: str) -> str:
    """A URL without its user, password and query."""
    parts = urlsplit(url)
    _, at, host = parts.netloc.rpartition("@")
    return parts._replace(netloc=f"***@{host}" if at else host, query="").geturl()
