"""Titles and abstracts by arXiv id, from the metadata snapshot that arXiv publishes (JSON lines of `id`, `title`,
`abstract`).

The snapshot has more than 4 GB. It is read once, the papers that are asked for go into a table on disk, and processes
look them up there. Line breaks within titles and abstracts are the snapshot's own and become spaces.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from data.errors import FormatError

_REPORT_EVERY = 100_000


def make_table(snapshot: Path, papers: set[str], table: Path, progress: Callable[[int], None]) -> int:
    """Writes the table of those `papers` that the snapshot has; returns how many. Raises FormatError.

    `progress` is told how many lines were read. A line that is no JSON object with an `id` raises: it is another file.
    """
    partial = table.with_suffix(".partial")
    partial.unlink(missing_ok=True)
    found = 0
    with closing(sqlite3.connect(partial)) as connection:
        connection.execute("CREATE TABLE papers (id TEXT PRIMARY KEY, title TEXT, abstract TEXT) WITHOUT ROWID")
        try:
            with snapshot.open(encoding="utf-8", newline="\n") as lines:
                for number, line in enumerate(lines, 1):
                    row = json.loads(line)
                    if str(row["id"]) in papers:
                        values = (str(row["id"]), _one_line(row.get("title")), _one_line(row.get("abstract")))
                        connection.execute("INSERT OR REPLACE INTO papers VALUES (?, ?, ?)", values)
                        found += 1
                    if number % _REPORT_EVERY == 0:
                        progress(number)
        except OSError as error:
            raise FormatError(f"{snapshot}: {error.strerror or error}") from error
        except (KeyError, TypeError, ValueError) as error:
            raise FormatError(f"{snapshot}:{number}: not a row of arXiv's metadata: {error!r}") from error
        connection.commit()
    partial.replace(table)
    return found


def look_up(table: sqlite3.Connection, paper: str) -> tuple[str, str] | None:
    """Title and abstract; None for a paper that the snapshot does not have."""
    row = table.execute("SELECT title, abstract FROM papers WHERE id = ?", (paper,)).fetchone()
    return None if row is None else (row[0], row[1])


def _one_line(text: object) -> str:
    return " ".join(str(text or "").split())
