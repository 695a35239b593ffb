"""Muon for the matrices inside the blocks, AdamW for everything else, behind the interface of one optimizer.

Muon (Jordan et al. 2024) orthogonalises the momentum of a matrix; on small transformers it needs about half of AdamW's
steps. It is not meant for embeddings, norms and biases. The Trainer and its learning rate schedule know one optimizer,
hence this. Nothing here knows LLaVA.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import nn


class MuonWithAdamW(torch.optim.Optimizer):
    """Splits named parameters by shape and name; `param_groups` are those of both parts, so schedulers reach both.

    `lr` is Muon's, scaled to AdamW's usual sizes (Moonshot's RMS matching, arXiv:2502.16982); `adamw_lr` is for the
    rest, which is not decayed. Parameters that do not require gradients are left out.
    """

    def __init__(
        self,
        named_parameters: Iterable[tuple[str, nn.Parameter]],
        lr: float,
        adamw_lr: float,
        weight_decay: float = 0.0,
    ) -> None:
        matrices: list[nn.Parameter] = []
        rest: list[nn.Parameter] = []
        for name, parameter in named_parameters:
            if parameter.requires_grad:
                inner = parameter.ndim == 2 and "embed" not in name and "lm_head" not in name
                (matrices if inner else rest).append(parameter)
        self.parts: list[torch.optim.Optimizer] = []
        if matrices:
            muon = torch.optim.Muon(matrices, lr=lr, weight_decay=weight_decay, adjust_lr_fn="match_rms_adamw")
            self.parts.append(muon)
        if rest:
            self.parts.append(torch.optim.AdamW(rest, lr=adamw_lr, betas=(0.9, 0.95), weight_decay=0.0))
        super().__init__([{"params": [*matrices, *rest]}], {})
        self.param_groups = [group for part in self.parts for group in part.param_groups]

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # type: ignore[override]
        loss = closure() if closure is not None else None
        for part in self.parts:
            part.step()
        return loss

    def state_dict(self) -> dict[str, Any]:
        return {"parts": [part.state_dict() for part in self.parts]}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        for part, state in zip(self.parts, state_dict["parts"], strict=True):
            part.load_state_dict(state)
        self.param_groups = [group for part in self.parts for group in part.param_groups]
