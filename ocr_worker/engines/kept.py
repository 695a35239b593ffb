"""An OCR engine that keeps what it read in a file: for measuring what comes after OCR, again and again.

A reading is found by the pixels' SHA-256 and the engine's revision, so that neither another image nor another engine
gets it. The worker does not use this; its results are kept with the jobs.
"""

from __future__ import annotations

import hashlib
import json
import sqlite3
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType

from llava_graph.ocr import Line
from ocr_worker.engines import OcrEngine, Pixels

_BUSY_S = 60.0
"""How long a command waits for another that writes to the same file."""


class KeptReadings(OcrEngine):
    """Wraps an engine as an `OcrEngine`. For one thread at a time; several processes may share the file."""

    def __init__(self, engine: OcrEngine, file: Path) -> None:
        """Raises sqlite3.Error where `file` cannot be used."""
        self._engine = engine
        self._database = sqlite3.connect(file, timeout=_BUSY_S, isolation_level=None)
        self._database.execute("CREATE TABLE IF NOT EXISTS readings (key TEXT PRIMARY KEY, value TEXT NOT NULL)")

    def __enter__(self) -> KeptReadings:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._database.close()

    @property
    def revision(self) -> str:
        return self._engine.revision

    def read(self, images: Sequence[Pixels]) -> list[list[Line]]:
        """See `OcrEngine.read`."""
        return [self._read_one(image) for image in images]

    def read_crops(self, crops: Sequence[Pixels]) -> list[tuple[str, float]]:
        """See `OcrEngine.read_crops`. The crops are one entry: they are recognised as one batch."""
        key = self._key("crops", crops)
        kept = self._kept(key)
        if kept is not None:
            return [(str(text), float(confidence)) for text, confidence in json.loads(kept)]
        found = self._engine.read_crops(crops)
        self._keep(key, json.dumps(found, ensure_ascii=False))
        return found

    def _read_one(self, image: Pixels) -> list[Line]:
        key = self._key("figure", [image])
        kept = self._kept(key)
        if kept is not None:
            return [Line.from_json(line) for line in json.loads(kept)]
        lines = self._engine.read([image])[0]
        self._keep(key, json.dumps([line.to_json() for line in lines], ensure_ascii=False))
        return lines

    def _key(self, what: str, images: Sequence[Pixels]) -> str:
        digest = hashlib.sha256(f"{what} {self.revision}".encode())
        for image in images:
            digest.update(f" {image.shape} ".encode())
            digest.update(image.tobytes())
        return digest.hexdigest()

    def _kept(self, key: str) -> str | None:
        row = self._database.execute("SELECT value FROM readings WHERE key = ?", (key,)).fetchone()
        return None if row is None else str(row[0])

    def _keep(self, key: str, value: str) -> None:
        self._database.execute("INSERT OR REPLACE INTO readings VALUES (?, ?)", (key, value))
