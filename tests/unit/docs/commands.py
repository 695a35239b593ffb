"""Where docs give commands, and the targets of the Makefile."""

from __future__ import annotations

import re

from tests.paths import REPOSITORY

MAKE_TARGETS = set(re.findall(r"^([a-z-]+):.*##", (REPOSITORY / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))


CODE = re.compile(r"```.*?```|`[^`\n]+`", re.DOTALL)
"""Fenced blocks and code spans: where the README gives commands."""
