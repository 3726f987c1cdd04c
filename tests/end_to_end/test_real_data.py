"""A tiny run on real radiographs, where PNEUMOBENCH_DATA names a copy of the Kermany data."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.model_selection import StratifiedGroupKFold

from pneumobench.cli.main import main
from pneumobench.datasets.audit import read_radiographs
from pneumobench.datasets.pixel_cache import cached_images
from pneumobench.lungs.masked_regions import MASKED_REGIONS
from pneumobench.lungs.masks import lung_masks
from pneumobench.metrics.discrimination import area_under_roc
from pneumobench.records.explanation_record import read_explanations
from pneumobench.records.run_folder import RunFolder
from pneumobench.suite.names import DEFAULT_CONTROLS, control_record_name
from pneumobench.suite.spec import DataSpec, Suite
from pneumobench.training.controls import CONTROLS, Seen, control_features, fit_control
from pneumobench.training.predictions import probability_of

DATA = os.environ.get("PNEUMOBENCH_DATA", "")
pytestmark = pytest.mark.skipif(not DATA, reason="PNEUMOBENCH_DATA names no copy of the Kermany radiographs")


@pytest.fixture(scope="module")
def output(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder of runs, in whose cache every image is opened once."""
    return tmp_path_factory.mktemp("real") / "runs"


@pytest.mark.long
def test_the_likely_patient_rule_tells_subtypes_and_folders_apart(output: Path) -> None:
    data = DataSpec(source="kermany", root=DATA, patient_rule="folder_subtype_number")
    table = read_radiographs(Suite(data=data), output / ".cache")[0].table
    train = table[(table["split"] == "train") & (table["label"] == 1)]
    assert train["patient"].nunique() == 1635 + 808, "808 numbers of train have a bacterial and a viral image"
    assert table.groupby("patient")["split"].nunique().max() == 1


def test_a_narrowed_run_on_real_radiographs(output: Path) -> None:
    arguments = [
        "run", "kermany-cpu", "--data", DATA, "--output", str(output), "--limit", "120", "--folds", "0",
        "--architectures", "resnet18", "--training.epochs", "1", "--training.precision", "32-true",
        "--explanation.images_per_fold", "12", "--explanation.checked_images_per_fold", "2",
    ]  # fmt: skip
    assert main(arguments) == 0
    run = RunFolder(output / "kermany-cpu-limit120")
    expected = [*sorted(control_record_name(name) for name in DEFAULT_CONTROLS), "resnet18"]
    assert [(record.architecture, record.fold, record.status) for record in run.records()] == [
        (name, 0, "completed") for name in expected
    ]
    assert DATA not in run.suite_yaml.read_text() + run.environment_json.read_text()
    attention = pd.read_csv(run.attention_path("resnet18", 0))
    assert set(attention["mask_tier"]) == {"drawn"}
    assert attention["lung_area"].between(0.1, 0.6).all()
    explained = read_explanations(run, run.records()[-1])
    assert explained is not None
    assert set(explained.ablation["blanking"]) == {"none", *MASKED_REGIONS}
    assert explained.methods["gradcam"]["deletion"].between(0, 1).all()
    assert "1 of 5 folds" in (run.leaderboard / "README.md").read_text()


def test_the_audit_finds_what_is_known_of_the_data(
    output: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(output.parent)  # where the run before has left what it read of every file
    assert main(["audit", DATA, "--lung-masks", "lung_masks", "--output", str(tmp_path / "audit.json")]) == 0
    told = capsys.readouterr().out
    assert "train: 5216 images (1341 normal, 3875 pneumonia" in told
    assert "test: 624 images (234 normal, 390 pneumonia" in told
    assert "patients: 1211 normal, 1635 pneumonia" in told
    assert "patients: 225 normal, 202 pneumonia" in told
    assert "groups of identical images: 30 (of files that differ: 0), across patients: 1, with two labels: 0" in told
    assert "with two labels: 0, across train and test: 0" in told
    assert "near duplicates: 0 pairs" in told
    assert "naming schemes: 4265 person, 1575 IM; names of copied files: 0" in told
    assert "patient names in both train and official test: 170" in told
    # 1,635 + 1,211 numbers of train, 202 + 225 of test, 170 of them in both
    assert "under patient rule number: 3103 patients, 3102 groups" in told
    assert "under patient rule folder_subtype_number: 4082 patients, 4081 groups" in told
    assert "images by part and class as published (card kermany): yes" in told


@pytest.mark.long
def test_controls_score_what_is_known_of_the_data(output: Path) -> None:
    """Over all images with a manual mask, those of the official test folder included, in five folds by patient."""
    data = DataSpec(source="kermany", root=DATA, lung_masks="lung_masks")
    cache = output / ".cache"
    index, problems = read_radiographs(Suite(data=data), cache)
    assert not problems
    radiographs, masks = cached_images(index, 64, cache), lung_masks(index, 64, cache)
    rows = masks.usable_rows()
    assert rows is not None
    label, group = (index.table[column].to_numpy(np.int64) for column in ("label", "group"))
    folds = list(StratifiedGroupKFold(5, shuffle=True, random_state=0).split(rows, label[rows], group[rows]))
    known: dict[str, float] = {
        "image_facts": 0.910, "lung_box": 0.909, "thumbnail": 0.983, "thumbnail_without_lungs": 0.972,
        "mask_only": 0.951, "fixed_region_removed": 0.95,
    }  # fmt: skip
    for name, expected in known.items():
        probability = np.zeros(len(label))
        for train, test in folds:
            seen = Seen(
                index=index, radiographs=radiographs, masks=masks, train=rows[train], original_sizes="manifest.csv"
            )
            features = control_features(CONTROLS.get(name), seen)
            logit = fit_control(features, label, rows[train], seed=0)[:, 0]
            probability[rows[test]] = probability_of(logit)[rows[test]]
        assert area_under_roc(probability[rows], label[rows] == 1) == pytest.approx(expected, abs=0.01), name
