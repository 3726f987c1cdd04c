"""The commands of README and documentation run. Trainings are short; what needs real radiographs is parsed only."""

from __future__ import annotations

import re
import shlex
import shutil
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from pneumobench.cli.main import COMMANDS, main
from pneumobench.cli.options import arguments_of, command_parser, parsed
from pneumobench.cli.run import asked_suite
from pneumobench.datasets.cards import card_names, card_path, read_card
from pneumobench.phantoms.dataset import make_phantoms
from pneumobench.records.reader_study import read_key
from pneumobench.suite.reader import load_suite
from pneumobench.suite.shipped import suite_names, suite_path
from pneumobench.suite.variants import AXES, variants_of
from tests.datasets.published_sets import write_nih
from tests.documentation.pages import PAGES, README, bash_blocks, titled_files
from tests.end_to_end.commands import REPOSITORY
from tests.records.simulated_reader import answers_of, as_csv

# parsed only: tests/datasets/test_download.py runs the first against a local server, tests/attributions the second,
# tests/serving the third, tests/prediction/dicom the fourth
PARSED_ONLY = {"download", "conformance", "serve", "receive"}
SHORTER = [
    "--training.epochs", "1", "--data.phantoms.patients", "24", "--data.phantoms.official_test_patients", "4",
    "--data.image_side_px", "32", "--folds.tune_fraction", "0.3", "--explanation.checked_images_per_fold", "2",
]  # fmt: skip
TWO_FOLDS, TWO_TRIALS = ["--folds.count", "2"], ["--search.trials", "2"]


TRAINS = {"run", "tune", "explain", "gallery", "evaluate", "papers", "cost"}


def commands_of(*pages: Path) -> list[str]:
    """Return every `pneumobench ...` command of shell blocks, each once, without `uv run` and the extra it names."""
    found = [re.findall(r"uv run (?:--extra \w+ )?(pneumobench\b.*)", bash_blocks(page)) for page in pages]
    return list(dict.fromkeys(command for commands in found for command in commands))


def documented_commands() -> list[str]:
    """Return the commands of README and documentation."""
    return commands_of(README, *PAGES)


def marked_commands() -> list[Any]:
    """Return them with those marked as long that take long and stand in the documentation alone."""
    short = set(commands_of(README))
    return [
        command
        if command in short or "DATA" in command or not takes_long(command)
        else pytest.param(command, marks=pytest.mark.long)
        for command in documented_commands()
    ]


def takes_long(command: str) -> bool:
    """Return whether a command trains, or exports a network or asks an exported one."""
    return shlex.split(command)[1] in TRAINS or "onnx" in command


