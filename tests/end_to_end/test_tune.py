"""Searches from the command line: killed and gone on with, shared by processes, refused, and their winner."""

from __future__ import annotations

import re
import shutil
import time
from collections.abc import Callable
from pathlib import Path

import optuna
import pandas as pd
import pytest
import yaml

from pneumobench.cli.main import main
from pneumobench.records.locks import is_claimed
from pneumobench.suite.reader import load_suite
from pneumobench.suite.shipped import suite_path
from tests.end_to_end.commands import REPOSITORY, Command, pneumobench, start
from tests.end_to_end.test_run import HELD_PLUGIN

SUITE = """\
name: sought
seed: 4
data: {image_side_px: 32, phantoms: {patients: 24, official_test_patients: 6, side_px: 64, seed: 1}}
folds: {count: 2, tune_fraction: 0.25}
architectures: {names: [held], plugins: [held.py]}
controls: {names: [majority]}
training: {epochs: 5, batch_size: 8, monitor: tune_auc, precision: 32-true, accelerator: cpu}
explanation: {methods: [], overlays_per_fold: 0, images_per_fold: 0, checked_images_per_fold: 0}
search:
  trials: 4
  sampler: tpe
  space:
    training.learning_rate: {low: 1.0e-4, high: 1.0e-1, log: true}
    training.optimizer: [adamw, sgd]
    training.head: [[], [dropout 0.3], [dense 8, relu]]
"""
SMALL = ["--architectures", "test_resnet", "--architectures.plugins", "[]", "--training.epochs", "1"]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the working folder, with a suite and a plugin that trains on only while no file `hold` lies there."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "sought.yaml").write_text(SUITE)
    (tmp_path / "held.py").write_text(HELD_PLUGIN)
    return tmp_path


def wait_until(true: Callable[[], bool], *processes: Command) -> None:
    deadline = time.monotonic() + 200
    while not true():
        assert all(process.poll() is None for process in processes), [one.communicate() for one in processes]
        assert time.monotonic() < deadline
        time.sleep(0.005)


def lines_of_trials(output: str) -> list[int]:
    return [int(number) for number in re.findall(r"^\[ *\d+/\d+\] trial (\d+):", output, flags=re.MULTILINE)]


def test_a_killed_search_goes_on_and_ends_as_if_it_had_not_been_killed(folder: Path) -> None:
    search = folder / "runs/sought-search"
    other = shutil.copytree(folder, folder / "other")
    whole_start = start("tune", "sought.yaml", cwd=other)
    process = start("tune", "sought.yaml", cwd=folder)
    # the second trial is in the middle
    wait_until((search / "trials/0001/fold-0/resume.ckpt").is_file, process)
    (folder / "hold").touch()
    time.sleep(0.5)
    assert process.poll() is None
    process.kill()
    process.communicate(timeout=20)
    (folder / "hold").unlink()
    first_curve = (search / "trials/0000/fold-0/history.csv").read_bytes()

    again = pneumobench("tune", "sought.yaml", cwd=folder)
    whole = whole_start.communicate(timeout=300)
    assert (again.returncode, whole_start.returncode) == (0, 0), (again.stderr, whole)
    assert "4 trials, 1 of them finished before" in again.stdout
    assert lines_of_trials(again.stdout) == [1, 2, 3], "the killed trial is run again, first"
    assert (search / "trials/0000/fold-0/history.csv").read_bytes() == first_curve
    tables = [pd.read_csv(place / "runs/sought-search/trials.csv") for place in (folder, other)]
    assert list(tables[0]["number"]) == list(range(4))
    went_on, whole_table = (table.drop(columns="seconds") for table in tables)
    pd.testing.assert_frame_equal(went_on, whole_table)
    assert (search / "best.yaml").read_bytes() == (other / "runs/sought-search/best.yaml").read_bytes()
    study = optuna.load_study(study_name="sought-search", storage=f"sqlite:///{search / 'study.db'}")
    assert [trial.state.name for trial in study.trials] == ["COMPLETE", "FAIL", *["COMPLETE"] * 3]


def test_two_processes_share_a_search(folder: Path) -> None:
    (folder / "hold").touch()
    processes = [start("tune", "sought.yaml", cwd=folder) for _ in range(2)]
    trials = folder / "runs/sought-search/trials"
    wait_until(lambda: all(is_claimed(trials / f"000{number}") for number in (0, 1)), *processes)
    (folder / "hold").unlink()
    outputs = [process.communicate(timeout=300) for process in processes]
    assert [process.returncode for process in processes] == [0, 0], outputs
    mine, other = (lines_of_trials(output) for output, _ in outputs)
    assert mine
    assert other
    assert sorted(mine + other) == list(range(4)), "each trial is one process's"
    table = pd.read_csv(folder / "runs/sought-search/trials.csv")
    assert list(table["number"]) == list(range(4))
    assert set(table["state"]) == {"completed"}
    assert table["training.learning_rate"].nunique() == 4
    for output, _ in outputs:
        assert "4 trials completed" in output


