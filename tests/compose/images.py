"""The images of others that docker-compose.yml starts from: the real ones, or stand-ins made of Debian's packages.

A stand-in is made only where the real image neither is there nor can be pulled, and has a name of its own, so that
nobody takes it for the real one afterwards. Grafana has none: Debian has no Grafana.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path

STAND_INS = Path(__file__).parent / "stand_ins"

_PULL_DEADLINE_S = 600
_BUILD_DEADLINE_S = 600

_PACKAGES = "python3,python3-venv,ca-certificates"
_LEFT_OUT = ("var/cache/apt", "var/lib/apt/lists", "usr/share/doc", "usr/share/man", "usr/share/locale")


class NoImageError(Exception):
    """An image cannot be had here; the message says why."""


def found_or_made(wanted: Mapping[str, str]) -> dict[str, str]:
    """For each variable of .env that names an image, the image to use; those that cannot be had are missing.

    Raises NoImageError when it is one that nothing works without.
    """
    images: dict[str, str] = {}
    base = wanted["PYTHON_IMAGE"]
    images["PYTHON_IMAGE"] = base if _is_there(base) else _python_stand_in(base)
    for variable in ("REDIS_IMAGE", "PROMETHEUS_IMAGE", "CADDY_IMAGE"):
        name = wanted[variable]
        images[variable] = name if _is_there(name) else _stand_in(name, images["PYTHON_IMAGE"])
    if _is_there(wanted["GRAFANA_IMAGE"]):
        images["GRAFANA_IMAGE"] = wanted["GRAFANA_IMAGE"]
    return images


def _is_there(image: str) -> bool:
    """Whether the real image is on this machine, after an attempt to get it."""
    return _docker("image", "inspect", image).returncode == 0 or _docker("pull", "--quiet", image).returncode == 0


def _name_of_stand_in(image: str) -> str:
    return f"llava-graph-stand-in/{image}"


def _stand_in(image: str, base: str) -> str:
    name = _name_of_stand_in(image)
    recipe = STAND_INS / f"{image.partition(':')[0].rpartition('/')[2]}.Dockerfile"
    command = [
        "docker",
        "build",
        "--quiet",
        "--tag",
        name,
        "--build-arg",
        f"PYTHON_IMAGE={base}",
        "--file",
        str(recipe),
    ]
    built = subprocess.run([*command, str(STAND_INS)], capture_output=True, text=True, timeout=_BUILD_DEADLINE_S)
    if built.returncode != 0:
        raise NoImageError(f"{image} cannot be pulled, and no stand-in built: {built.stderr[-2000:]}")
    return name


def _python_stand_in(image: str) -> str:
    """Debian with its own Python 3.11: what the official image is, but for where Python lies."""
    name = _name_of_stand_in(image)
    if _docker("image", "inspect", name).returncode == 0:
        return name
    if shutil.which("debootstrap") is None or os.geteuid() != 0:
        raise NoImageError(f"{image} cannot be pulled, and only root with debootstrap can make a stand-in")
    with tempfile.TemporaryDirectory(prefix="llava-graph-base-") as folder:
        bootstrap = ["debootstrap", "--variant=minbase", f"--include={_PACKAGES}", "bookworm", folder]
        made = subprocess.run(bootstrap, capture_output=True, text=True, timeout=_BUILD_DEADLINE_S)
        if made.returncode != 0:
            raise NoImageError(f"{image} cannot be pulled, and debootstrap failed: {made.stdout[-2000:]}")
        left_out = [f"--exclude=./{path}/*" for path in _LEFT_OUT]
        with subprocess.Popen(
            ["tar", "--create", "--numeric-owner", *left_out, "--directory", folder, "."], stdout=subprocess.PIPE
        ) as archive:
            subprocess.run(["docker", "import", "-", name], stdin=archive.stdout, check=True, capture_output=True)
        assert archive.returncode == 0, "half an archive was imported"
    return name


def _docker(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["docker", *arguments], capture_output=True, text=True, timeout=_PULL_DEADLINE_S)
