"""SPICE, by pycocoevalcap and its Java program, where all of it is at hand.

It needs Java, the package pycocoevalcap, and Stanford CoreNLP 3.6.0 in the package's own folder; pycocoevalcap would
fetch the last over plain HTTP, so it must be put there on purpose. What is missing is said, and nothing is scored.
"""

from __future__ import annotations

import importlib.util
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from evaluation.errors import UnavailableError
from evaluation.statistics import Floats

_CORENLP = ("stanford-corenlp-3.6.0.jar", "stanford-corenlp-3.6.0-models.jar")


def missing() -> str | None:
    """What SPICE lacks on this machine, in words; None where nothing is."""
    if shutil.which("java") is None:
        return "SPICE needs Java: no `java` is on the PATH"
    spec = importlib.util.find_spec("pycocoevalcap")
    if spec is None or not spec.submodule_search_locations:
        return "SPICE needs the package pycocoevalcap: pip install pycocoevalcap (its licence: docs/evaluation.md)"
    library = Path(next(iter(spec.submodule_search_locations))) / "spice" / "lib"
    absent = [name for name in _CORENLP if not (library / name).exists()]
    if absent:
        return f"SPICE needs {' and '.join(absent)} in {library} (Stanford CoreNLP, release of 2015-12-09)"
    return None


def spice(answers: Sequence[str], references: Sequence[str]) -> Floats:
    """SPICE's F of each answer, [items]. Raises UnavailableError where something is missing or the program fails."""
    if reason := missing():
        raise UnavailableError(reason)
    from pycocoevalcap.spice.spice import Spice

    ids = range(len(answers))
    try:
        _, scores = Spice().compute_score(
            {index: [references[index]] for index in ids}, {index: [answers[index]] for index in ids}
        )
    except (subprocess.CalledProcessError, OSError, ValueError) as error:
        raise UnavailableError(f"SPICE's program failed: {error}") from error
    return np.asarray([score["All"]["f"] for score in scores], dtype=np.float64)
