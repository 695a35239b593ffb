"""One training run: recipe and files in, a model folder out.

1. The model is loaded or joined (models.py), and what learns is chosen (adapters.py).
2. The data become a stream of batches, the same for any number of ranks (samples.py).
3. The Trainer runs; a checkpoint holds all that a killed run needs to go on (trainer.py, checkpoints.py).
4. The result is written: `OUT/model`, a LLaVA in llava-hf's layout, or `OUT/adapter`, a LoRA folder.

`OUT/recipe.yaml` is the recipe with every value written out; `OUT/run.json` says of which files, and in how many steps.
Under torchrun every rank calls `run`.
"""

from __future__ import annotations

import importlib.util
import json
import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch
import yaml
from accelerate.state import PartialState
from transformers import PrinterCallback, TrainerCallback, TrainingArguments, set_seed
from transformers.integrations.deepspeed import set_hf_deepspeed_config, unset_hf_deepspeed_config

from training import counts, models
from training import recipe as recipes
from training.adapters import save_adapter, tuned
from training.checkpoints import POSITION_FILE, clear, complete
from training.collator import BatchFacts, PackingCollator, PaddingCollator
from training.effective import this_device, trainer_arguments
from training.encoding import Encoder
from training.errors import TrainingError
from training.images import Images
from training.models import Llava
from training.recipe import Recipe
from training.refusals import MissingPackageError, ModelError, RecipeError, ResumeError
from training.samples import SampleStream, StreamSettings
from training.sources import ListJson, Shards, Source
from training.templates import TEMPLATES, ChatTemplate, ImageFormat, Placement, Template
from training.throughput import Meter, peak_flops, shape_of
from training.trainer import LlavaTrainer
from weights.folder import write_file
from weights.tokens import END, IMAGE, START

RECIPE_FILE = "recipe.yaml"
RUN_FILE = "run.json"
MODEL, ADAPTER = "model", "adapter"

GROUPED_WINDOW, UNGROUPED_WINDOW = 16, 2
"""Steps among whose samples lengths are matched; the least that the stream takes leaves the order nearly random."""

_BLOCK = re.compile(rf"\{{\{{ '([^']*{IMAGE}[^']*)' \}}\}}")
"""How the chat templates of weights/templates.py write an image."""


@dataclass(frozen=True, slots=True)
class Files:
    """Where a run reads and writes. Either `model`, or `language_model` and `vision_tower`.

    `data` is a folder of shards (`llava-graph data build`), or a LLaVA list-JSON with its `images` (folders, zips).
    """

    data: Path
    out: Path
    images: tuple[Path, ...] = ()
    model: Path | None = None
    language_model: Path | None = None
    vision_tower: Path | None = None

    def __post_init__(self) -> None:
        parts = self.language_model is not None and self.vision_tower is not None
        neither = self.language_model is None and self.vision_tower is None
        if not ((self.model is None and parts) or (self.model is not None and neither)):
            raise ModelError("give either --model, or --language-model and --vision-tower")


@dataclass(frozen=True, slots=True)
class Outcome:
    """`folder` is the result. `samples` says what happened to the samples that this rank read and trained on
    (counts.py), `facts` what its batches held.
    """

    folder: Path
    steps: int
    final_loss: float
    samples: Mapping[str, int]
    facts: BatchFacts
    ranks: int


Say = Callable[[str], None]


