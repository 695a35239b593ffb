"""Trains llava-graph-small: LoRA on the language model's linear layers, the projector in full, the tower as it is.

    learner, tokenizer = new_learner(base, tower)
    run(learner, tokenizer, sources, out, Plan())

Hu et al. 2021, arXiv:2106.09685, for LoRA; the Trainer's checkpoints hold what learns, not the base. What an example
is, is not known here.
"""

from __future__ import annotations

import json
import math
import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch
from peft import LoraConfig, PeftModel, get_peft_model
from peft.helpers import disable_input_dtype_casting
from safetensors.torch import load_file
from torch import nn
from torch.nn.functional import cross_entropy
from transformers import (
    LlamaConfig,
    LlavaForConditionalGeneration,
    PreTrainedTokenizerFast,
    Trainer,
    TrainerCallback,
    TrainerControl,
    TrainerState,
    TrainingArguments,
)

from training.devices import has_bfloat16
from training.encoding import IGNORED
from training.small.attention import PLAIN
from training.small.examples import Conversations, Sources, collate
from training.small.model import build
from training.tiny.learner import padded_to_multiple
from training.tiny.model import normalised

ADAPTER_CONFIG_FILE = "adapter_config.json"
ADAPTER_FILE = "adapter_model.safetensors"
PLAN_FILE = "plan.json"
"""Beside a run's checkpoints: the plan that it was begun with, by which its weights are loaded."""
VISION_FILE = "vision.safetensors"
LINEAR_LAYERS = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")
_ANSWER_BLOCK = 128


@dataclass(frozen=True, slots=True)
class Plan:
    """The hyperparameters. `budget_s` ends a run by the clock, its learning rate falling with the time that is used."""

    steps: int = 1500
    budget_s: float = math.inf
    batch_size: int = 4
    lr: float = 8e-4
    warmup_steps: int = 6
    rank: int = 32
    alpha: int = 32
    first_layer: int = 8
    """Layers below are left as they are: what they would have to learn is little, and examples without an image are
    then not propagated back through them."""
    image_share: float = 0.35
    save_steps: int = 50
    log_steps: int = 1
    workers: int = 1
    """Processes that make examples, each a stream of its own."""


PLANS = {
    "cpu": Plan(),
    "gpu": Plan(
        steps=3000,
        batch_size=32,
        lr=1.5e-3,
        warmup_steps=60,
        rank=48,
        alpha=48,
        first_layer=0,
        image_share=0.5,
        save_steps=500,
        log_steps=20,
        workers=14,
    ),
}
"""What a machine affords: two cores a few thousand conversations, a GPU of 80 GB with 16 cores that make them a hundred
thousand."""


