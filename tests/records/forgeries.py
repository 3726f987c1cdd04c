"""Copies of a run that were forged with every hash renewed: what only content can tell."""

from __future__ import annotations

import dataclasses
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import pandas as pd

from pneumobench.files import sha256_of_file, write_text
from pneumobench.records.job_record import read_record, write_record
from pneumobench.records.run_folder import RunFolder, write_predictions
from pneumobench.suite.reader import load_suite
from tests.records.forging import (
    ATTENTION,
    EXPLANATION,
    HISTORY,
    JOB,
    OTHER,
    RECORD,
    RELIANCE,
    Manipulation,
    attention,
    deleted,
    edited,
    explained,
    in_records,
    record,
    resealed,
    software,
    together,
    with_json,
)


def _training(**changes: Any) -> Callable[[Path], None]:
    return with_json(RECORD, lambda plain: plain["training"].update(changes))


def _cost(**changes: Any) -> Callable[[Path], None]:
    return with_json(RECORD, lambda plain: plain["cost"].update(changes))


def _suite(change: Callable[[str], str]) -> Callable[[Path], None]:
    """Change suite.yaml, and its hash in every record."""

    def edit(run: Path) -> None:
        write_text(run / "suite.yaml", change((run / "suite.yaml").read_text()))
        sha256 = load_suite(run / "suite.yaml", of_run=True).training_hash()
        in_records("*/fold-*", lambda plain: plain["hashes"].update(suite=sha256))(run)

    return edit


def _foreign(table: pd.DataFrame) -> pd.DataFrame:
    first = table.index == table.index[0]
    return table.assign(image_id=table["image_id"].where(~first, "test/PNEUMONIA/0122.png"))


def _fewer(table: pd.DataFrame) -> pd.DataFrame:
    return table.iloc[2:]


def _without_degenerate(table: pd.DataFrame) -> pd.DataFrame:
    return table.fillna({"lar": 0.45, "lar_adjusted": 0.0})


def _control(run: Path) -> None:
    """Leave a control that failed."""
    plain = json.loads((run / RECORD).read_text())
    plain |= {"architecture": "control-thumbnail", "status": "failed", "reason": "oops", "explanation": None}
    plain["hashes"] = {key: plain["hashes"][key] for key in ("suite", "index", "folds")}
    home = run / "control-thumbnail/fold-0"
    home.mkdir(parents=True)
    (home / "record.json").write_text(json.dumps(plain))


def _renamed(run: Path, *, weights: bool) -> None:
    """Copy the jobs of a network under the name of another one; with other weights, if asked."""
    shutil.rmtree(run / "vit_base_patch16_224")
    shutil.copytree(run / "resnet18", run / "vit_base_patch16_224")
    in_records("vit_base_patch16_224/fold-*", lambda plain: plain.update(architecture="vit_base_patch16_224"))(run)
    for path in sorted((run / "vit_base_patch16_224").glob("fold-*/record.json")):
        shutil.rmtree(path.parent / "explanations")
        if weights:
            (path.parent / "weights.safetensors").write_text(str(path))
            sha256 = sha256_of_file(path.parent / "weights.safetensors")
            found = read_record(path)
            write_record(path, dataclasses.replace(found, hashes={**found.hashes, "weights": sha256}))


def _nearly_renamed(run: Path) -> None:
    """Copy a network with other weights and logits that differ in the ninth digit."""
    _renamed(run, weights=True)
    folder = RunFolder(run)
    for found in folder.records():
        if found.architecture == "vit_base_patch16_224":
            table = folder.predictions(found)
            path = folder.predictions_path(found.architecture, found.fold)
            written = write_predictions(path, table.assign(logit=table["logit"] + 1e-9))
            changed = dataclasses.replace(found, hashes={**found.hashes, "predictions": written})
            write_record(folder.record_path(found.architecture, found.fold), changed)


def _forged(name: str, change: Callable[[Path], object], words: str | None) -> Manipulation:
    return Manipulation(f"forged: {name}", resealed(change), words)


