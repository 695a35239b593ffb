"""Lets a torchvision that was built for CUDA be imported beside a torch that was built for CPUs.

vLLM's LLaVA imports torchvision, and a package index may hold no build of it for CPUs. The CUDA build's Python code
needs nothing of CUDA, but its compiled operators do not load, and the import fails: `operator torchvision::nms does not
exist`. Declaring the two operators that the import looks up is enough, because nothing here calls them.

It must happen before the first import of torchvision in every process of vLLM, its workers included, so the .pth file
beside this one loads this module whenever the environment's interpreter starts. Where the operators load, nothing is
declared.
"""

from __future__ import annotations

import ctypes
import importlib.abc
import importlib.machinery
import sys
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType

OPERATORS = ("nms", "qnms")


class BeforeTorchvision(importlib.abc.MetaPathFinder):
    """Waits for the first import of torchvision: importing torch takes seconds, which pip need not spend."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        if fullname != "torchvision":
            return None
        sys.meta_path.remove(self)
        spec = importlib.machinery.PathFinder.find_spec(fullname, path, target)
        if spec is not None and spec.submodule_search_locations is not None:
            declare_missing_operators(Path(spec.submodule_search_locations[0]))
        return spec


def declare_missing_operators(torchvision_dir: Path) -> None:
    import torch  # its libraries are what the operators link to

    try:
        for library in torchvision_dir.glob("_C*.so"):
            ctypes.CDLL(str(library))
    except OSError:
        for name in OPERATORS:
            torch.library.define(f"torchvision::{name}", "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")


sys.meta_path.insert(0, BeforeTorchvision())
