"""Options of a suite, from the command line to the leaderboard."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from pneumobench.cli.main import main
from pneumobench.records.run_folder import RunFolder

SMALL = ["--architectures", "test_resnet", "--training.epochs", "1", "--explanation.checked_images_per_fold", "0"]


@pytest.mark.long  # two regions and two seeds go the same way
def test_one_suite_under_three_protocols(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["run", "smoke", "--protocols", "image_random,patient,official", *SMALL]) == 0
    shown = capsys.readouterr().out
    assert "Effect of the split" in shown
    assert "images of one patient were trained on and tested" in " ".join(shown.split())
    table = pd.read_csv("runs/smoke-protocols/comparison.csv")
    assert set(table["architecture"]) == {"test_resnet", "control-thumbnail-without-lungs"}
    rows = {row["protocol"]: row for row in table.to_dict("records") if row["architecture"] == "test_resnet"}
    assert list(rows) == ["image_random", "patient", "official"]
    reference = rows.pop("patient")
    assert np.isnan(reference["difference"])
    for row in rows.values():
        assert row["difference"] == pytest.approx(row["auc"] - reference["auc"], abs=2e-6)
        assert row["difference_low"] <= row["difference"] <= row["difference_high"]
    readme = Path("runs/smoke-protocols/README.md").read_text()
    assert (
        "`pneumobench run smoke --architectures test_resnet --explanation.checked_images_per_fold 0 --protocols "
        in readme
    )
    assert " image_random,patient,official`" in readme
    assert "Random initialisation" in readme
    assert "With protocol `patient`: 1 architecture, 2 folds by patient" in readme
    page = Path("runs/smoke-image_random/leaderboard/index.html").read_text()
    assert "2 folds by image, with images of one patient on both sides" in page
    # a run of another protocol does not go on in the same folder
    assert main(["run", "smoke", "--folds.protocol", "image_random", *SMALL]) == 2
    assert "runs/smoke holds a run with other settings" in " ".join(capsys.readouterr().err.split())


@pytest.mark.long  # two seeds go the same way, and tests/lungs masks the regions
def test_one_suite_under_two_regions(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    asked = ["run", "smoke", "--controls.names", "[majority, thumbnail]", *SMALL]
    assert main([*asked, "--regions", "mask_only,whole", "--plan"]) == 0
    planned = capsys.readouterr().out
    assert planned.count("2 jobs to run") == 2
    assert main([*asked, "--regions", "mask_only,whole"]) == 0
    assert "Networks trained and tested on a region" in capsys.readouterr().out
    table = pd.read_csv("runs/smoke-regions/comparison.csv")
    pairs = [("test_resnet", "whole"), ("test_resnet", "mask_only"), ("control-thumbnail", "whole"),
             ("control-thumbnail", "mask_only")]  # fmt: skip
    assert list(zip(table["architecture"], table["region"], strict=True)) == pairs
    for _, both in table.groupby("architecture"):
        first, second = both.to_dict("records")
        assert np.isnan(first["difference"])
        assert second["difference"] == pytest.approx(second["auc"] - first["auc"], abs=2e-6)
        assert second["difference_low"] <= second["difference"] <= second["difference_high"]
        assert second["p_holm"] >= second["p_value"]
    readme = Path("runs/smoke-regions/README.md").read_text()
    assert " --regions mask_only,whole`" in readme
    assert "Lung masks: exact." in readme
    whole, alone = (Path(f"runs/smoke-{region}/leaderboard/README.md").read_text() for region in ("whole", "mask_only"))
    assert "trained and tested on lung masks alone, without gray values" in alone
    assert "trained and tested on" not in whole.split("##")[0]
    assert "at test time" in whole
    assert "at test time" not in alone, "the rest is masked already"
    first_split, second_split = (
        RunFolder(Path(f"runs/smoke-{region}")).index_and_folds() for region in ("whole", "mask_only")
    )
    assert [one.hash() for one in first_split] == [one.hash() for one in second_split]
    assert main(["evaluate", "runs/smoke-mask_only", "--data", "runs/.cache/phantoms-24-6-64px-1/index.csv"]) != 0
    assert "were trained with data.region mask_only" in " ".join(capsys.readouterr().err.split())
    assert main([*asked, "--regions", "whole,mask_only", "--folds", "0"]) == 2
    assert "--folds leaves --regions whole,mask_only incomplete" in capsys.readouterr().err
    assert main([*asked, "--regions", "whole,mask_only", "--protocols", "patient,official"]) == 2
    assert "leave one out" in capsys.readouterr().err


def test_one_suite_under_two_seeds_is_published_and_computed_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    asked = ["run", "smoke", "--name", "noise", *SMALL, "--explanation.images_per_fold", "0"]
    assert main([*asked, "--seeds", "2,1", "--controls.names", "[majority, thumbnail]"]) == 0
    assert "Noise of the seed" in capsys.readouterr().out
    home = Path("runs/noise-seeds")
    table = pd.read_csv(home / "comparison.csv")
    rows = [("test_resnet", 2), ("test_resnet", 1)]
    assert list(zip(table["architecture"], table["seed"], strict=True))[:2] == rows
    assert table["difference"].iloc[1] != 0
    assert "control-majority" not in set(table["architecture"]), "no seed changes it"
    readme = (home / "README.md").read_text()
    assert "## Seeds and patients" in readme
    assert " --seeds 2,1`" in readme
    runs = [RunFolder(Path(f"runs/noise-seed-{seed}")) for seed in (2, 1)]
    first, second = (run.index_and_folds() for run in runs)
    assert [one.hash() for one in first] == [one.hash() for one in second], "images and folds are the same"
    assert "seed 3, seed of the trainings 2;" in (runs[0].leaderboard / "README.md").read_text()

    # the same two runs, named by their folders
    assert main(["compare", "runs/noise-seed-2", "runs/noise-seed-1", "--to", "side/by/side"]) == 0
    compared = pd.read_csv("side/by/side/comparison.csv")
    for column in ("auc", "difference", "difference_low", "p_value"):
        assert compared[column].to_list() == pytest.approx(table[column].to_list(), nan_ok=True)
    assert list(compared["run"])[:2] == ["noise-seed-2", "noise-seed-1"]
    page = Path("side/by/side/README.md").read_text()
    assert "| training.seed | 2 | 1 |" in page
    assert page.partition("## What differs")[2].count("\n| ") == 3, "head, rule and the seed: nothing else differs"
    assert "`pneumobench compare noise-seed-2 noise-seed-1`" in page
    assert main(["publish", "side/by/side", "--to", "published"]) == 0
    assert Path("published/README.md").read_text() == page

    assert main(["publish", str(home)]) == 0
    copy = Path("leaderboard/noise-seeds")
    assert {path.name for path in copy.iterdir()} == {
        "README.md", "SHA256SUMS", "comparison.csv", "comparison.json", "comparison.svg", "noise-seed-1", "noise-seed-2"
    }  # fmt: skip
    for name in ("README.md", "comparison.csv", "comparison.svg"):
        assert (copy / name).read_bytes() == (home / name).read_bytes()
    (copy / "README.md").write_text("changed")
    assert main(["leaderboard", str(copy)]) == 0
    assert (copy / "README.md").read_text() == readme
    assert main(["publish", str(copy), "--to", str(copy)]) == 2
    assert "--replace replaces a published run" in capsys.readouterr().err
    assert main(["publish", str(copy), "--to", str(copy), "--replace"]) == 0
    assert (copy / "README.md").read_text() == readme
    scores = next(copy.glob("noise-seed-1/test_resnet/fold-0/predictions.csv.gz"))
    scores.unlink()
    assert main(["leaderboard", str(copy)]) == 3
    assert "predictions.csv" in capsys.readouterr().err
    (copy / "comparison.json").write_text("{}")
    assert main(["leaderboard", str(copy)]) == 3
    assert "comparison.json: found no comparison of format 1" in " ".join(capsys.readouterr().err.split())


@pytest.mark.long  # two seeds go the same way; tests/datasets draws the images
def test_one_suite_on_fewer_training_images_and_what_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    asked = ["run", "smoke", "--name", "curve", *SMALL, "--explanation.images_per_fold", "0"]
    assert main([*asked, "--subsets", "9000,all"]) == 3
    assert "--subsets 9000: " in (message := " ".join(capsys.readouterr().err.split()))
    assert "folds.training_images is 9,000, and fold 0 has" in message
    assert main([*asked, "--vary", "data.limit_images=24,30"]) == 2
    assert "data.limit_images 30 is of other images than 24" in " ".join(capsys.readouterr().err.split())
    taken = Path("runs/curve-subsets/suite.yaml")
    taken.parent.mkdir()
    taken.touch()
    assert main([*asked, "--subsets", "24,all"]) == 2
    assert "holds a run, where the comparison would go" in " ".join(capsys.readouterr().err.split())
    taken.unlink()
    assert not [*Path("runs").glob("curve-subset-*"), *Path("runs").glob("curve/*")], "nothing was trained"
    assert main([*asked, "--subsets", "24,all", "--json"]) == 0
    capsys.readouterr()
    readme = Path("runs/curve-subsets/README.md").read_text()
    assert "it is fitted to four numbers of images or more" in readme
    small, whole = (RunFolder(Path("runs") / name) for name in ("curve-subset-24", "curve"))
    index, folds = small.index_and_folds()
    _, every = whole.index_and_folds()
    for fold in range(folds.count):
        parts, all_parts = folds.positions(index, fold), every.positions(index, fold)
        assert list(parts["test"]) == list(all_parts["test"])
        trained = {*parts["train"], *parts["tune"]}
        assert trained < {*all_parts["train"], *all_parts["tune"]}
        assert 24 <= len(trained) <= 28, "whole patients"
    assert "each fold trained on about 24 images" in (small.leaderboard / "README.md").read_text()


@pytest.mark.long  # tests/training tries each option
def test_a_recipe_of_many_options_runs_to_its_leaderboard(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "recipe.yaml").write_text(
        """
