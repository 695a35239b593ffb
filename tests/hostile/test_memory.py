"""What a gateway keeps in memory once large images are explained. The gateway is a process of its own."""

from __future__ import annotations

import asyncio
from pathlib import Path

import httpx2
import pytest

from tests.harness.gateway_process import started
from tests.hostile.images import encoded, figure, noise

PATIENT_S = 60
SLACK_MIB = 48
PEAK_MIB = 96
"""The upload, the scaled PNG and what the engine is sent. The pixels are 48 MB, and decoding and scaling take 216 MiB:
none of that may stand in the gateway's own memory."""

pytestmark = [
    pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="needs /proc"),
    pytest.mark.timeout(600),  # megapixels of noise are made, decoded and scaled
]


def resident_mib(pid: int) -> float:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * 4096 / 1024**2


def peak_mib(pid: int) -> float:
    [line] = [line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith("VmHWM")]
    return int(line.split()[1]) / 1024


async def explain(http: httpx2.AsyncClient, image: bytes) -> None:
    data = {"caption": "", "ocr": "off", "stream": "false"}
    response = await http.post("/v1/explain", files={"image": ("f", image)}, data=data, timeout=300)
    assert response.status_code == 200, response.text


async def test_gateway_gives_back_what_large_images_took(redis_url: str, engine_url: str, tmp_path: Path) -> None:
    bounds = {"decode_s": 300, "known_figures_bytes": 0}
    async with started(tmp_path, redis_url=redis_url, engine_url=engine_url, **bounds) as (process, http):
        pid = process.process.pid
        await explain(http, encoded(figure(text="small")))
        before = resident_mib(pid)
        await explain(http, noise(4000, quality=35))
        assert peak_mib(pid) < before + PEAK_MIB
        async with asyncio.timeout(PATIENT_S):
            while resident_mib(pid) > before + SLACK_MIB:  # noqa: ASYNC110 - memory sends no event
                await asyncio.sleep(0.1)
