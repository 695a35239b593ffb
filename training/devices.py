"""What this machine computes well. Nothing here knows a model."""

from __future__ import annotations

import torch


def has_bfloat16() -> bool:
    """Whether matrix products in bfloat16 are fast here: on a CPU without them (AVX2 alone) they take seven times as
    long as in float32."""
    return torch.cuda.is_available() or bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())
