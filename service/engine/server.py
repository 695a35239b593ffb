"""Where an engine is, and how it wants to be asked."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import urlsplit

from pydantic import SecretStr


@dataclass(frozen=True, slots=True)
class EngineServer:
    """An engine's base URL without `/v1`, the id under which it serves the model, and the bearer token that it asks
    for, if any."""

    url: str
    model: str
    api_key: SecretStr | None = None

    @property
    def address(self) -> str:
        """Host and port."""
        return address_of(self.url)


def address_of(url: str) -> str:
    """Host and port of a URL, without what may be secret in it."""
    return urlsplit(url).netloc.rpartition("@")[2]
