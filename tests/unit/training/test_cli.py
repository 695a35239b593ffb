"""`llava-graph train` says what is wrong before it works for hours."""

from __future__ import annotations

from pathlib import Path

import click
import pytest
import yaml
from click.testing import CliRunner, Result

from training import recipe as recipes
from training.cli import MODELS, main
from training.tiny.cli import main as tiny
from training.tiny.stages import STAGES


def train(*arguments: str | Path) -> Result:
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """An empty folder."""
    (tmp_path / "empty").mkdir()
    return tmp_path / "empty"


@pytest.mark.parametrize("stages", ["text,visoin", "", "Text", "text,"])
def test_a_stage_that_does_not_exist_is_named_with_those_that_do(folder: Path, stages: str) -> None:
    result = train("tiny", "stages", "--figures", folder, "--out", folder, "--stages", stages)
    wrong = next(name for name in stages.split(",") if name not in STAGES)
    assert result.exit_code == 2
    assert f"no such stage: {wrong!r} (there are {', '.join(STAGES)})" in result.output
    assert "--stages" in result.output


def test_a_folder_without_finished_figures_is_named(folder: Path) -> None:
    result = train("tiny", "stages", "--figures", folder, "--out", folder)
    assert result.exit_code == 2
    assert "about.json is missing" in " ".join(result.output.split())


def test_resuming_without_a_checkpoint_is_refused(folder: Path) -> None:
    result = train("tiny", "stages", "--figures", folder, "--out", folder, "--stages", "vision", "--resume")
    assert result.exit_code == 2
    assert "there is no checkpoint in" in result.output


@pytest.mark.parametrize(
    "arguments",
    [
        ("stages", "--steps", "0"),
        ("figures", "--count", "0"),
        ("figures", "--processes", "0"),
        ("figures", "--start", "-1"),
    ],
)
def test_numbers_that_make_no_sense_are_refused(folder: Path, arguments: tuple[str, ...]) -> None:
    figures = ("--figures", folder) if arguments[0] == "stages" else ()
    result = train("tiny", *arguments, "--out", folder, *figures)
    assert result.exit_code == 2
    assert arguments[1] in result.output


def test_every_option_is_explained() -> None:
    commands = {**main.commands, **tiny.commands}
    context = click.Context(main)
    commands["graph"] = main.get_command(context, "graph")  # type: ignore[assignment]
    for name, command in commands.items():
        for parameter in command.params:
            assert parameter.param_type_name == "argument" or getattr(parameter, "help", None), (name, parameter.name)


def test_list_names_every_recipe_and_the_shipped_models_with_a_line_each() -> None:
    result = train("list")
    assert result.exit_code == 0
    listed = [line.split()[0] for line in result.output.splitlines()]
    assert listed == [*recipes.names(), *MODELS]
    assert recipes.load("graph").summary in result.output


def test_show_prints_the_recipe_and_the_trainer_s_arguments_with_what_was_set() -> None:
    result = train("show", "v1.5-lora", "--set", "optimizer.learning_rate=1e-5", "--set", "compute.offload=true")
    shown = yaml.safe_load(result.output)
    assert shown["recipe"]["tune"]["lora"]["rank"] == 128
    assert shown["recipe"]["optimizer"]["learning_rate"] == shown["trainer"]["learning_rate"] == 1e-5
    assert shown["trainer"]["deepspeed"]["zero_optimization"]["offload_param"]["device"] == "cpu"
    assert shown["trainer"]["tf32"] is True


def test_unknown_recipe_is_refused_with_the_nearest(folder: Path) -> None:
    result = train("v1.5-lorra", "--data", folder, "--out", folder)
    assert result.exit_code == 2
    assert "did you mean v1.5-lora?" in result.output


def test_wrong_key_is_refused_in_one_line(folder: Path) -> None:
    result = train("graph", "--data", folder, "--model", folder, "--out", folder, "--set", "batch.divices=2")
    assert result.exit_code == 1
    assert result.output.strip() == "Error: graph: no such key: batch.divices (did you mean devices?)"


@pytest.mark.parametrize("given", [(), ("--model", "--vision-tower"), ("--language-model",)])
def test_model_is_given_in_one_of_two_ways(folder: Path, tmp_path: Path, given: tuple[str, ...]) -> None:
    options = [part for option in given for part in (option, str(folder))]
    result = train("graph", "--data", folder, "--out", tmp_path / "out", *options)
    assert result.exit_code == 1
    assert "give either --model, or --language-model and --vision-tower" in result.output


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("data.template=vicunna", "data.template: 'vicunna' is none of chat, v0, v1"),
        ("log.report_to=[wandb]", "wandb needs wandb, which is not installed: pip install wandb"),
        ("compute.strategy=zero3", "needs deepspeed, which is not installed: pip install deepspeed"),
        ("compute.attention=flash_attention_2", "flash-attn is not installed"),
        ("tune.quantised_bits=4", "needs bitsandbytes: pip install bitsandbytes"),
        ("compute.strategy=fsdp", "start the command under torchrun"),
    ],
)
def test_what_is_missing_is_named_before_anything_is_loaded(
    override: str, said: str, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import importlib.util

    real = importlib.util.find_spec
    optional = ("wandb", "deepspeed", "flash_attn", "bitsandbytes")
    # As where the optional packages are not installed, whatever this machine has.
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name, *more: None if name in optional else real(name, *more)
    )
    (folder / "config.json").write_text('{"model_type": "llava", "text_config": {}}')
    result = train("graph", "--data", folder, "--model", folder, "--out", tmp_path / "out", "--set", override)
    assert result.exit_code == 1
    assert said in " ".join(result.output.split())
    assert not (tmp_path / "out").exists()


def test_folder_that_is_no_llava_is_refused_with_what_to_do(folder: Path, tmp_path: Path) -> None:
    (folder / "config.json").write_text('{"model_type": "llama", "vocab_size": 3}')
    result = train("graph", "--data", folder, "--model", folder, "--out", tmp_path / "out")
    assert result.exit_code == 1
    assert "is no LLaVA in llava-hf's layout" in result.output
    assert "weights convert" in " ".join(result.output.split())


def test_folder_that_holds_a_run_is_refused_without_resume(folder: Path) -> None:
    (folder / "run.json").write_text("{}")
    result = train("graph", "--data", folder, "--model", folder, "--out", folder)
    assert result.exit_code == 1
    assert "holds a run already; --resume goes on with it" in " ".join(result.output.split())


def test_resume_without_a_complete_checkpoint_is_refused(folder: Path) -> None:
    (folder / "checkpoint-7").mkdir()
    (folder / "checkpoint-7" / "trainer_state.json").write_text("{}")  # and no position
    result = train("graph", "--data", folder, "--model", folder, "--out", folder, "--resume")
    assert result.exit_code == 1
    assert "holds no complete checkpoint" in " ".join(result.output.split())
