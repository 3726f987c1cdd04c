"""Normal, bacterial and viral through the whole path: folds, training, predictions, scores, page and heat maps."""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest
from sklearn import metrics

from pneumobench.cli.main import main
from pneumobench.errors import RecordError
from pneumobench.files import sha256_of_file
from pneumobench.leaderboard.ranking import rank_run
from pneumobench.records.job_record import write_record
from pneumobench.records.manifest import seal
from pneumobench.records.run_folder import RunFolder
from pneumobench.reporting.final_metrics import final_metrics
from tests.datasets.published_sets import write_rsna
from tests.end_to_end.commands import pneumobench

CLASSES = ["normal", "bacterial", "viral"]
COLUMNS = [f"probability_{name}" for name in CLASSES]
SETTINGS = [
    "run", "smoke", "--task", "three_class", "--name", "three", "--training.epochs", "6", "--data.phantoms.patients",
    "36", "--training.class_weights", "balanced", "--data.image_side_px", "48",
]  # fmt: skip


@pytest.fixture(scope="module")
def three(tmp_path_factory: pytest.TempPathFactory) -> tuple[RunFolder, str]:
    """Return the run and what its command printed."""
    folder = tmp_path_factory.mktemp("three")
    done = pneumobench(*SETTINGS, cwd=folder)
    assert done.returncode == 0, done.stderr
    return RunFolder(folder / "runs/three"), done.stdout


def out_of_fold(run: RunFolder, name: str) -> pd.DataFrame:
    tables = [pd.read_csv(run.predictions_path(name, fold)) for fold in (0, 1)]
    return pd.concat(tables).query("split == 'test'")


@pytest.mark.parametrize("name", ["test_resnet", "test_vit", "control-majority", "control-thumbnail-without-lungs"])
def test_predictions_hold_the_class_and_a_softmax(three: tuple[RunFolder, str], name: str) -> None:
    table = out_of_fold(three[0], name)
    subtype = pd.read_csv(three[0].index_csv).set_index("image_id")["subtype"].loc[table["image_id"]]
    known = {"normal": 0, "bacteria": 1, "virus": 2}
    assert table["class_label"].tolist() == [known[value] for value in subtype]
    assert ((table["class_label"] > 0) == (table["label"] == 1)).all()
    assert np.allclose(table[COLUMNS].sum(axis=1), 1)
    assert np.allclose(table["probability"], 1 - table["probability_normal"], atol=1e-6)


def within_folds(table: pd.DataFrame, score: Callable[[pd.DataFrame], float]) -> float:
    parts = [part for _, part in table.groupby("fold")]
    return float(np.average([score(part) for part in parts], weights=[len(part) for part in parts]))


def test_the_leaderboard_scores_three_classes_as_scikit_learn_does(three: tuple[RunFolder, str]) -> None:
    run, printed = three
    table, row = out_of_fold(run, "test_resnet"), None
    for found in json.loads((run.leaderboard / "leaderboard.json").read_text())["rows"]:
        if found["architecture"] == "test_resnet":
            row = found
    assert row is not None
    scores, truth, shares = row["three_classes"], table["class_label"], table[COLUMNS].to_numpy()
    called = shares.argmax(axis=1)
    assert scores["confusion"] == metrics.confusion_matrix(truth, called, labels=[0, 1, 2]).tolist()
    assert scores["accuracy"] == pytest.approx(metrics.accuracy_score(truth, called), abs=1e-6)
    assert scores["macro_f1"] == pytest.approx(metrics.f1_score(truth, called, average="macro"), abs=1e-6)
    table = table.assign(**{column: table[column] / shares.sum(axis=1) for column in COLUMNS})
    macro = within_folds(
        table,
        lambda part: metrics.roc_auc_score(part["class_label"], part[COLUMNS], multi_class="ovr", average="macro"),
    )
    assert scores["macro_auc"] == pytest.approx(macro, abs=1e-6)
    ill = table[truth > 0]
    ill = ill.assign(relative=ill["probability_bacterial"] / (ill["probability_bacterial"] + ill["probability_viral"]))
    bacterial = within_folds(ill, lambda part: metrics.roc_auc_score(part["class_label"] == 1, part["relative"]))
    assert scores["bacterial_auc"] == pytest.approx(bacterial, abs=1e-6)
    # the binary scores are those of the sum of both kinds
    binary = within_folds(table, lambda part: metrics.roc_auc_score(part["label"], part["probability"]))
    assert row["out_of_fold"]["auc"] == pytest.approx(binary, abs=1e-6)
    csv = pd.read_csv(run.leaderboard / "leaderboard.csv").set_index("architecture")
    assert csv["macro_auc"]["test_resnet"] == pytest.approx(scores["macro_auc"], abs=1e-6)
    assert 0 <= float(csv["official_recall_viral"]["test_resnet"]) <= 1
    for text in ((run.leaderboard / "README.md").read_text(), (run.leaderboard / "index.html").read_text(), printed):
        assert "Normal, bacterial, viral" in text
    assert "ensemble-mean" in printed


