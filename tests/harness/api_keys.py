"""API keys of two callers, and the file that holds them."""

from __future__ import annotations

from pathlib import Path

from llava_graph.api_keys import digest, new_key

ALICE, BOB = new_key(), new_key()


def bearer(key: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"}


def key_file(folder: Path, **keys: str) -> Path:
    """A file with one key for each name."""
    path = folder / "keys.toml"
    path.write_text("".join(f'[keys.{name}]\nsha256 = ["{digest(key.encode())}"]\n' for name, key in keys.items()))
    return path
