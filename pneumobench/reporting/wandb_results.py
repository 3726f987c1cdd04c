"""What a W&B run of a job shows once the job has ended: scores, charts, predictions, weights, heat maps."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd

from pneumobench.datasets.layouts import LAYOUTS
from pneumobench.leaderboard.scores import DEFAULT_THRESHOLD
from pneumobench.records.job_record import JobRecord
from pneumobench.records.run_folder import RunFolder
from pneumobench.reporting.final_metrics import final_metrics
from pneumobench.reporting.overlays import FILE_PATTERN, OUTCOME_WORDS
from pneumobench.reporting.wandb_runs import EPOCH, LEADERBOARD, artifact_name
from pneumobench.suite.spec import Suite

CLASSES: Final = ("normal", "pneumonia")
SENT: Final = "leaderboard_sha256"


def send_epoch(run: Any, epoch: int, row: dict[str, float]) -> None:
    """Add an epoch to the curves; one that a resumed run has already is dropped there."""
    run.log({**row, EPOCH: epoch}, step=epoch)


def send_history(run: Any, path: Path) -> None:
    """Add all epochs of a history.csv; none where a job has no epochs."""
    if path.is_file():
        for row in pd.read_csv(path).to_dict("records"):
            send_epoch(run, int(row[EPOCH]), {str(name): float(value) for name, value in row.items()})


def send_results(wandb: Any, run: Any, folder: RunFolder, suite: Suite, record: JobRecord) -> None:
    """Send the results of a completed job, as one point after its last epoch and as the summary.

    No name of an image is sent. Heat maps show images: those of phantoms are sent, others only where
    `logging.wandb_heat_maps` asks for it.
    """
    metrics = final_metrics(folder, record)
    run.summary.update(metrics)
    predictions = folder.predictions(record)
    test = predictions[predictions["split"] == "test"]
    epochs = record.training.get("epochs_run")
    last = int(epochs) if isinstance(epochs, int) else 0
    shown = {EPOCH: max(last - 1, 0), **metrics, **_charts(wandb, test), "predictions": _table(wandb, folder, test)}
    if images := _heat_maps(wandb, folder, suite, record):
        shown["heat_maps"] = images
    run.log(shown, step=last)
    _send_artifacts(wandb, run, folder, suite, record)


def send_leaderboard(wandb: Any, run: Any, path: Path) -> None:
    """Send leaderboard.csv as a table, unless the run shows this very table already."""
    content = path.read_bytes()
    digest = hashlib.sha256(content).hexdigest()
    if run.summary.get(SENT) == digest:
        return
    table = pd.read_csv(path)
    cells = table.astype(object).where(table.notna(), None)  # a W&B column takes None, but no NaN among texts
    run.log({LEADERBOARD: wandb.Table(dataframe=cells)})
    run.summary.update({SENT: digest})


def _charts(wandb: Any, test: pd.DataFrame) -> dict[str, Any]:
    """Return W&B's own charts of the test part."""
    label, probability = test["label"].to_numpy(np.int64), test["probability"].to_numpy(np.float64)
    if len(np.unique(label)) < 2:
        return {}
    both = np.stack([1 - probability, probability], axis=1)
    called = (probability >= DEFAULT_THRESHOLD).astype(int)
    names = list(CLASSES)
    return {
        "roc": wandb.plot.roc_curve(label, both, labels=names, classes_to_plot=[1]),
        "precision_recall": wandb.plot.pr_curve(label, both, labels=names, classes_to_plot=[1]),
        "confusion": wandb.plot.confusion_matrix(y_true=label.tolist(), preds=called.tolist(), class_names=names),
    }


def _table(wandb: Any, folder: RunFolder, test: pd.DataFrame) -> Any:
    """Return the predictions of the test part by row number: names of images stay here."""
    index, _ = folder.index_and_folds()
    subtype = index.table.set_index("image_id")["subtype"].loc[test["image_id"]]
    table = test.assign(etiology=subtype.to_numpy()).sort_values("image_id", ignore_index=True)
    return wandb.Table(dataframe=table[["label", "etiology", "probability"]].rename_axis("row").reset_index())


def _heat_maps(wandb: Any, folder: RunFolder, suite: Suite, record: JobRecord) -> list[Any]:
    layout = LAYOUTS.find(suite.data.source)
    attributions = folder.attributions_folder(record.architecture, record.fold)
    allowed = (layout is not None and layout.synthetic) or suite.logging.wandb_heat_maps
    if not allowed or not (attributions / "overlays.json").is_file():
        return []
    images = []
    for entry in json.loads((attributions / "overlays.json").read_text(encoding="utf-8")):
        if (name := FILE_PATTERN.fullmatch(entry["file"])) is not None:
            caption = f"{OUTCOME_WORDS[name[1]]}, probability {float(entry['probability']):.2f}"
            images.append(wandb.Image(str(attributions / name[0]), caption=caption))
    return images


def _send_artifacts(wandb: Any, run: Any, folder: RunFolder, suite: Suite, record: JobRecord) -> None:
    """Log the weights as a versioned artifact made from the data set, which is known by its hashes alone.

    W&B notes what a run used online only: offline both are noted as made, and the weights name the data set.
    """
    path = folder.weights_path(record.architecture, record.fold)
    if not suite.logging.wandb_weights or not path.is_file():
        return
    hashes = {name: record.hashes[name] for name in ("index", "folds")}
    images = wandb.Artifact(artifact_name(f"{suite.name}-images"), type="dataset", metadata=hashes)
    with images.new_file("hashes.json") as file:
        json.dump(hashes, file, sort_keys=True)
    if run.offline:
        run.log_artifact(images)
    else:
        run.use_artifact(images)
    weights = wandb.Artifact(
        artifact_name(f"{suite.name}-{record.architecture}-fold-{record.fold}"),
        type="model",
        metadata={
            "architecture": record.architecture,
            "fold": record.fold,
            "images": artifact_name(f"{suite.name}-images"),
            "hashes": dict(record.hashes),
        },
    )
    weights.add_file(str(path), policy="immutable", skip_cache=True)  # no copy is made: the run folder keeps it
    run.log_artifact(weights)
