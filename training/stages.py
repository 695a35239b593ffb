"""The stages in which the small model is trained, each from the weights of the one before.

    text      the decoder alone learns to read: listing drills and explanations without pixels (training/batches.py)
    vision    the vision tower alone learns to see: what the curve behind a legend entry does (training/vision.py)
    pretrain  LLaVA's first stage: only the projector learns, between a decoder and a tower that stay as they are
    finetune  LLaVA's second stage: projector, decoder and, since it is small and ours, the tower

Liu et al. 2023, arXiv:2304.08485, for the two LLaVA stages; the first two stand in for the pretrained Vicuna and CLIP.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.nn.functional import cross_entropy
from transformers import LlavaForConditionalGeneration, PreTrainedTokenizerFast, Trainer, TrainingArguments

from training.batches import IGNORED, Conversations, collate
from training.data import Figures
from training.optimizer import MuonWithAdamW


@dataclass(frozen=True, slots=True)
class Stage:
    """`lr` is Muon's and `adamw_lr` that of embeddings, norms and biases; `trained` are the parts that learn."""

    name: str
    trained: tuple[str, ...]
    with_pixels: bool
    steps: int
    batch_size: int
    lr: float
    adamw_lr: float
    warmup_steps: int = 50


STAGES = {
    stage.name: stage
    for stage in (
        Stage("text", ("language_model",), False, steps=800, batch_size=32, lr=1e-3, adamw_lr=2e-3),
        Stage("pretrain", ("multi_modal_projector",), True, steps=150, batch_size=16, lr=2e-3, adamw_lr=2e-3, warmup_steps=20),
        Stage("finetune", ("vision_tower", "multi_modal_projector", "language_model"), True, steps=2000, batch_size=16, lr=8e-4, adamw_lr=1e-3),
    )
}


class AnswerTrainer(Trainer):
    """Trains with `MuonWithAdamW` and computes the vocabulary's logits only where there is a label."""

    def __init__(self, stage: Stage, **kwargs: Any) -> None:
        self.stage = stage
        super().__init__(**kwargs)

    def create_optimizer(self, model: nn.Module | None = None) -> torch.optim.Optimizer:
        named = (model or self.model).named_parameters()
        self.optimizer = MuonWithAdamW(named, lr=self.stage.lr, adamw_lr=self.stage.adamw_lr)
        return self.optimizer

    def compute_loss(
        self, model: nn.Module, inputs: dict[str, torch.Tensor], return_outputs: bool = False, num_items_in_batch: torch.Tensor | int | None = None
    ) -> torch.Tensor | tuple[torch.Tensor, Any]:
        labels = inputs["labels"]
        llava: Any = model.module if hasattr(model, "module") else model
        answered = labels[:, 1:] != IGNORED
        # The Trainer's own autocast sits on model.forward, which is not what runs here.
        with self.accelerator.autocast():
            outputs = llava.model(input_ids=inputs["input_ids"], pixel_values=inputs.get("pixel_values"), use_cache=False)
            logits = llava.lm_head(outputs.last_hidden_state[:, :-1][answered])  # [answer tokens, vocabulary]
        loss = cross_entropy(logits.float(), labels[:, 1:][answered])
        return (loss, outputs) if return_outputs else loss


def freeze_all_but(model: LlavaForConditionalGeneration, trained: tuple[str, ...]) -> None:
    for name, parameter in model.named_parameters():
        parameter.requires_grad = any(part in name for part in trained)


def run_stage(
    stage: Stage,
    model: LlavaForConditionalGeneration,
    tokenizer: PreTrainedTokenizerFast,
    figures: list[Figures],
    out: Path,
    seed: int = 0,
    resume: bool = False,
) -> None:
    """Train `model` in place and leave it in `out`; a run that was cut off goes on from its last checkpoint."""
    freeze_all_but(model, stage.trained)
    if not torch.cuda.is_available():
        # On a CPU the fused kernel takes twice as long in bfloat16 as plain matrix products do (torch 2.13, 256 to 600 tokens).
        model.set_attn_implementation("eager")
    arguments = TrainingArguments(
        output_dir=str(out), max_steps=stage.steps, per_device_train_batch_size=stage.batch_size, learning_rate=stage.lr,
        lr_scheduler_type="cosine_with_min_lr", lr_scheduler_kwargs={"min_lr_rate": 0.05}, warmup_steps=stage.warmup_steps, max_grad_norm=1.0, bf16=True,
        use_cpu=not torch.cuda.is_available(), logging_steps=25, save_steps=500, save_total_limit=1, seed=seed,
        remove_unused_columns=False, dataloader_num_workers=1, dataloader_prefetch_factor=4, report_to="none", disable_tqdm=True,
    )
    trainer = AnswerTrainer(
        stage,
        model=model,
        args=arguments,
        train_dataset=Conversations(figures, tokenizer, stage.batch_size, seed, stage.with_pixels),
        data_collator=collate(tokenizer.pad_token_id),
    )
    trainer.train(resume_from_checkpoint=resume or None)
    model.save_pretrained(out)
    tokenizer.save_pretrained(out)