def test_every_command_is_documented() -> None:
    shown = {shlex.split(command)[1] for command in documented_commands()}
    choices = next(action.choices for action in command_parser(COMMANDS)._actions if isinstance(action.choices, dict))
    assert shown == set(choices)
    assert "uv run pytest" in README.read_text()


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with what the commands name, to run in without touching the repository."""
    folder = tmp_path_factory.mktemp("checkout")
    for name in ("benchmark", "leaderboard"):
        shutil.copytree(REPOSITORY / name, folder / name)
    for page in PAGES:
        for name, content in titled_files(page).items():
            if not (folder / name).exists():
                (folder / name).write_text(content)
    return folder


@pytest.fixture(scope="module")
def own_data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a table of somebody's own images; `archive.txt` beside it is the table of the layout in own-data.md."""
    folder = tmp_path_factory.mktemp("own")
    table = make_phantoms(folder, patients=24, official_test_patients=4, images_per_patient=(1, 2), side_px=64, seed=7)
    listed = pd.read_csv(table)
    archive = listed.assign(file=listed["image"], child=listed["patient"], finding=listed["label"].str.lower())
    archive[["file", "child", "finding"]].to_csv(folder / "archive.txt", sep=";", index=False)
    return table


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of an unpacked archive of NIH ChestX-ray14, with few images, a level above the set itself."""
    folder = tmp_path_factory.mktemp("archive")
    findings = ["Pneumonia", "Effusion|Pneumonia", "No Finding", "No Finding", "Mass", "No Finding"]
    write_nih(folder / "nih", findings * 6)
    return folder


@pytest.mark.parametrize("command", marked_commands())
def test_a_documented_command_runs(
    command: str,
    checkout: Path,
    own_data: Path,
    published: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(checkout)
    names = {"TABLE": str(own_data), "FOLDER": str(own_data.parent), "NIH": str(published)}
    words = [names.get(word, word) for word in shlex.split(command)[1:]]
    if words[0] in PARSED_ONLY or {"PLACE", "--layout"} & set(words):
        options = command_parser(COMMANDS).parse_args(words)
        if words[0] == "download":
            assert read_card(card_path(options.name)).kaggle, "a data set that can be downloaded"
        return
    if "DATA" in words:
        if words[0] == "run":  # the overrides are right; training needs the radiographs
            rest = words[words.index("DATA") + 1 :]
            assert load_suite(suite_path(words[1]), rest).data.source == "kermany"
        else:
            assert main(words) == 3
            assert "DATA: no such data folder" in capsys.readouterr().err
        return
    if "IMAGE" in words:  # any image will do: one of the phantoms that the run before has drawn
        words[words.index("IMAGE")] = str(next(Path("runs/.cache").rglob("images/*.png")))
    if "ANSWERS.csv" in words:  # of somebody who is right throughout
        study = read_key(Path(words[1]))
        Path("ANSWERS.csv").write_text(as_csv(answers_of(study, 1, lambda image, _: bool(image.label))))
    if words[1:2] == ["leaderboard/kermany-cpu"]:  # test_published.py and test_audits.py recompute it
        assert Path(words[1]).is_dir()
        return
    if words[0] == "run":
        suite = load_suite(suite_path(words[1] if words[1:] and not words[1].startswith("-") else "quickstart"))
        if "--training.devices" in words:  # tests/training/test_devices.py trains on two devices
            assert load_suite(suite_path(words[1]), words[4:]).training.devices == 2
            return
        if {"--regions", "--seeds", "--subsets", "--vary"} & set(words):  # test_options.py runs each of them
            values = arguments_of(*parsed(command_parser(COMMANDS), words))
            asked = asked_suite(values["suite"], values["overrides"], name=values["name"], plugin=[])
            assert len(variants_of(asked, **{axis: values[axis] for axis in AXES}).suites) > 1
            return
        if "--protocols" in words:
            words += ["--architectures", "test_resnet", "--training.epochs", "1", "--explanation.images_per_fold", "0"]
            assert main(words) == 0
            return
        if "--architectures" not in words:
            count = 2 if suite.name == "quickstart" else 1  # a comparison once is enough
            words += ["--architectures", ",".join(suite.architectures.names[-count:])]
        words = [word.replace("resnet18,", "test_resnet,") for word in words]  # small, and a ResNet too
        words += SHORTER + (TWO_FOLDS if suite.folds.count > 1 else [])
    if words[0] == "cost":
        rounds = [] if "--rounds" in words else ["--rounds", "2"]
        words += ["--architectures", load_suite(suite_path("quickstart")).architectures.names[-1], *rounds]
    if "--images" in words:
        words[words.index("--images") + 1] = "2"
    if words[0] == "tune":
        words += SHORTER + TWO_TRIALS
    assert main(words) == 0


def test_the_shipped_suites_are_listed() -> None:
    text = (REPOSITORY / "docs/getting-started.md").read_text()
    assert all(f"| `{name}` |" in text for name in suite_names())


def test_the_layouts_and_cards_are_listed() -> None:
    text = (REPOSITORY / "docs/how-to/own-data.md").read_text()
    for card in (read_card(card_path(name)) for name in card_names()):
        assert f"| `{card.source}` |" in text
        assert f"`{card.name}`" in text


def test_the_plugin_of_the_documentation_is_the_one_in_the_repository() -> None:
    text = (REPOSITORY / "docs/how-to/own-network.md").read_text()
    plugin = (REPOSITORY / "benchmark/plugins/film_net.py").read_text()
    for line in (
        "from pneumobench import Architecture, HeatMapLayer, register_architecture",
        "def film_net(*, in_channels: int, width: int = 24)",
    ):
        assert line in text
        assert line in plugin
