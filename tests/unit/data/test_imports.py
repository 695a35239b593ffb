"""The data room imports, of this project, llava_graph alone; and what is heavy only where it is used."""

from __future__ import annotations

import ast
import subprocess
import sys

from tests.paths import REPOSITORY

_ROOMS = {"service", "ocr_worker", "launcher", "training", "weights", "evaluation", "benchmarks"}


def test_data_imports_no_other_room() -> None:
    found = {}
    for path in (REPOSITORY / "data").rglob("*.py"):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        modules = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
        modules |= {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and node.module}
        if other := {module for module in modules if module.partition(".")[0] in _ROOMS}:
            found[str(path)] = other
    assert found == {}


def test_command_s_help_loads_neither_arrow_nor_ray_nor_a_drawing_library() -> None:
    program = "import sys; from data.cli import main; main(['--help'], standalone_mode=False); print(*sys.modules)"
    output = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
    loaded = set(output.splitlines()[-1].split())
    assert not loaded & {"pyarrow", "ray", "openai", "tokenizers", "torch", "ijson"}
