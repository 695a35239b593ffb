"""The stages in which the small model is trained, each from the weights of the ones before.

    text      the decoder alone learns to read: listing drills and explanations without pixels (batches.py)
    vision    the vision tower alone learns to see: what the curve behind a legend entry does (vision.py)
    pretrain  LLaVA's first stage: only the projector learns, between a decoder and a tower that stay as they are
    finetune  LLaVA's second stage: projector, decoder and, since it is small and ours, the tower

Liu et al. 2023, arXiv:2304.08485, for the two LLaVA stages; the first two stand in for the pretrained Vicuna and CLIP.
What an example or a loss is, is not known here.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from numpy import nanmean
from safetensors.torch import load_file
from torch import nn
from transformers import PreTrainedTokenizerFast, Trainer, TrainerCallback, TrainingArguments

from training.devices import has_bfloat16
from training.optimizer import MuonWithAdamW
from training.tiny.batches import AnchoredFigures, Conversations, collate
from training.tiny.copying_init import plant_copying
from training.tiny.data import Figures
from training.tiny.learner import Learner
from training.tiny.model import build_model
from training.tiny.tokenizer import build_tokenizer


@dataclass(frozen=True, slots=True)
class Stage:
    """`trained` names the parts that learn (see `freeze_all_but`), `with_text` and `with_pixels` what a batch holds.

    `lr` is Muon's and `adamw_lr` that of embeddings, norms and biases.
    """

    name: str
    trained: tuple[str, ...]
    with_text: bool
    with_pixels: bool
    steps: int
    batch_size: int
    lr: float
    adamw_lr: float
    warmup_steps: int = 25


STAGES = {
    stage.name: stage
    for stage in (
        Stage("text", ("language_model",), True, False, steps=500, batch_size=32, lr=1e-3, adamw_lr=2e-3),
        Stage("vision", ("vision_tower", "reader"), False, True, steps=2800, batch_size=64, lr=1.2e-3, adamw_lr=2.4e-3),
        Stage("pretrain", ("multi_modal_projector",), True, True, steps=50, batch_size=32, lr=2e-3, adamw_lr=2e-3),
        Stage(
            "finetune",
            ("vision_tower", "reader", "multi_modal_projector", "language_model"),
            True,
            True,
            steps=380,
            batch_size=32,
            lr=5e-4,
            adamw_lr=8e-4,
        ),
    )
}

_WEIGHTS = "model.safetensors"


class StageTrainer(Trainer):
    """The Trainer with `MuonWithAdamW`, whose two learning rates a stage sets."""

    def __init__(self, stage: Stage, **kwargs: Any) -> None:
        self.stage = stage
        self._told: dict[str, list[float]] = {}
        super().__init__(**kwargs)

    def create_optimizer(self, model: nn.Module | None = None) -> torch.optim.Optimizer:
        learner = self.model if model is None else model
        assert learner is not None
        named = learner.named_parameters()
        self.optimizer = MuonWithAdamW(named, lr=self.stage.lr, adamw_lr=self.stage.adamw_lr)
        return self.optimizer

    def compute_loss(
        self,
        model: nn.Module,
        inputs: dict[str, Any],
        return_outputs: bool = False,
        num_items_in_batch: torch.Tensor | int | None = None,  # noqa: ARG002  # the Trainer's signature
    ) -> Any:
        """The learner's own loss; what it is made of goes to the log as means since the last line."""
        outputs = model(**inputs)
        for name, value in outputs.items():
            if name != "loss":
                self._told.setdefault(name, []).append(value.item())
        return (outputs["loss"], outputs) if return_outputs else outputs["loss"]

    def log(self, logs: dict[str, float], *args: Any, **kwargs: Any) -> None:
        means = {name: round(float(nanmean(values)), 4) for name, values in self._told.items()}
        self._told.clear()
        super().log(logs | means, *args, **kwargs)


def new_learner(seed: int) -> tuple[Learner, PreTrainedTokenizerFast]:
    """Weights before any training, with the copying circuit planted, and the tokenizer that belongs to them."""
    tokenizer = build_tokenizer(seed)
    model = build_model(tokenizer, seed)
    plant_copying(model.model.language_model)
    return Learner(model), tokenizer


def load_learner(folder: Path) -> tuple[Learner, PreTrainedTokenizerFast]:
    """What `run_stage` left in `folder`; raises RuntimeError when the weights are not those of today's model."""
    tokenizer = PreTrainedTokenizerFast.from_pretrained(folder)
    learner = Learner(build_model(tokenizer))
    try:
        learner.load_state_dict(load_file(folder / _WEIGHTS))
    except RuntimeError as error:
        raise RuntimeError(f"{folder / _WEIGHTS} is not of this model") from error
    return learner, tokenizer


def freeze_all_but(learner: Learner, trained: tuple[str, ...]) -> None:
    """Only parameters below a module of one of these names learn, for instance `vision_tower`."""
    for name, parameter in learner.named_parameters():
        parameter.requires_grad = any(part in name for part in trained)


def run_stage(
    stage: Stage,
    learner: Learner,
    tokenizer: PreTrainedTokenizerFast,
    figures: list[Figures],
    out: Path,
    *,
    seed: int = 0,
    resume: bool = False,
    callbacks: tuple[TrainerCallback, ...] = (),
) -> None:
    """Train `learner` in place and leave it in `out`; with `resume`, go on from the last checkpoint there."""
    freeze_all_but(learner, stage.trained)
    if has_bfloat16() and not torch.cuda.is_available():
        # On a CPU the fused kernel takes twice as long in bfloat16 as plain matrix products do (torch 2.13, 300 to 600
        # tokens).
        learner.llava.set_attn_implementation("eager")
    arguments = TrainingArguments(
        output_dir=str(out),
        max_steps=stage.steps,
        per_device_train_batch_size=stage.batch_size,
        learning_rate=stage.lr,
        lr_scheduler_type="cosine_with_min_lr",
        lr_scheduler_kwargs={"min_lr_rate": 0.05},
        warmup_steps=stage.warmup_steps,
        max_grad_norm=1.0,
        bf16=has_bfloat16(),
        use_cpu=not torch.cuda.is_available(),
        logging_steps=20,
        save_steps=200,
        save_total_limit=1,
        seed=seed,
        remove_unused_columns=False,
        dataloader_num_workers=1,
        dataloader_prefetch_factor=4,
        report_to="none",
        disable_tqdm=True,
    )
    if stage.with_text:
        dataset: Any = Conversations(figures, tokenizer, stage.batch_size, seed, stage.with_pixels)
        collator: Any = collate(tokenizer.pad_token_id)
    else:
        dataset, collator = AnchoredFigures(figures, seed), None
    trainer = StageTrainer(
        stage, model=learner, args=arguments, train_dataset=dataset, data_collator=collator, callbacks=list(callbacks)
    )
    trainer.train(resume_from_checkpoint=resume or None)
    trainer.save_model(str(out))
    tokenizer.save_pretrained(out)
