"""From a recipe to the arguments of transformers' Trainer: what `train show` prints, and what a run is given.

transformers 5 renamed much of what the original's scripts pass: evaluation_strategy, warmup_ratio (now a share in
`warmup_steps`), gradient_checkpointing, and FSDP's layer class (now in `fsdp_config`). Nothing here touches a device.

Sharding comes in two kinds, both by configuration: PyTorch's FSDP2 through accelerate, and DeepSpeed's ZeRO. The
DeepSpeed configurations are the original's zero2.json, zero3.json and zero3_offload.json, with the batch sizes that it
leaves out set to "auto", and with `stage3_gather_16bit_weights_on_model_save` also for the offloading one: there the
original lacks the prefix, and DeepSpeed ignores the key.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from training.recipe import Recipe


@dataclass(frozen=True, slots=True)
class Device:
    """What the machine has, as far as arguments depend on it."""

    gpu: bool
    tf32: bool
    """Whether float32 products may use TensorFloat-32: NVIDIA's Ampere and later."""


CPU = Device(gpu=False, tf32=False)
A100 = Device(gpu=True, tf32=True)


def this_device() -> Device:
    """The device of this process."""
    import torch

    gpu = torch.cuda.is_available()
    return Device(gpu, gpu and torch.cuda.get_device_capability()[0] >= 8)


def trainer_arguments(recipe: Recipe, out: Path, device: Device, *, max_steps: int | None = None) -> dict[str, Any]:
    """Keyword arguments of TrainingArguments. `max_steps` is the length of the run, where it is known."""
    batch, optimizer, compute, log = recipe.batch, recipe.optimizer, recipe.compute, recipe.log
    steps = max_steps or batch.max_steps
    arguments: dict[str, Any] = {
        "output_dir": str(out),
        "per_device_train_batch_size": batch.samples_per_device,
        "gradient_accumulation_steps": batch.accumulation_steps,
        "num_train_epochs": batch.epochs,
        "max_steps": -1 if steps is None else steps,
        "learning_rate": optimizer.learning_rate,
        "weight_decay": optimizer.weight_decay,
        "warmup_steps": optimizer.warmup_share,  # below 1: a share of all steps
        "lr_scheduler_type": optimizer.schedule,
        "max_grad_norm": optimizer.max_gradient_norm,
        "bf16": compute.bf16,
        "tf32": True if compute.tf32 and device.tf32 else None,
        "use_cpu": not device.gpu,
        "logging_steps": log.every_steps,
        "save_steps": log.checkpoint_every_steps,
        "save_total_limit": log.checkpoints_kept,
        "report_to": list(log.report_to) or "none",
        "seed": recipe.seed,
        "data_seed": recipe.seed,
        # The stream has one order; more workers than one would each give all of it.
        "dataloader_num_workers": int(recipe.compute.read_ahead),
        # The loss of a step is the mean over its answer tokens, whichever device and pass they were in.
        "average_tokens_across_devices": True,
        "ddp_find_unused_parameters": False,
        "remove_unused_columns": False,
        # The stream itself goes on at the next sample; the Trainer would read and drop all that came before.
        "ignore_data_skip": True,
        "disable_tqdm": True,
    }
    if compute.strategy == "fsdp":
        arguments |= {"fsdp": True, "fsdp_config": fsdp_config(recipe)}
    elif compute.gradient_checkpointing:
        # Not reentrant: the reentrant form drops gradients where a layer's inputs need none, as in the first stage.
        arguments |= {"activation_checkpointing": True, "activation_checkpointing_kwargs": {"use_reentrant": False}}
    if compute.strategy in ("zero2", "zero3"):
        arguments["deepspeed"] = deepspeed_config(int(compute.strategy[-1]), offload=compute.offload)
    return arguments


def fsdp_config(recipe: Recipe) -> dict[str, Any]:
    """What the original's `--fsdp "full_shard auto_wrap" --fsdp_transformer_layer_cls_to_wrap` says today.

    Checkpoints hold each process's shards: gathering 13B with its optimizer state on one device would not fit.
    """
    return {
        "version": 2,
        "transformer_layer_cls_to_wrap": list(recipe.compute.wrap),
        "reshard_after_forward": True,
        "activation_checkpointing": recipe.compute.gradient_checkpointing,
        "cpu_offload": recipe.compute.offload,
        "state_dict_type": "SHARDED_STATE_DICT",
    }


def deepspeed_config(stage: int, *, offload: bool = False) -> dict[str, Any]:
    """DeepSpeed's configuration for ZeRO stage 2 or 3; "auto" is filled in by transformers from its own arguments."""
    zero: dict[str, Any] = {
        "stage": stage,
        "overlap_comm": True,
        "contiguous_gradients": True,
        "sub_group_size": 1_000_000_000,
        "reduce_bucket_size": "auto",
    }
    if stage == 3:
        zero |= {
            "stage3_prefetch_bucket_size": "auto",
            "stage3_param_persistence_threshold": "auto",
            "stage3_max_live_parameters": 1_000_000_000,
            "stage3_max_reuse_distance": 1_000_000_000,
            "stage3_gather_16bit_weights_on_model_save": True,
        }
    config: dict[str, Any] = {
        "bf16": {"enabled": "auto"},
        "train_micro_batch_size_per_gpu": "auto",
        "train_batch_size": "auto",
        "gradient_accumulation_steps": "auto",
        "gradient_clipping": "auto",
        "zero_optimization": zero,
    }
    if offload:
        pinned = {"device": "cpu", "pin_memory": True}
        zero["offload_optimizer"] = pinned
        if stage == 3:
            zero["offload_param"] = dict(pinned)
        auto = dict.fromkeys(("lr", "betas", "eps", "weight_decay"), "auto")
        config |= {"optimizer": {"type": "AdamW", "params": auto}, "steps_per_print": 100_000}
    return config