name: recipe
data: {image_side_px: 32, crop: none, phantoms: {patients: 40, official_test_patients: 4, side_px: 64}}
folds: {protocol: holdout, count: 1, test_fraction: 0.2, tune_fraction: 0.2, merge_official_test: true}
augmentation: {clahe: 0.3, gamma: 0.3, gaussian_noise: 0.2, motion_blur: 0.1, median_blur: 0.1, coarse_dropout: 0.1}
architectures: {names: [test_resnet]}
controls: {names: [majority]}
training:
  epochs: 2
  head: [dense 16, batch_norm, relu, dropout 0.3]
  head_weight_decay: 0.01
  fine_tuning: {trained: last_blocks, count: 2, unfreeze_every_epochs: 1}
  loss: focal
  class_weights: balanced
  balanced_sampler: true
  optimizer: adam
  schedule: plateau
  monitor: tune_accuracy
  early_stopping_patience: 3
explanation: {methods: [gradcam], checked_images_per_fold: 2}
"""
    )
    assert main(["run", "recipe.yaml"]) == 0
    shown = " ".join(capsys.readouterr().out.split())
    assert "the imbalance of the classes is corrected twice" in shown
    assert "one held-out test part, by patient" in shown
    run = RunFolder(tmp_path / "runs/recipe")
    (record,) = (record for record in run.records() if not record.is_control)
    assert record.completed, record.reason
    assert record.cost is not None
    assert 0 < record.cost.trainable_parameters < record.cost.parameters
    assert set(run.predictions(record)["split"]) == {"tune", "test"}


def test_networks_pretrained_on_their_own_training_part(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    asked = ["run", "smoke", *SMALL, "--explanation.images_per_fold", "0", "--pretraining.epochs", "1"]
    assert main([*asked, "--architectures.weights", "self_supervised", "--pretraining.batch_size", "8"]) == 0
    shown = " ".join(capsys.readouterr().out.split())
    assert "All networks here started from pretrained weights." in shown
    folder = RunFolder(Path("runs/smoke"))
    records = [record for record in folder.records() if not record.is_control]
    assert {record.weights_origin for record in records} == {"self_supervised:1 epoch of SimCLR"}
    assert len({record.hashes["initial_weights"] for record in records}) == 2, "each fold has weights of its own"
    assert all(record.training["pretraining_images"] == record.training["train_images"] for record in records)
    assert not list(folder.path.rglob("pretrain*")), "what only an unfinished job needs is gone"
    page = (folder.leaderboard / "README.md").read_text()
    assert "self-supervised on the training part of each fold, 1 epoch of SimCLR" in page
    assert main(["leaderboard", "runs/smoke"]) == 0