def test_a_network_learns_the_three_classes(three: tuple[RunFolder, str]) -> None:
    history = pd.read_csv(three[0].history_path("test_resnet", 0))
    assert history["train_loss"].iloc[-1] < history["train_loss"].iloc[0]
    row = next(row for row in rank_run(three[0].path).rows if row.architecture == "control-majority")
    assert row.three_classes is not None
    assert row.three_classes.macro_auc == 0.5, "shares differ between folds, within a fold they do not"
    assert row.three_classes.bacterial_auc == 0.5


def test_heat_maps_of_each_class_are_drawn(three: tuple[RunFolder, str]) -> None:
    run = three[0]
    arguments = ["gallery", str(run.path), "--architectures", "test_resnet", "--methods", "gradcam"]
    assert main(arguments) == 0
    mean = cv2.imread(str(run.gallery / "test_resnet/mean.jpg"))
    assert mean is not None
    assert mean.shape[1] == 5 * (256 + 6) + 6, "the image, pneumonia and three classes"
    assert mean.shape[0] > 3 * 256, "a row for each class"
    page = (run.gallery / "test_resnet.html").read_text()
    panels = [cv2.imread(str(run.gallery / name)) for name in re.findall(r'class="panel" src="([^"]+)"', page)]
    assert panels
    assert all(panel is not None and panel.shape[1] == 5 * (256 + 6) + 6 for panel in panels)