def test_the_winner_is_a_suite_that_runs(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "nowhere").mkdir()
    options = ["tune", "sought.yaml", "--name", "here", "--data", "nowhere", "--search.trials", "2", *SMALL]
    assert main(options) == 0
    shown = capsys.readouterr().out
    assert "next: pneumobench run runs/here-search/best.yaml" in shown
    assert "Images of the validation part of fold 0 are tested in other folds" in " ".join(shown.split())
    table = pd.read_csv("runs/here-search/trials.csv", keep_default_na=False)
    best = table.sort_values("value", ascending=False, kind="stable").iloc[0]
    path = Path("runs/here-search/best.yaml")
    suite = load_suite(path)
    assert suite.name == "here-tuned"
    assert suite.training.learning_rate == best["training.learning_rate"]
    assert suite.training.optimizer == best["training.optimizer"]
    assert f"[{', '.join(suite.training.head)}]" == best["training.head"]
    assert suite.folds.count == 2
    assert suite.architectures.names == ("test_resnet",)
    assert "search" not in yaml.safe_load(path.read_text())
    assert suite.data.root == ""
    assert str(folder) not in path.read_text()

    assert main(options) == 0
    told = capsys.readouterr().out
    assert "2 trials, all finished before; nothing is left to do" in told
    assert told.partition("Search: here")[2] == shown.partition("Search: here")[2]
    assert main([*options, "--architectures", "test_resnet,test_vit"]) == 2, "a search is about one"
    assert "names 2 architectures" in capsys.readouterr().err

    before = path.read_bytes()
    path.unlink()
    assert main(options) == 0, "nothing is left to train; the same winner is written"
    assert path.read_bytes() == before
    assert "2 trials, 2 of them finished before" in capsys.readouterr().out
    assert main(["run", str(path), "--folds", "0"]) == 0
    assert "Leaderboard: here-tuned" in capsys.readouterr().out

    # more trials go on in the same study; another space or other data do not
    assert main([*options, "--search.trials", "3"]) == 0
    assert len(pd.read_csv("runs/here-search/trials.csv")) == 3
    capsys.readouterr()
    for changes, words in (
        (["--search.space.training.optimizer", "[sgd, adam]"], "another space."),
        (["--data.subset_images", "30"], "another suite (settings), another data set, another split."),
    ):
        assert main([*options, *changes]) == 2
        assert f"holds a search with {words} Give this one another --name" in capsys.readouterr().err


def test_a_search_that_never_ends_a_trial_says_so(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    diverging = ["--search.space.training.learning_rate", "[1.0e+30]", "--search.trials", "1"]
    assert main(["tune", "sought.yaml", *SMALL, *diverging]) == 4
    shown = " ".join(capsys.readouterr().out.split())
    assert "no trial was completed, so there is no winner; the loss became" in shown
    assert not Path("runs/sought-search/best.yaml").exists()
    assert pd.read_csv("runs/sought-search/trials.csv")["state"].tolist() == ["diverged"]


@pytest.mark.long  # tests/search/test_trial.py prunes one
def test_hopeless_trials_are_pruned(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rates = ["--search.space.training.learning_rate", "[1.0e-12, 0.5]", "--search.pruner", "median"]
    space = ["--search.space.training.optimizer", "[adamw]", "--search.space.training.head", "[[]]"]
    words = ["--search.trials", "6", "--search.sampler", "random", "--training.epochs", "4"]
    more = ["--training.monitor", "tune_loss", "--seed", "2"]  # draws the hopeless rate, 0.5, once early and last
    assert main(["tune", "sought.yaml", *SMALL, *rates, *space, *words, *more]) == 0
    table = pd.read_csv("runs/sought-search/trials.csv")
    pruned = table[table["state"] == "pruned"]
    assert len(pruned) >= 1
    assert set(pruned["training.learning_rate"]) == {0.5}
    assert (pruned["epochs"] < 4).all()
    assert (
        pruned["reason"]
        .str.fullmatch(r"tune_loss \d+\.\d{4} after \d epochs?: worse than the median of earlier .*")
        .all()
    )
    assert set(table.loc[:4, "state"]) == {"completed"}, "the first five show what is usual"
    assert set(table["training.learning_rate"][:5]) == {1e-12, 0.5}
    assert f"{len(pruned)} pruned" in capsys.readouterr().out
    assert len(list(Path("runs").rglob("weights.safetensors"))) == 1


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["smoke"], "suite 'smoke' has no search.space; add settings"),
        (["sought.yaml", "--architectures", "a,b"], "names 2 architectures, and a search is about one: choose with"),
        (["sought.yaml", "--architectures", "nothing_like_it"], "nothing_like_it"),
        (["sought.yaml", "--folds", "0"], "option --folds is a group of keys"),
        (["sought.yaml", "--storage", "nonsense", *SMALL], "storage --storage cannot be used"),
        (["missing.yaml"], "is neither a shipped suite"),
    ],
)
def test_what_cannot_be_searched_is_refused(
    options: list[str], words: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["tune", *options]) == 2
    assert words in capsys.readouterr().err


def test_the_recipe_of_a_paper_can_be_searched(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shutil.copy(REPOSITORY / "benchmark/papers/e-resnet50-tuner.yaml", folder)
    suite = load_suite(folder / "e-resnet50-tuner.yaml", section="suite")
    assert suite.search.sampler == "random"
    assert suite.training.monitor == "tune_accuracy"
    assert set(suite.search.space) == {"training.learning_rate", "training.head"}
    words = ["--data.source", "phantoms", "--data.image_side_px", "32", "--training.epochs", "1"]
    small = ["--data.phantoms.patients", "24", "--data.phantoms.official_test_patients", "4", "--search.trials", "1"]
    network = ["--architectures", "test_resnet", "--architectures.weights", "none", "--training.accelerator", "cpu"]
    assert main(["tune", "e-resnet50-tuner.yaml", *words, *small, *network]) == 0
    assert "tested in other folds" not in capsys.readouterr().out
    assert load_suite(folder / "runs/paper-e-search/best.yaml").name == "paper-e-tuned"


def test_the_shipped_search_is_small() -> None:
    suite = load_suite(suite_path("search-demo"))
    assert suite.data.source == "phantoms"
    assert suite.search.trials * suite.training.epochs <= 60