def run(
    recipe: Recipe,
    files: Files,
    *,
    resume: bool = False,
    callbacks: Sequence[TrainerCallback] = (),
    say: Say = lambda _line: None,
) -> Outcome:
    """Trains, and writes the result. Raises TrainingError or DataError.

    An output folder that holds a run is refused unless `resume`, which goes on from its last complete checkpoint.
    """
    _check(recipe)
    checkpoint = _beginning(recipe, files, resume)
    arguments = TrainingArguments(**trainer_arguments(recipe, files.out, this_device(), max_steps=1))
    _check_world(recipe, arguments.world_size, say)
    set_seed(recipe.seed)
    llava = _model(recipe, files, arguments)
    images = Images.of(llava.processor, recipe.data.image_aspect_ratio)
    llava = replace(llava, processor=images.processor)
    encoder = Encoder(llava.tokenizer, _template(recipe, llava), recipe.data.max_tokens, _image_format(recipe, llava))
    source = _source(recipe, files, say)
    settings = StreamSettings(
        rows_per_rank=recipe.batch.samples_per_device,
        world=arguments.world_size,
        rank=arguments.process_index,
        seed=recipe.seed,
        packing=recipe.data.packing,
        window=GROUPED_WINDOW if recipe.data.packing or recipe.data.group_by_modality_length else UNGROUPED_WINDOW,
    )
    if recipe.batch.max_steps is None:
        settings = replace(settings, epochs=recipe.batch.epochs)
        arguments.max_steps = _steps_of_epochs(recipe, files, SampleStream(source, encoder, images, settings), say)
    else:
        arguments.max_steps = recipe.batch.max_steps
    stream = SampleStream(source, encoder, images, settings)
    if checkpoint is not None:
        stream.load_state_dict(json.loads((checkpoint / POSITION_FILE).read_text(encoding="utf-8")))
        say(f"going on from {checkpoint}")
    PartialState().wait_for_everyone()  # all have looked into the folder before it is written to
    if arguments.should_save:
        clear(files.out)
        _write_settings(recipe, files, arguments.max_steps)
    trained = tuned(llava, recipe)
    trainer = LlavaTrainer(
        model=trained,
        args=arguments,
        train_dataset=stream,
        data_collator=_collator(recipe, llava),
        meter=Meter(shape_of(trained), peak=peak_flops(), ranks=arguments.world_size),
        projector_learning_rate=recipe.optimizer.projector_learning_rate,
        any_sizes=recipe.data.image_aspect_ratio == "keep",
        callbacks=list(callbacks),
    )
    trainer.remove_callback(PrinterCallback)  # prints each line of the log; what is shown is the caller's
    trainer.train(resume_from_checkpoint=None if checkpoint is None else str(checkpoint))
    folder = _write(recipe, files, llava, trainer)
    # A process group that is left to the interpreter's end may abort a rank there.
    trainer.end()  # type: ignore[no-untyped-call]
    losses = [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]
    return Outcome(
        folder,
        trainer.state.global_step,
        losses[-1] if losses else math.nan,
        trainer.position.get("counts", {}),
        trainer.facts,
        arguments.world_size,
    )


def _check(recipe: Recipe) -> None:
    if recipe.data.template != "chat" and recipe.data.template not in TEMPLATES:
        raise RecipeError(f"data.template: {recipe.data.template!r} is none of chat, {', '.join(TEMPLATES)}")
    packages: dict[str, str] = {reporter: reporter for reporter in recipe.log.report_to}
    if recipe.compute.strategy in ("zero2", "zero3"):
        packages[f"compute.strategy {recipe.compute.strategy}"] = "deepspeed"
    for what, package in packages.items():
        if importlib.util.find_spec(package) is None:
            raise MissingPackageError(f"{what} needs {package}, which is not installed: pip install {package}")


def _beginning(recipe: Recipe, files: Files, resume: bool) -> Path | None:
    """The checkpoint to go on from."""
    if not resume:
        if (files.out / RUN_FILE).exists() or complete(files.out):
            raise ResumeError(f"{files.out}: holds a run already; --resume goes on with it, another --out begins anew")
        return None
    checkpoints = complete(files.out)
    if not checkpoints:
        raise ResumeError(f"{files.out}: holds no complete checkpoint to resume from")
    before = recipes.load(files.out / RECIPE_FILE)
    # How it is computed and reported may change; what is computed may not.
    if replace(before, summary="", log=recipe.log, compute=recipe.compute) != replace(recipe, summary=""):
        raise ResumeError(f"{files.out}: was begun with another recipe; compare {files.out / RECIPE_FILE}")
    return checkpoints[-1]


def _check_world(recipe: Recipe, world: int, say: Say) -> None:
    batch = recipe.batch
    if recipe.compute.strategy == "fsdp" and world == 1:
        raise RecipeError(
            "compute.strategy is fsdp, which needs several processes: start the command under torchrun, or use "
            "--set compute.strategy=none"
        )
    if recipe.data.image_aspect_ratio == "keep" and world > 1:
        raise RecipeError("data.image_aspect_ratio is keep, which is for one process: use square, pad or squash")
    if world != batch.devices:
        here = batch.samples_per_device * batch.accumulation_steps * world
        say(f"the recipe is for {batch.devices} devices, {batch.samples} samples a step; here {world}, {here} a step")