def test_images_without_a_kind_are_refused_before_training(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    rows = ["image,label,patient"]
    for number in range(12):
        cv2.imwrite(str(tmp_path / f"{number}.png"), rng.integers(0, 255, (40, 40), dtype=np.uint8))
        rows.append(f"{number}.png,{number % 2},{number}")
    (tmp_path / "index.csv").write_text("\n".join(rows) + "\n")
    done = pneumobench(
        "run", "smoke", "--task", "three_class", "--data.source", "csv", "--data", str(tmp_path), cwd=tmp_path
    )
    assert done.returncode == 3
    assert "6 pneumonia images are neither bacterial nor viral" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_class_that_does_not_fit_its_label_is_found(three: tuple[RunFolder, str]) -> None:
    run = three[0]
    record = next(found for found in run.records() if found.architecture == "test_vit")
    path = run.predictions_path("test_vit", record.fold)
    before = path.read_bytes()
    table = pd.read_csv(path)
    table.loc[table["label"] == 0, "class_label"] = 2
    table.to_csv(path, index=False, lineterminator="\n")
    changed = {**record.hashes, "predictions": sha256_of_file(path)}
    try:
        with pytest.raises(RecordError, match="a class that does not fit its label"):
            run.predictions(type(record)(**{**vars(record), "hashes": changed}))
    finally:
        path.write_bytes(before)


def test_classes_that_are_not_those_of_the_index_are_found(three: tuple[RunFolder, str]) -> None:
    run = three[0]
    record = next(found for found in run.records() if found.architecture == "test_vit")
    paths = (run.predictions_path("test_vit", record.fold), run.record_path("test_vit", record.fold), run.manifest_json)
    before = [path.read_bytes() for path in paths]
    table = pd.read_csv(paths[0])
    try:
        for change, words in (
            (
                table.assign(class_label=table["class_label"].replace({1: 2, 2: 1})),
                "classes that differ from index.csv",
            ),
            (table.drop(columns=[*COLUMNS, "class_label"]), "found two classes"),
        ):
            change.to_csv(paths[0], index=False, lineterminator="\n")
            hashes = {**record.hashes, "predictions": sha256_of_file(paths[0])}
            write_record(paths[1], dataclasses.replace(record, hashes=hashes))
            seal(run, paths[:2])
            with pytest.raises(RecordError, match=words):
                rank_run(run.path)
    finally:
        for path, content in zip(paths, before, strict=True):
            path.write_bytes(content)


def test_one_image_is_called_one_of_three(three: tuple[RunFolder, str], capsys: pytest.CaptureFixture[str]) -> None:
    run = three[0]
    radiograph = next((run.path.parent / ".cache").rglob("images/*.png"))
    arguments = ["explain", str(run.path), "--image", str(radiograph), "--methods", "gradcam,occlusion"]
    assert main(arguments) == 0
    shown = capsys.readouterr().out
    assert all(heading in shown for heading in ("p normal", "p bacterial", "p viral", "LAR"))
    line = next(line for line in shown.splitlines() if line.strip().startswith("test_resnet"))
    assert sum(map(float, re.findall(r" (\d\.\d\d)(?= )", line)[:3])) == pytest.approx(1, abs=0.02)


def test_networks_of_three_classes_are_scored_elsewhere_on_pneumonia(
    three: tuple[RunFolder, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    radiographs = write_rsna(tmp_path / "rsna", images_per_kind=3)
    monkeypatch.chdir(three[0].path.parent.parent)
    assert main(["evaluate", "runs/three", "--data", str(radiographs), "--architectures", "test_resnet"]) == 0
    text = (three[0].external / "rsna/README.md").read_text()
    assert "trained on three classes; here bacterial and viral are one, pneumonia" in text
    assert "patients whose identity is not published" in text


def test_more_questions_show_the_three_classes_too(
    three: tuple[RunFolder, str], capsys: pytest.CaptureFixture[str]
) -> None:
    run = three[0]
    arguments = ["explain", str(run.path), "--methods", "hirescam", "--images", "3", "--architectures", "test_resnet"]
    assert main(arguments) == 0
    assert "Normal, bacterial, viral" in capsys.readouterr().out


def test_a_plugin_that_cannot_have_three_outputs_is_refused_before_data_are_read(tmp_path: Path) -> None:
    (tmp_path / "own.py").write_text(
        "from torch import nn\nfrom pneumobench import Architecture, register_architecture\n\n"
        "@register_architecture('bare', source='a test')\ndef bare(*, in_channels: int) -> Architecture:\n"
        "    layers = [nn.Conv2d(in_channels, 1, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten()]\n"
        "    return Architecture(module=nn.Sequential(*layers), in_channels=in_channels)\n"
    )
    done = pneumobench(
        "run", "smoke", "--task", "three_class", "--plugin", "own.py", "--architectures", "bare", cwd=tmp_path
    )
    assert done.returncode == 2
    assert "no linear layer with one output at its end" in done.stderr
    assert not (tmp_path / "runs/smoke").exists()


def test_tracked_metrics_hold_the_three_classes(three: tuple[RunFolder, str]) -> None:
    record = next(found for found in three[0].records() if (found.architecture, found.fold) == ("test_resnet", 0))
    tracked = final_metrics(three[0], record)
    test = pd.read_csv(three[0].predictions_path("test_resnet", 0)).query("split == 'test'")
    shares = test[COLUMNS].to_numpy() / test[COLUMNS].to_numpy().sum(axis=1, keepdims=True)
    macro = metrics.roc_auc_score(test["class_label"], shares, multi_class="ovr")
    assert tracked["test_macro_auc"] == pytest.approx(macro)
    assert 0 <= tracked["test_macro_f1"] <= 1


def test_a_bundle_of_three_classes_scores_what_its_row_says(
    three: tuple[RunFolder, str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    run, _ = three
    monkeypatch.chdir(run.path.parents[1])
    to = tmp_path / "three.zip"
    assert main(["bundle", "runs/three", "--to", str(to), "--architecture", "test_resnet"]) == 0
    assert main(["verify", str(to)]) == 0
    capsys.readouterr()
    image = next(Path("runs/.cache").rglob("images/test*.png"))
    assert main(["predict", str(to), str(image), "--json"]) == 0
    (row,) = json.loads(capsys.readouterr().out)["rows"]
    shares = [row[f"probability_{name}"] for name in ("normal", "bacterial", "viral")]
    assert sum(shares) == pytest.approx(1, abs=1e-5)