class Learner(nn.Module):
    """`llava`, whose language model is wrapped by peft. Its forward pass gives the loss."""

    _keys_to_ignore_on_save = None  # the Trainer asks when it goes on from a checkpoint, which holds not everything

    def __init__(self, llava: LlavaForConditionalGeneration, plan: Plan) -> None:
        super().__init__()
        self.llava = llava
        for parameter in llava.parameters():
            parameter.requires_grad = False
        text = llava.config.text_config
        assert isinstance(text, LlamaConfig)
        self.plan = plan
        self.layers = tuple(range(plan.first_layer, text.num_hidden_layers))
        chosen = rf"layers\.({'|'.join(map(str, self.layers))})\.\w+\.({'|'.join(LINEAR_LAYERS)})"
        lora = LoraConfig(
            r=plan.rank,
            lora_alpha=plan.alpha,
            lora_dropout=0.0,
            target_modules=chosen,
            bias="none",
        )
        self.language: PeftModel = get_peft_model(llava.model.language_model, lora)  # changes the layers in place
        for parameter in llava.model.multi_modal_projector.parameters():
            parameter.requires_grad = True
        for parameter in self.parameters():
            if parameter.requires_grad:
                parameter.data = parameter.data.float()
        self.register_state_dict_post_hook(_without_frozen)  # type: ignore[no-untyped-call]

    def forward(
        self, input_ids: torch.Tensor, labels: torch.Tensor, pixels: torch.Tensor | None = None
    ) -> dict[str, torch.Tensor]:
        """The loss over the answers' tokens. `input_ids`, `labels` [B, T]; `pixels` uint8 [images, side, side, 3], one
        for each row that has image tokens."""
        model = self.llava.model
        with torch.no_grad():
            embedded = model.get_input_embeddings()(input_ids)  # [B, T, width]
        if pixels is not None:
            with torch.no_grad():
                # The tower's last layer without its class token: `vision_feature_layer` -1, strategy "default".
                seen = model.vision_tower(normalised(pixels)).last_hidden_state[:, 1:]  # [images, patches, width]
            features = model.multi_modal_projector(seen).to(embedded.dtype)
            image_tokens = (input_ids == self.llava.config.image_token_id)[..., None].expand_as(embedded)
            embedded = embedded.masked_scatter(image_tokens, features)
        decoded = model.language_model(inputs_embeds=embedded, use_cache=False).last_hidden_state
        targets = labels[:, 1:].flatten()
        # Logits of 49,153 tokens are computed for the answers' places alone.
        answered = padded_to_multiple(torch.nonzero(targets != IGNORED).flatten(), _ANSWER_BLOCK)
        logits = self.llava.lm_head(decoded[:, :-1].flatten(0, 1)[answered.clamp(min=0)])  # [places, vocabulary]
        wanted = torch.where(answered < 0, IGNORED, targets[answered.clamp(min=0)])
        return {"loss": cross_entropy(logits.float(), wanted, ignore_index=IGNORED)}


def _without_frozen(module: nn.Module, state: dict[str, Any], prefix: str, _metadata: object) -> None:
    """A checkpoint holds what learns, under one name each: `language` and `llava` share their layers."""
    learned = {name for name, parameter in module.named_parameters() if parameter.requires_grad}
    for name in [name for name in state if name.removeprefix(prefix) not in learned]:
        del state[name]


def new_learner(base: Path, tower: Path, plan: Plan, seed: int = 0) -> tuple[Learner, PreTrainedTokenizerFast]:
    """The model before training."""
    model, tokenizer = build(base, tower, seed)
    return Learner(model, plan), tokenizer


def load_learner(
    base: Path, tower: Path, trained: Path, plan: Plan | None = None
) -> tuple[Learner, PreTrainedTokenizerFast]:
    """The model with what `run` left in `trained`, a run's folder or one of its checkpoints, or with the delta that
    `export` wrote there. Rank and layers are those of `trained`, whatever `plan` says.

    Raises RuntimeError when that is of another model.
    """
    learner, tokenizer = new_learner(base, tower, shaped_as(trained, plan or Plan()))
    learned = _of_delta(trained) if (trained / ADAPTER_FILE).exists() else load_file(trained / "model.safetensors")
    found = learner.load_state_dict(learned, strict=False)
    wanted = {name for name, parameter in learner.named_parameters() if parameter.requires_grad}
    if found.unexpected_keys or wanted - learned.keys():
        raise RuntimeError(f"{trained} is not of this model")
    return learner, tokenizer


def shaped_as(trained: Path, plan: Plan) -> Plan:
    """The plan with the rank and the layers of a delta, a run or a checkpoint; as it is where these are not written."""
    if (trained / ADAPTER_CONFIG_FILE).exists():
        lora = json.loads((trained / ADAPTER_CONFIG_FILE).read_text(encoding="utf-8"))
        return replace(plan, rank=lora["r"], alpha=lora["lora_alpha"], first_layer=min(lora["layers_to_transform"]))
    for file in (trained / PLAN_FILE, trained.parent / PLAN_FILE):
        if file.exists():
            saved = json.loads(file.read_text(encoding="utf-8"))
            return replace(plan, rank=saved["rank"], alpha=saved["alpha"], first_layer=saved["first_layer"])
    return plan