def _model(recipe: Recipe, files: Files, arguments: TrainingArguments) -> Llava:
    """The whole model, in every process. Under ZeRO-3 transformers would load shards of it, whose embedding cannot grow
    and whose projector cannot be looked at; DeepSpeed shards it when the Trainer hands it over."""
    unset_hf_deepspeed_config()  # type: ignore[no-untyped-call]
    try:
        return _loaded(recipe, files)
    finally:
        if arguments.deepspeed is not None:
            set_hf_deepspeed_config(arguments.hf_deepspeed_config)  # type: ignore[no-untyped-call]


def _loaded(recipe: Recipe, files: Files) -> Llava:
    if files.model is not None:
        return models.load(files.model, recipe)
    assert files.language_model is not None
    assert files.vision_tower is not None
    return models.join(files.language_model, files.vision_tower, recipe)


def _template(recipe: Recipe, llava: Llava) -> Template:
    name = recipe.data.template
    return ChatTemplate(llava.tokenizer) if name == "chat" else TEMPLATES[name]


def _image_format(recipe: Recipe, llava: Llava) -> ImageFormat:
    """An image is written as the model's own chat template writes it, so that training sees what serving sends."""
    placement: Placement = recipe.data.image_placement
    found = _BLOCK.search(str(llava.processor.chat_template or ""))
    if found is not None:
        block = found[1].replace("\\n", "\n")
        # In place, the line break is the data's own.
        return ImageFormat(block.rstrip() if placement == "in_place" else block, placement)
    borders = {START, END} <= llava.tokenizer.get_vocab().keys()
    return ImageFormat(f"{START}{IMAGE}{END}" if borders else IMAGE, placement)


def _source(recipe: Recipe, files: Files, say: Say) -> Source:
    if files.data.is_dir():
        return Shards(files.data, recipe.seed)
    source = ListJson(files.data, files.images, recipe.seed)
    for line in source.tally.lines():
        say(line)
    return source


def _steps_of_epochs(recipe: Recipe, files: Files, stream: SampleStream, say: Say) -> int:
    """Optimizer steps of the recipe's epochs. What does not make a whole step at the end is left out."""
    known = files.out / RUN_FILE
    if known.is_file():
        return int(json.loads(known.read_text(encoding="utf-8"))["steps"])
    say("reading the texts once, to count the steps (batch.max_steps would save that)")
    batches, wanted = stream.count_batches(), recipe.batch.accumulation_steps
    if batches < wanted:
        raise RecipeError(f"the data make {batches} batches, and one step takes {wanted} (batch.accumulation_steps)")
    return batches // wanted


def _collator(recipe: Recipe, llava: Llava) -> Any:
    pad = llava.tokenizer.pad_token_id
    if pad is None:
        pad = llava.tokenizer.eos_token_id
    if recipe.data.packing:
        return PackingCollator(pad, flatten=recipe.compute.attention == "flash_attention_2")
    return PaddingCollator(pad)


def _write_settings(recipe: Recipe, files: Files, steps: int) -> None:
    files.out.mkdir(parents=True, exist_ok=True)
    text = yaml.safe_dump(recipes.to_plain(recipe), sort_keys=False, allow_unicode=True)
    write_file(files.out / RECIPE_FILE, text.encode())
    paths = {name: value for name, value in asdict(files).items() if value}
    text = json.dumps({"steps": steps, "torch": torch.__version__, **paths}, default=str, indent=1)
    write_file(files.out / RUN_FILE, f"{text}\n".encode())


def _write(recipe: Recipe, files: Files, llava: Llava, trainer: LlavaTrainer) -> Path:
    state = trainer.whole_state()
    dtype = models.result_dtype(recipe)
    folder = files.out / (MODEL if recipe.tune.lora is None else ADAPTER)
    if trainer.args.should_save:
        if recipe.tune.lora is None:
            models.save(llava, state, folder, dtype)
        else:
            save_adapter(llava, trainer.accelerator.unwrap_model(trainer.model), state, folder, dtype)
    trainer.accelerator.wait_for_everyone()
    return folder


def sample_lines(samples: Mapping[str, int]) -> list[str]:
    """What happened to the samples, one line a kind."""
    return counts.lines(samples)


__all__ = ["Files", "Outcome", "TrainingError", "run", "sample_lines"]