FORGERIES: Final = (
    # tables of lung attention
    _forged(
        "lar_adjusted", attention(lambda t: t.assign(lar_adjusted=0.9)), r"attention\.csv: found lar_adjusted 0\.9"
    ),
    _forged(
        "lar_adjusted of a degenerate map",
        attention(lambda t: t.fillna({"lar_adjusted": 0.5})),
        r"attention\.csv: found lar_adjusted 0\.5 beside lar nan",
    ),
    _forged("attention: fewer rows", attention(_fewer), r"attention\.csv: found 22 images, expected 24 \(explanation"),
    _forged(
        "attention: fewer rows and images",
        attention(_fewer, images=22),
        r"attention\.csv: found 22 images, expected 24 \(masks of fold 0",
    ),
    _forged("attention: no degenerate map", attention(_without_degenerate), "found 0 degenerate maps, expected 1"),
    _forged("attention: facts gone", record(explanation=None), r"record\.json: found a hash of attention\.csv alone"),
    _forged(
        "attention: gone from a fold",
        together(
            deleted(ATTENTION),
            with_json(RECORD, lambda p: (p["hashes"].pop("attention"), p.update(explanation=None))),
        ),
        r"resnet18/fold-0/record\.json: found no heat maps, expected some",
    ),
    _forged(
        "attention: labels", attention(lambda t: t.assign(label=1 - t["label"])), r"attention\.csv: found 24 labels"
    ),
    _forged(
        "attention: tier", attention(lambda t: t.assign(mask_tier="drawn")), r"attention\.csv: found mask_tier drawn"
    ),
    _forged(
        "attention: tier, and in the record",
        attention(lambda t: t.assign(mask_tier="drawn"), mask_tier="drawn"),
        r"attention\.csv: found masks of tier drawn, expected box",
    ),
    _forged("attention: method", attention(lambda t: t.assign(method="lime")), r"attention\.csv: found method lime"),
    _forged(
        "attention: foreign images", attention(_foreign), r"attention\.csv: found 1 images .* outside the test part"
    ),
    # tables of explanations
    _forged(
        "checks: lar_adjusted", explained(lambda t: t.assign(lar_adjusted=0.9)), r"gradcam\.csv: found lar_adjusted"
    ),
    _forged(
        "checks: fewer rows", explained(_fewer), r"gradcam\.csv: found 22 images, expected 24 \(explanation\.json\)"
    ),
    _forged("checks: labels", explained(lambda t: t.assign(label=1 - t["label"])), r"gradcam\.csv: found 24 labels"),
    _forged("checks: tier", explained(lambda t: t.assign(mask_tier="drawn")), r"gradcam\.csv: found mask_tier drawn"),
    _forged("checks: foreign images", explained(_foreign), r"gradcam\.csv: found 1 images .* outside the test part"),
    _forged(
        "checks: not available, with a table",
        with_json(EXPLANATION, lambda p: p["methods"]["gradcam"].update(not_available="no maps")),
        r"explanation\.json: found maps by gradcam with",
    ),
    _forged(
        "checks: a table less",
        together(
            deleted(f"{JOB}/explanations/gradcam.csv"), with_json(EXPLANATION, lambda p: p["hashes"].pop("gradcam"))
        ),
        r"explanation\.json: found maps by gradcam without",
    ),
    _forged("masked regions: fewer rows", explained(_fewer, "reliance"), r"reliance\.csv: found 2 images missing"),
    _forged(
        "masked regions: labels",
        explained(lambda t: t.assign(label=1 - t["label"]), "reliance"),
        r"reliance\.csv: found 24 labels",
    ),
    # initial weights
    _forged(
        "pretrained in the records",
        in_records("*/fold-*", lambda p: p.update(weights_origin=f"timm:{p['architecture']}.a1")),
        r"record\.json: found weights_origin timm:densenet121\.a1, expected random",
    ),
    _forged(
        "pretrained in the suite",
        _suite(lambda text: text.replace("  plugins: []\n  weights: none", "  plugins: []\n  weights: imagenet")),
        r"record\.json: found weights_origin random, expected timm:densenet121",
    ),
    _forged(
        "weights of a folder in the suite",
        _suite(lambda text: text.replace("  plugins: []\n  weights: none", "  plugins: []\n  weights: mine")),
        r"record\.json: found no SHA-256 of the initial weights",
    ),
    # controls
    _forged("a control that failed", _control, r"control-thumbnail/fold-0/record\.json: found status failed"),
    # facts of a record
    _forged("best epoch", _training(best_epoch=4), r"record\.json: found best_epoch 4 of 4 epochs, expected 0 to 3"),
    _forged("another best epoch", _training(best_epoch=1), r"history\.csv: found the best tune_auc in epoch 3"),
    _forged("epochs", _training(epochs_run=21), r"record\.json: found epochs_run 21, expected 1 to 20"),
    _forged("no epochs", with_json(RECORD, lambda p: p["training"].pop("epochs_run")), "found epochs_run None"),
    _forged(
        "training images", _training(train_images=5000), r"record\.json: found train_images 5000, expected \d+ \(index"
    ),
    _forged("validation images", _training(tune_images=0), r"record\.json: found tune_images 0, expected \d+"),
    _forged(
        "unknown patients", _training(images_of_unknown_patients=5), "found images_of_unknown_patients 5, expected 0"
    ),
    _forged("not stopped early", _training(stopped_early=False), "found stopped_early False after 4 of 20 epochs"),
    _forged(
        "stopped early without early stopping",
        _suite(lambda text: text.replace("early_stopping_patience: 1", "early_stopping_patience: null")),
        r"record\.json: found 4 of 20 epochs, expected all",
    ),
    _forged("parameters", _cost(trainable_parameters=10**9), r"record\.json: found 1000000000 trainable parameters"),
    _forged("parameters of a fold", _cost(parameters=10**9), r"record\.json: found parameters 11170753, expected 10"),
    _forged("created in the future", record(created="2999-01-01T00:00:00+00:00"), r"record\.json: found created 2999"),
    _forged("history: an epoch less", edited(HISTORY, "3,0.8\n", ""), r"history\.csv: found 3 epochs, expected 4"),
    # jobs that do not go together
    _forged("a version of one job", software(torch="9.9"), r"record\.json: found torch 9\.9, expected 2\.15\.0"),
    _forged("code of one job", software(code="d" * 64), r"record\.json: found code d+, expected c+"),
    _forged(
        "a version of all jobs",
        in_records("*/fold-*", lambda p: p["software"].update(torch="9.9")),
        r"environment\.json: found torch 2\.15\.0, expected 9\.9",
    ),
    _forged(
        "a change that nobody accepted",
        record(accepted="torch: 2.15.0, now 9.9"),
        r"record\.json: found accepted changes 'torch: 2\.15\.0, now 9\.9'",
    ),
    _forged("plugin of one fold", record(plugin="elsewhere"), "different weights or plugins"),
    _forged("inputs of one fold gone", record(inputs={}), r"record\.json: found no SHA-256 of lung masks"),
    _forged(
        "an input more",
        with_json(RECORD, lambda p: p["inputs"].update({"plugin film.py": OTHER})),
        r"environment\.json: found SHA-256 None of plugin film\.py",
    ),
    _forged(
        "environment: empty", lambda run: write_text(run / "environment.json", "{}"), r"environment\.json: found no v"
    ),
    _forged("environment: gone", deleted("environment.json"), r"environment\.json: found no versions"),
    _forged(
        "audit: empty", lambda run: write_text(run / "audit.json", "{}"), r"audit\.json: found no number of images"
    ),
    _forged("audit: gone", deleted("audit.json"), r"audit\.json: found .*No such file"),
    _forged("audit: other images", edited("audit.json", "150", "151"), r"audit\.json: found images: 151, expected 150"),
    _forged(
        "audit: other folds",
        with_json("audit.json", lambda p: p.update(folds=[])),
        r"audit\.json: found folds: other counts",
    ),
    # one network under two names
    _forged(
        "a network twice",
        lambda run: _renamed(run, weights=False),
        r"vit_base_patch16_224/fold-0: found the weights of resnet18 fold 0",
    ),
    _forged(
        "predictions twice",
        lambda run: _renamed(run, weights=True),
        r"vit_base_patch16_224/fold-0: found the predictions of resnet18 fold 0",
    ),
    _forged(
        "predictions nearly twice", _nearly_renamed, r"vit_base_patch16_224/fold-0: found the predictions of resnet18"
    ),
)
# what a start can leave behind too: it is not refused, and the page names it
LEFT_OUT: Final = (
    _forged(
        "explanations of a fold gone", deleted(f"{JOB}/explanations"), "resnet18 fold 0: explanation.json is missing"
    ),
    _forged(
        "explanations of a network gone",
        together(*(deleted(f"resnet18/fold-{fold}/explanations") for fold in range(5))),
        "resnet18 fold 0, 1, 2, 3, 4: explanation.json is missing",
    ),
    _forged(
        "maps not available",
        together(
            deleted(f"{JOB}/explanations/gradcam.csv"),
            with_json(
                EXPLANATION,
                lambda p: (
                    p["hashes"].pop("gradcam"),
                    p["methods"]["gradcam"].update(not_available="no maps"),
                ),
            ),
        ),
        "resnet18 fold 0: no maps by gradcam",
    ),
    _forged(
        "maps not asked for",
        together(
            deleted(f"{JOB}/explanations/gradcam.csv"),
            with_json(EXPLANATION, lambda p: (p["hashes"].pop("gradcam"), p["methods"].pop("gradcam"))),
        ),
        "resnet18 fold 0: no maps by gradcam",
    ),
    _forged(
        "masked regions gone",
        together(deleted(RELIANCE), with_json(EXPLANATION, lambda p: p["hashes"].pop("reliance"))),
        "resnet18 fold 0: no scores of masked regions",
    ),
    _forged(
        "controls gone",
        _suite(lambda text: text.replace("controls:\n  names: []", "controls:\n  names: [thumbnail]")),
        "control-thumbnail of fold 0, 1, 2, 3, 4 is missing",
    ),
)
