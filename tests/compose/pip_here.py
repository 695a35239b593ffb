"""How pip gets its packages on this machine, told to builds in containers: as build arguments, and in no image.

What pip is configured with here may be an index or certificates of a company's own, or a folder of wheels, which is
served to the builds for as long as they take.
"""

from __future__ import annotations

import contextlib
import functools
import http.server
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

from pip._vendor import certifi

_PORT = 38765
"""Always the same, where it is free: a builder's cache holds as long as the arguments are the same."""

_CERTIFICATE = re.compile(r"-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----", re.DOTALL)


@contextlib.contextmanager
def build_arguments(bridge_address: str) -> Iterator[dict[str, str]]:
    """The values of the Dockerfiles' arguments, good while the context lasts. `bridge_address` is this machine's, as
    containers see it."""
    settings = _pip_settings()
    arguments = {"PIP_INDEX_URL": "", "PIP_EXTRA_INDEX_URL": "", "PIP_FIND_LINKS": "", "PIP_TRUSTED_HOST": ""}
    for argument in arguments:
        places = settings.get(argument.removeprefix("PIP_").lower().replace("_", "-"), "").split()
        arguments[argument] = " ".join(place for place in places if not _is_local(place))
    arguments["CA_CERTIFICATE"] = _own_certificates(settings.get("cert"))
    with contextlib.ExitStack() as servers:
        for place in settings.get("find-links", "").split():
            if _is_local(place):
                url = servers.enter_context(_served(Path(place.removeprefix("file://")), bridge_address))
                arguments["PIP_FIND_LINKS"] = f"{arguments['PIP_FIND_LINKS']} {url}".strip()
                arguments["PIP_TRUSTED_HOST"] = f"{arguments['PIP_TRUSTED_HOST']} {bridge_address}".strip()
        yield arguments


def _pip_settings() -> dict[str, str]:
    """Names without their section; what the environment says goes before files."""
    command = [sys.executable, "-m", "pip", "config", "list"]
    listed = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout
    found = re.findall(r"^(\S+)\.([a-z-]+)='(.*)'$", listed, re.MULTILINE)
    return {name: value for _, name, value in sorted(found, key=lambda entry: entry[0] == ":env:")}


def _is_local(place: str) -> bool:
    return place.startswith(("/", "file://"))


def _own_certificates(bundle: str | None) -> str:
    """Those that pip trusts here, and that it would not trust without being told."""
    if bundle is None:
        return ""
    usual = {_content(found) for found in _CERTIFICATE.findall(Path(certifi.where()).read_text(encoding="utf-8"))}
    trusted = _CERTIFICATE.findall(Path(bundle).read_text(encoding="utf-8"))
    return "\n".join(found for found in trusted if _content(found) not in usual)


def _content(certificate: str) -> str:
    return "".join(certificate.split())


@contextlib.contextmanager
def _served(folder: Path, address: str) -> Iterator[str]:
    handler = functools.partial(_QuietHandler, directory=str(folder))
    try:
        listening = http.server.ThreadingHTTPServer((address, _PORT), handler)
    except OSError:
        listening = http.server.ThreadingHTTPServer((address, 0), handler)
    with listening as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://{address}:{server.server_port}/"
        finally:
            server.shutdown()
            thread.join()


class _QuietHandler(http.server.SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        """Says nothing."""
