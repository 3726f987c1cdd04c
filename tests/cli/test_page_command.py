"""The command on a page makes the run again: parsed, it gives the same suite."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any

import pytest

from pneumobench.architectures.registry import ARCHITECTURES
from pneumobench.cli import main as cli
from pneumobench.cli.options import arguments_of, command_parser, parsed
from pneumobench.cli.run import asked_suite
from pneumobench.suite.commands import joined_command, run_command
from pneumobench.suite.spec import Suite
from pneumobench.suite.variants import AXES, variants_of

PLUGIN = """
from pneumobench import Architecture, register_architecture
from torch import nn

@register_architecture("told_again", source="a test")
def told_again(*, in_channels: int) -> Architecture:
    return Architecture(module=nn.Sequential(nn.Flatten(), nn.LazyLinear(1)), in_channels=in_channels)
"""


@pytest.mark.parametrize(
    "line",
    [
        "run",
        "run smoke",
        "run kermany --data /a/place --limit 300",
        "run kermany --data.root /a/place --name other --seed 4 --task three_class",
        "run smoke --architectures test_vit,test_resnet --training.epochs=3 --data.limit_images null",
        "run smoke --architectures.names [test_vit] --training.head '[dense 8, dropout 0.5]' --training.ema_decay .9",
        "run smoke --training.learning_rate 1e-5 --training.head [] --controls.names [] --logging.wandb offline",
        "run smoke --folds 0 --explanation.methods [] --training.loader_workers 1",
        "run smoke --protocols patient,image_random --training.fine_tuning.trained head",
        "run smoke --seeds 3,1 --seed 4",
        "run smoke --subsets 8,all",
        "run smoke --vary 'training.head=[],[dense 8, relu]'",
        "run smoke --plugin folder/told.py --architectures told_again,test_vit",
        "run smoke --architectures.weights some/folder",
        "run smoke --architectures.weights imagenet --wandb off",
        "run folder/mine.yaml --training.epochs 9",
        "run quickstart --folds.protocol holdout --folds.count 1 --folds.test_fraction 0.3",
    ],
)
def test_the_command_on_the_page_makes_the_same_suite(
    line: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "folder").mkdir()
    for place in (tmp_path, tmp_path / "folder"):  # whoever makes it again has the files beside them
        (place / "told.py").write_text(PLUGIN)
        (place / "mine.yaml").write_text("name: mine\ntraining: {epochs: 4, batch_size: 8}\n")

    def asked(words: list[str]) -> tuple[Suite, str, dict[str, Any]]:
        monkeypatch.setattr(ARCHITECTURES, "_items", {})
        values = arguments_of(*parsed(command_parser(cli.COMMANDS), words))
        named = {key: values[key] for key in ("data", "limit", "name", "architectures", "plugin", "wandb")}
        suite = asked_suite(values["suite"], values["overrides"], **named)
        narrowed = {key: values[key] for key in ("folds", *AXES)}
        variants = {axis: values[axis] for axis in AXES if values[axis] is not None}
        compared = variants_of(suite, **variants).words if variants else ()
        return suite, run_command(values["suite"], suite, folds=values["folds"], compared=compared), narrowed

    suite, command, narrowed = asked(shlex.split(line))
    assert str(tmp_path) not in command
    assert "/a/place" not in command
    again, same, narrowed_again = asked(shlex.split(command)[1:])
    assert (same, narrowed_again) == (command, narrowed)
    assert public(again) == public(suite)
    assert ("--data DATA" in command) == (suite.data.source != "phantoms")


def public(suite: Suite) -> dict[str, Any]:
    """Return a suite without places of a machine and without what follows a run."""
    plain = suite.plain()
    del plain["data"]["root"], plain["logging"]
    plain["architectures"]["plugins"] = [Path(file).name for file in suite.architectures.plugins]
    plain["architectures"]["weights"] = Path(suite.architectures.weights).name
    return plain


@pytest.mark.parametrize(
    ("earlier", "now", "both"),
    [
        ("run smoke --architectures a", "run smoke --architectures b,a", "run smoke --architectures a,b"),
        ("run smoke --architectures a", "run smoke", "run smoke"),
        ("run smoke", "run smoke --folds 1", "run smoke"),
        ("run smoke --folds 1 --seed 2", "run smoke --folds 0 --seed 2", "run smoke --folds 1,0 --seed 2"),
        ("", "run smoke --folds 0", "run smoke --folds 0"),
        ("run smoke", "", "run smoke"),
    ],
)
def test_several_starts_of_a_run_are_one_command(earlier: str, now: str, both: str) -> None:
    assert joined_command(earlier, now) == both
