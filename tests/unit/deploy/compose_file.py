"""docker-compose.yml as Compose reads it, with .env and nothing else set."""

from __future__ import annotations

import re
from typing import Any

import yaml

from tests.paths import REPOSITORY

COMPOSE_TEXT = (REPOSITORY / "docker-compose.yml").read_text(encoding="utf-8")


VARIABLE = re.compile(r"\$\{([A-Z_]+)(?::([?-])([^}]*))?\}")


def settings_file() -> dict[str, str]:
    lines = (REPOSITORY / ".env").read_text(encoding="utf-8").splitlines()
    return dict(line.split("=", 1) for line in lines if "=" in line and not line.startswith("#"))


SETTINGS = settings_file()


def resolved(text: str) -> dict[str, Any]:
    """As Compose reads it with .env and nothing else set."""
    content: dict[str, Any] = yaml.safe_load(VARIABLE.sub(lambda found: SETTINGS.get(found[1], ""), text))
    return content


COMPOSE = resolved(COMPOSE_TEXT)


SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]


OURS = {name: service for name, service in SERVICES.items() if "dockerfile" in service.get("build", {})}
"""Those that hold our code, each built by a Dockerfile of deploy/."""
