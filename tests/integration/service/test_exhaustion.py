"""A machine that has run out of file descriptors or of room on disk: requests are refused, and may be tried again."""

from __future__ import annotations

import asyncio
import errno
import os
import resource
import sys
from pathlib import Path
from tempfile import SpooledTemporaryFile
from typing import Any

import httpx2
import pytest
from redis.asyncio import Redis
from starlette import formparsers

from tests.fakes.kept import post_figure
from tests.harness.gateway import gateway, png
from tests.harness.gateway_process import started

FILES = {"image": ("figure.png", png())}
FIELDS = {"caption": "", "ocr": "off"}

LARGE = png() + bytes(2_000_000)
"""Uploads past a megabyte lie in a file."""


class _OnAFullDisk(SpooledTemporaryFile[bytes]):
    def rollover(self) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def refused(response: httpx2.Response) -> tuple[int, str, bool]:
    """Status, code, and whether the same may be asked again."""
    problem = response.json()
    return response.status_code, problem["code"], problem["retryable"]


@pytest.mark.parametrize("path", ["/v1/figures", "/v1/explain"])
async def test_upload_for_which_there_is_no_room_on_disk_may_be_tried_again(
    redis_url: str, engine_url: str, path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with gateway(redis_url, engine_url) as service:
        with monkeypatch.context() as full:
            full.setattr(formparsers, "SpooledTemporaryFile", _OnAFullDisk)
            response = await service.http.post(path, files={"image": ("f.png", LARGE)}, data=FIELDS)
            assert refused(response) == (503, "overloaded", True)
            assert (await post_figure(service)).status_code == 201  # small enough for memory
        response = await service.http.post(path, files={"image": ("f.png", LARGE)}, data=FIELDS)
        assert response.is_success


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux lets one process set the limits of another")
async def test_gateway_without_file_descriptors_refuses_and_goes_on_when_it_has_some(
    tmp_path: Path, redis_url: str, engine_url: str
) -> None:
    async with started(tmp_path, redis_url=redis_url, engine_url=engine_url) as (process, http):
        # Over the connection on which all the others come; and Pillow has loaded what reads an image.
        assert (await http.post("/v1/figures", files=FILES, data={"caption": ""})).status_code == 201
        soft, hard = resource.prlimit(process.process.pid, resource.RLIMIT_NOFILE)
        resource.prlimit(process.process.pid, resource.RLIMIT_NOFILE, (3, hard))
        for path, more in (("/v1/figures", {}), ("/v1/explain", {"stream": "false"})):
            response = await http.post(path, files={"image": ("f.png", LARGE)}, data={**FIELDS, **more})
            assert refused(response) == (503, "overloaded", True)
            response = await http.post(path, files=FILES, data={**FIELDS, **more, "ocr": "auto"})
            assert response.is_success or refused(response)[::2] == (503, True)
        response = await http.get("/v1/figures/fig_" + "0" * 64)
        assert refused(response)[::2] in ((404, False), (503, True))
        assert (await http.get("/readyz")).status_code == 503
        assert (await http.get("/healthz")).status_code == 200
        resource.prlimit(process.process.pid, resource.RLIMIT_NOFILE, (soft, hard))
        response = await http.post("/v1/explain", files={"image": ("f.png", LARGE)}, data={**FIELDS, "stream": "false"})
        assert response.json()["text"] == "The figure shows growth."


class _ShortOfFiles(Redis):
    """Cannot open a connection for the replies of OCR workers, thrice."""

    failures = 3
    goes_on: asyncio.Event

    async def execute_command(self, *args: Any, **options: Any) -> Any:
        if args[0] == "BLPOP":
            if self.failures > 0:
                self.failures -= 1
                raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))
            self.goes_on.set()
        return await super().execute_command(*args, **options)


async def test_replies_of_ocr_workers_are_read_again_when_there_are_file_descriptors(
    redis_url: str, engine_url: str
) -> None:
    redis = _ShortOfFiles.from_url(redis_url)
    redis.goes_on = asyncio.Event()
    async with gateway(redis_url, engine_url, redis=redis), asyncio.timeout(30):
        await redis.goes_on.wait()
    await redis.aclose()


class _Short(Redis):
    """Can open no connection at all."""

    async def execute_command(self, *_: Any, **__: Any) -> Any:
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))


async def test_redis_that_cannot_be_connected_to_for_lack_of_files_is_away_like_any_other(
    redis_url: str, engine_url: str
) -> None:
    async with gateway(redis_url, engine_url, redis=_Short(), requests_per_minute=1000) as service:
        assert (await service.post(ocr="auto", stream=False)).json()["ocr"]["status"] == "failed"
        assert refused(await service.http.get("/v1/figures/fig_" + "0" * 64)) == (503, "figures_unavailable", True)
        assert refused(await post_figure(service)) == (503, "figures_unavailable", True)
        assert (await service.http.get("/readyz")).json()["status"] == "degraded"
