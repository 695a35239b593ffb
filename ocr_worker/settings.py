"""The OCR worker's settings: environment variables with the prefix `LLAVA_GRAPH_`, read once, frozen.

`LLAVA_GRAPH_REDIS_URL` and `LLAVA_GRAPH_KEY_PREFIX` mean the same to the gateway: give both processes the same.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Literal, Self
from urllib.parse import urlsplit

from pydantic import Field, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from ocr_worker.consumer import WorkerOptions


class WorkerSettings(BaseSettings):
    """Every value of a parent and its worker processes. The descriptions are the documentation."""

    model_config = SettingsConfigDict(env_prefix="LLAVA_GRAPH_", frozen=True, extra="ignore")

    redis_url: str = Field(
        default="redis://127.0.0.1:6379/0",
        repr=False,
        description="Redis with the queue and the cache: redis://, rediss:// or unix://",
    )
    key_prefix: str = Field(default="lg:", min_length=1, description="What every key in Redis begins with")
    ocr_engine: Literal["rapid", "paddle"] = Field(
        default="rapid",
        description="OCR library: rapid (RapidOCR's PP-OCRv6 on OpenVINO) or paddle (PaddleOCR; an extra of its own)",
    )
    ocr_device: str = Field(
        default="cpu", pattern=r"^(cpu|gpu(:\d+)?)$", description="Where paddle computes: cpu, gpu or gpu:0"
    )
    ocr_model_dir: Path | None = Field(
        default=None, description="Folder of paddle's models; without it PaddleOCR downloads them"
    )
    ocr_processes: int = Field(
        default=1, ge=1, le=256, description="Worker processes under one parent, each with an engine of its own"
    )
    ocr_threads: int = Field(
        default=0,
        ge=0,
        description="CPU threads for inference in each process; 0 shares the cores given among the processes",
    )
    ocr_batch_size: int = Field(default=4, ge=1, le=64, description="Figures read in one batch, when as many wait")
    ocr_batch_wait_ms: int = Field(
        default=0,
        ge=0,
        le=1000,
        description="How long a batch that is not full waits for more; one that is alone in the queue never waits",
    )
    charts: bool = Field(default=True, description="Whether the data of charts is read, after their text")
    chart_deadline_s: float = Field(
        default=1.2,
        gt=0,
        le=10,
        description="Processor seconds that reading the data of one figure may take; past it there is none. A reader "
        "that takes five times as long by the clock is killed",
    )
    chart_endpoint: str | None = Field(
        default=None,
        pattern="^https?://",
        description="Base URL of an OpenAI-compatible endpoint whose model reads charts in place of the built-in "
        "reader, such as http://127.0.0.1:8000/v1. Figures are sent there. Off without it",
    )
    chart_model: str | None = Field(
        default=None, min_length=1, description="Model of `LLAVA_GRAPH_CHART_ENDPOINT` that turns a chart into a table"
    )
    chart_api_key: str | None = Field(
        default=None, repr=False, description="Key for `LLAVA_GRAPH_CHART_ENDPOINT`, if it wants one"
    )
    chart_endpoint_timeout_s: float = Field(
        default=10.0, gt=0, le=25, description="How long the model may take for one figure; past it there is no data"
    )
    ocr_job_timeout_s: float = Field(
        default=30.0,
        gt=0,
        description="A step of reading (64 words) that takes longer, in a batch on average, on every thread "
        "(OCR_THREADS) or without computing, has hung the engine: the process ends, others take over. A figure that "
        "takes longer in several steps is given up, and the process goes on",
    )
    ocr_lease_s: float = Field(
        default=10.0, gt=0, description="A worker that sent no heartbeat for this long is dead; its jobs go to others"
    )
    ocr_max_deliveries: int = Field(
        default=3,
        # Once, a job may be lost with a batch that another job in it brought down.
        ge=2,
        description="A job handed out so often and never finished becomes a dead letter",
    )
    ocr_result_ttl_s: float = Field(
        default=86_400.0, ge=1, description="How long the text of a figure stays in the cache"
    )
    ocr_failure_ttl_s: float = Field(
        default=300.0, ge=1, description="How long a figure that could not be read is not tried again"
    )
    ocr_text_cache_bytes: int = Field(
        default=48 * 1024 * 1024,
        ge=1024 * 1024,
        description="Room for texts in Redis; when it is used up, those whose time ends first go",
    )
    ocr_recycle_jobs: int = Field(
        default=5000, ge=0, description="Jobs after which a process is replaced by a fresh one; 0 is never"
    )
    ocr_recycle_mib: int = Field(
        default=2048,
        ge=0,
        description="Resident memory in MiB past which a process is replaced by a fresh one; 0 is never",
    )
    ocr_drain_s: float = Field(
        default=15.0, gt=0, description="How long processes may finish the jobs in hand after SIGTERM"
    )
    ocr_metrics_host: str = Field(default="127.0.0.1", description="Address of the Prometheus metrics")
    ocr_metrics_port: int = Field(
        default=0, ge=0, le=65535, description="Port of the Prometheus metrics; 0 serves none"
    )
    traces_endpoint: str | None = Field(
        default=None,
        pattern="^https?://",
        description="Base URL of a collector that traces go to as OTLP over HTTP, such as http://127.0.0.1:4318",
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        default="info", description="Least level that is logged"
    )

    @model_validator(mode="after")
    def _endpoint_has_model(self) -> Self:
        if self.chart_endpoint is not None and self.chart_model is None:
            raise ValueError("chart_endpoint needs chart_model")
        return self

    @property
    def threads(self) -> int:
        """CPU threads of one process."""
        return self.ocr_threads or max(cores_given() // self.ocr_processes, 1)

    @property
    def options(self) -> WorkerOptions:
        return WorkerOptions(
            batch_size=self.ocr_batch_size,
            batch_wait_s=self.ocr_batch_wait_ms / 1000,
            job_timeout_s=self.ocr_job_timeout_s,
            threads=self.threads,
            lease_s=self.ocr_lease_s,
            max_deliveries=self.ocr_max_deliveries,
            result_ttl_s=self.ocr_result_ttl_s,
            failure_ttl_s=self.ocr_failure_ttl_s,
            text_cache_bytes=self.ocr_text_cache_bytes,
            recycle_jobs=self.ocr_recycle_jobs,
            recycle_mib=self.ocr_recycle_mib,
        )

    def to_environment(self) -> dict[str, str]:
        """The variables from which another process reads the same settings."""
        prefix = self.model_config.get("env_prefix", "")
        values = self.model_dump(exclude_none=True)
        return {f"{prefix}{name.upper()}": str(value) for name, value in values.items()}

    def for_log(self) -> dict[str, object]:
        """All values, with the passwords in URLs and the key masked."""
        urls = {
            "redis_url": self.redis_url,
            "traces_endpoint": self.traces_endpoint,
            "chart_endpoint": self.chart_endpoint,
        }
        hidden = {"chart_api_key": "***"} if self.chart_api_key else {}
        return {**self.model_dump(), **{name: masked(url) for name, url in urls.items() if url}, **hidden}


def masked(url: str) -> str:
    """A URL without its password and query."""
    parts = urlsplit(url)
    if parts.password is not None:
        parts = parts._replace(netloc=f"{parts.username or ''}:***@{parts.hostname or ''}:{parts.port or ''}")
    return parts._replace(query="").geturl()


def cores_given() -> int:
    """CPU cores this process may use, by its affinity and its container's quota: `os.cpu_count` knows of neither."""
    affinity = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    try:
        quota, period = Path("/sys/fs/cgroup/cpu.max").read_text(encoding="ascii").split()
    except (OSError, ValueError):
        return affinity
    return affinity if quota == "max" else max(1, min(affinity, int(quota) // int(period)))
