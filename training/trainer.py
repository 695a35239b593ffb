"""transformers' Trainer for LLaVA: our stream of batches, checkpoints of what learns, rates in the log.

What differs from the Trainer as it comes:

- Data. The stream gives each rank its batches and says with each where it goes on. The position after the last batch
  that was trained on is in the checkpoint, so a resumed run reads the very next sample, not all before it.
- Checkpoints. They hold what learns, not the frozen rest, and appear whole (checkpoints.py). Under FSDP and DeepSpeed
  the shards are written by accelerate's and DeepSpeed's own means.
- A batch of text alone. The projector still takes part, with nothing: DistributedDataParallel waits for its gradient.
- FSDP on CPUs. accelerate turns to FSDP for accelerators only; the code is the same (PyTorch's FSDP2 over gloo).

What a recipe means for data and model is put together in run.py.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from accelerate.state import PartialState
from accelerate.utils import DistributedType, FullyShardedDataParallelPlugin
from safetensors.torch import load_file, save_file
from torch import nn
from torch.utils.data import DataLoader
from transformers import Trainer

from training.checkpoints import PARTIAL, POSITION_FILE, finish
from training.collator import BatchFacts, take
from training.features import with_features
from training.refusals import ResumeError
from training.throughput import Meter

TRAINED_FILE = "trained.safetensors"


class LlavaTrainer(Trainer):
    """Made and called by run.py. `train_dataset` is a SampleStream without end, `data_collator` makes its batches.

    `projector_learning_rate` None: all that learns has the same. `any_sizes`: images are no squares (features.py).
    """

    def __init__(
        self,
        *,
        projector_learning_rate: float | None = None,
        any_sizes: bool = False,
        meter: Meter,
        **arguments: Any,
    ) -> None:
        self._projector_learning_rate = projector_learning_rate
        self._any_sizes = any_sizes
        self._meter = meter
        self._position: dict[str, Any] | None = None
        self._saving = False
        super().__init__(**arguments)

    @property
    def position(self) -> Mapping[str, Any]:
        """Where the data go on after the last batch that was trained on; its counts are those of the samples so far."""
        return self._position or {}

    @property
    def facts(self) -> BatchFacts:
        """All batches of this rank together."""
        return self._meter.total

    # Distribution

    def create_accelerator_and_postprocess(self) -> None:
        super().create_accelerator_and_postprocess()
        state: Any = self.accelerator.state
        if self.args.fsdp and state.distributed_type == DistributedType.MULTI_CPU:
            plugin = FullyShardedDataParallelPlugin(**self.args.fsdp_plugin_args)
            if state.mixed_precision != "no":
                plugin.set_mixed_precision(state.mixed_precision)
            state.distributed_type = DistributedType.FSDP
            PartialState._shared_state["distributed_type"] = DistributedType.FSDP
            state.fsdp_plugin = plugin
            self.is_fsdp_enabled = True

    def whole_state(self) -> dict[str, torch.Tensor]:
        """The model's state. Collective: on other ranks than the first the result may be empty."""
        if self.is_fsdp_enabled or self.is_deepspeed_enabled:
            gathered: dict[str, torch.Tensor] = self.accelerator.get_state_dict(self.model_wrapped)
            return gathered
        return dict(self._learner().state_dict())

    def _learner(self) -> nn.Module:
        """The model as the Trainer holds it: that of run.py, or what FSDP made of it."""
        assert self.model is not None
        return self.model

    # Steps

    def get_train_dataloader(self) -> DataLoader[Any]:
        """Batches of this rank, as the stream makes them: accelerate must not deal them out a second time.

        The loader has a generator of its own: drawing from the global one would make a resumed run differ.
        """
        return DataLoader(
            self.train_dataset,  # type: ignore[arg-type]
            batch_size=None,
            collate_fn=self.data_collator,
            num_workers=self.args.dataloader_num_workers,
            pin_memory=self.args.device.type == "cuda",
            generator=torch.Generator(),
        )

    def create_optimizer(self, model: nn.Module | None = None) -> torch.optim.Optimizer:
        if self._projector_learning_rate is None or self.optimizer is not None:
            created: torch.optim.Optimizer = super().create_optimizer(model)
            return created
        learner: Any = self.model if model is None else model
        decayed = set(self.get_decay_parameter_names(learner))
        groups: dict[tuple[bool, bool], list[nn.Parameter]] = {}
        for name, parameter in learner.named_parameters():
            if parameter.requires_grad:
                groups.setdefault(("multi_modal_projector" in name, name in decayed), []).append(parameter)
        kind, settings = self.get_optimizer_cls_and_kwargs(self.args, learner)
        self.optimizer = kind(
            [
                {
                    "params": parameters,
                    "weight_decay": self.args.weight_decay if decays else 0.0,
                    **({"lr": self._projector_learning_rate} if projector else {}),
                }
                for (projector, decays), parameters in groups.items()
            ],
            **settings,
        )
        return self.optimizer

    def training_step(self, model: nn.Module, inputs: dict[str, Any], *arguments: Any, **more: Any) -> torch.Tensor:
        facts, self._position = take(inputs)
        loss: torch.Tensor = super().training_step(model, inputs, *arguments, **more)
        self._meter.add(facts)
        return loss

    def compute_loss(self, model: nn.Module, inputs: dict[str, Any], *arguments: Any, **more: Any) -> Any:
        shown = "pixel_values" in inputs
        if shown and self._any_sizes:
            learner: Any = self._learner()
            with self.accelerator.autocast():
                inputs = with_features(getattr(learner, "get_base_model", lambda: learner)(), inputs)
        result = super().compute_loss(model, inputs, *arguments, **more)
        # FSDP and ZeRO-3 do not wait for it; outside the forward pass ZeRO-3's parameters are empty.
        if shown or self.is_fsdp_enabled or self._is_zero3():
            return result
        nothing = sum(
            parameter.sum() * 0.0
            for name, parameter in model.named_parameters()
            if parameter.requires_grad and "multi_modal_projector" in name
        )
        return (result[0] + nothing, result[1]) if isinstance(result, tuple) else result + nothing

    def _is_zero3(self) -> bool:
        return bool(self.is_deepspeed_enabled and self.accelerator.state.deepspeed_plugin.zero_stage == 3)

    def log(self, logs: dict[str, float], *arguments: Any, **more: Any) -> None:
        if "loss" in logs:
            logs = logs | self._meter.rates()
        if self._position is not None:
            # The Trainer counts epochs by steps, and a stream without end has none.
            self.state.epoch = float(self._position["epoch"])
        super().log(logs, *arguments, **more)

    # Checkpoints

    def _out(self) -> Path:
        assert self.args.output_dir is not None
        return Path(self.args.output_dir)

    def _get_output_dir(self, trial: Any) -> str:
        return str(self._out() / PARTIAL) if self._saving else super()._get_output_dir(trial)

    def _save_checkpoint(self, model: nn.Module, trial: Any) -> None:
        out = self._out()
        name = f"checkpoint-{self.state.global_step}"
        partial = out / PARTIAL / name
        partial.mkdir(parents=True, exist_ok=True)
        self._saving = True
        try:
            super()._save_checkpoint(model, trial)
        finally:
            self._saving = False
        if self.args.should_save:
            (partial / POSITION_FILE).write_text(json.dumps(self.position), encoding="utf-8")
        # Each rank has written its random state, and its shards.
        self.accelerator.wait_for_everyone()
        if self.args.should_save:
            finish(out, name, self.args.save_total_limit or 1)
        self.accelerator.wait_for_everyone()

    def save_model(self, output_dir: str | None = None, _internal_call: bool = False) -> None:
        """What learns, for a checkpoint. The finished model is written by run.py."""
        if self.is_fsdp_enabled or self.is_deepspeed_enabled or not self.args.should_save:
            return  # shards are written with the optimizer's
        assert output_dir is not None
        state = {
            name: parameter.detach().cpu().contiguous()
            for name, parameter in self._learner().named_parameters()
            if parameter.requires_grad
        }
        save_file(state, Path(output_dir) / TRAINED_FILE)

    def _load_from_checkpoint(self, resume_from_checkpoint: str, model: nn.Module | None = None) -> None:
        if self.is_fsdp_enabled:
            super()._load_from_checkpoint(resume_from_checkpoint, model)
            return
        file = Path(resume_from_checkpoint) / TRAINED_FILE
        if not file.is_file():
            raise ResumeError(f"{file}: is missing; was the checkpoint written under FSDP or DeepSpeed?")
        state = load_file(file)
        learner = self._learner()
        parameters = {name: parameter for name, parameter in learner.named_parameters() if parameter.requires_grad}
        if parameters.keys() != state.keys():
            first = sorted(parameters.keys() ^ state.keys())[0]
            raise ResumeError(f"{file}: holds other parameters than those that learn here; the first is {first}")
        with torch.no_grad():
            for name, parameter in parameters.items():
                parameter.copy_(state[name])