def _of_delta(folder: Path) -> dict[str, torch.Tensor]:
    """What learns, by the learner's names, from a delta: LoRA and projector (its tower is that of `tower`)."""
    adapter = load_file(folder / ADAPTER_FILE)
    factors = {}
    for name, tensor in adapter.items():
        # The delta names the modules of the causal language model, and leaves out the adapter's name.
        inner = name.removeprefix("base_model.model.model.").replace(".weight", ".default.weight")
        factors[f"llava.model.language_model.{inner}"] = tensor.float()
    projector = {
        f"llava.model.{name}": tensor.float()
        for name, tensor in load_file(folder / VISION_FILE).items()
        if name.startswith("multi_modal_projector.")
    }
    return factors | projector


class _Clock(TrainerCallback):
    """Ends a run when its time is used up."""

    def __init__(self, budget_s: float) -> None:
        self.budget_s = budget_s
        self.begun_s = time.monotonic()

    @property
    def used(self) -> float:
        """The share of the time that is used, 0 to 1."""
        return min((time.monotonic() - self.begun_s) / self.budget_s, 1.0) if math.isfinite(self.budget_s) else 0.0

    def on_step_end(
        self,
        args: TrainingArguments,  # noqa: ARG002  # the Trainer's signature
        state: TrainerState,  # noqa: ARG002
        control: TrainerControl,
        **kwargs: Any,  # noqa: ARG002
    ) -> TrainerControl:
        if self.used >= 1.0:
            control.should_training_stop = control.should_save = True
        return control


def run(
    learner: Learner, tokenizer: PreTrainedTokenizerFast, sources: Sources, out: Path, plan: Plan, *, seed: int = 0
) -> None:
    """Train in place, leaving checkpoints in `out`; goes on from the last checkpoint that is there."""
    if has_bfloat16() and not torch.cuda.is_available():
        learner.llava.model.language_model.set_attn_implementation(PLAIN)
    out.mkdir(parents=True, exist_ok=True)
    shape = {key: getattr(learner.plan, key) for key in ("rank", "alpha", "first_layer")}
    written = json.dumps(asdict(plan) | shape | {"seed": seed}, indent=1)
    (out / PLAN_FILE).write_text(written + "\n", encoding="utf-8")
    clock = _Clock(plan.budget_s)

    def rate(step: int) -> float:
        done = min(max(step / plan.steps, clock.used), 1.0)
        return min((step + 1) / plan.warmup_steps, 1.0) * (0.03 + 0.97 * 0.5 * (1 + math.cos(math.pi * done)))

    arguments = TrainingArguments(
        output_dir=str(out),
        max_steps=plan.steps,
        per_device_train_batch_size=plan.batch_size,
        learning_rate=plan.lr,
        max_grad_norm=1.0,
        bf16=has_bfloat16(),
        use_cpu=not torch.cuda.is_available(),
        logging_steps=plan.log_steps,
        save_steps=plan.save_steps,
        save_total_limit=2,
        seed=seed,
        remove_unused_columns=False,
        dataloader_num_workers=plan.workers,
        dataloader_prefetch_factor=4,
        report_to="none",
        disable_tqdm=True,
    )
    learned = [parameter for parameter in learner.parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(learned, lr=plan.lr, weight_decay=0.0)
    resumed = any(out.glob("checkpoint-*"))
    step = max((int(path.name.rpartition("-")[2]) for path in out.glob("checkpoint-*")), default=0)
    trainer = Trainer(
        model=learner,
        args=arguments,
        # A run that goes on sees other figures than before.
        train_dataset=Conversations(sources, tokenizer, plan.batch_size, seed + step, plan.image_share),
        data_collator=collate(tokenizer.pad_token_id),
        callbacks=[clock],
        optimizers=(optimizer, torch.optim.lr_scheduler.LambdaLR(optimizer, rate)),
    )
    # Autocast gives LoRA's products their type; peft's own cast to float32 before it costs a sixth of a step.
    with disable_input_dtype_casting(learner.language):
        trainer.train(resume_from_checkpoint=True if resumed else None)
    trainer.save_model(str(out))
