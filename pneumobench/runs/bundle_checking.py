"""A bundle and the data of its run -> whether its networks score what it says."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd
from rich.console import Console

from pneumobench.datasets.folds import Part
from pneumobench.errors import SettingsError
from pneumobench.files import temporary_folder
from pneumobench.leaderboard.scores import Scores, fold_model, official_scores, out_of_fold_scores
from pneumobench.prediction.answers import logit_of_probability
from pneumobench.prediction.asked import BATCH, AskedBundle
from pneumobench.prediction.bundle import SUITE, BundledFold, OpenedBundle, open_bundle
from pneumobench.prediction.loading import asked_bundle
from pneumobench.records.differences import Difference
from pneumobench.records.run_folder import RunFolder
from pneumobench.runs.bundling import DECISIONS
from pneumobench.runs.context import Bench, open_data
from pneumobench.runs.verifying import Verification
from pneumobench.suite.reader import load_suite

TOLERANCE: Final = 1e-3  # of scores: networks answer in full precision, whatever a run was scored in
PARTS: Final[tuple[Part, ...]] = ("tune", "test", "official_test")


def verify_bundle(path: Path, data: str | None, console: Console) -> Verification:
    """Ask the networks of a bundle about the images of its run again, and compare temperatures and scores.

    Decisions are made at the thresholds that the bundle names. What usual images are like is not measured again.

    Args:
        path: the bundle.
        data: folder of the radiographs; None = the variable PNEUMOBENCH_DATA. Phantoms are drawn.
        console: where progress is shown.

    Raises:
        SettingsError: it is no bundle, or the data are not there.
        RecordError: a file of it was changed.
    """
    predictor = asked_bundle(open_bundle(path))
    bundle = predictor.bundle
    differences: list[Difference] = []
    with temporary_folder(None, "verified") as place:
        bench = data_of_bundle(predictor.opened, data, place=place, cache=place / ".cache", console=console)
        models = []
        for fold in bundle.folds:
            console.print(f"fold {fold.fold} of {len(bundle.folds)}: asked again", highlight=False)
            model = fold_model(fold.fold, _predictions(bench, predictor, fold))
            differences += _compared(f"folds.{fold.fold}.temperature", fold.temperature, model.temperature)
            models.append(dataclasses.replace(model, thresholds=dict(fold.thresholds)))
        group = bench.index.table.assign(image_id=bench.index.table["image_id"].astype(str))
        groups = group.set_index("image_id")["group"]
        found = {"out_of_fold": out_of_fold_scores(models, groups), "official": official_scores(models, groups)}
    numbers = len(bundle.folds)
    for part, scores in found.items():
        if scores is not None and part in bundle.results:
            told: Mapping[str, Any] = bundle.results[part]
            for name, value in _values(scores).items():
                differences += _compared(f"results.{part}.{name}", told[name], value)
                numbers += 1
    return Verification(
        folder=path, files=len(predictor.opened.names), numbers=numbers, texts=0, differences=tuple(differences),
        notes=("limits of the reasons to have a person look were not measured again",),
    )  # fmt: skip


def data_of_bundle(opened: OpenedBundle, data: str | None, *, place: Path, cache: Path, console: Console) -> Bench:
    """Return the images and folds of the run that a bundle was made of.

    Args:
        opened: the bundle.
        data: folder of the radiographs; None = the variable PNEUMOBENCH_DATA. Phantoms are drawn.
        place: folder for what the settings are read from.
        cache: folder of decoded images.
        console: where it is told what is there.

    Raises:
        SettingsError: these are other images, or they are split otherwise.
    """
    (place / SUITE).write_bytes(opened.read(SUITE))
    suite = load_suite(place / SUITE, of_run=True)
    if data is not None:
        suite = dataclasses.replace(suite, data=dataclasses.replace(suite.data, root=data))
    bench = open_data(suite, RunFolder(place / "run"), cache=cache, console=console)
    for key, here in (("index", bench.index.hash()), ("folds", bench.folds.hash())):
        expected = opened.bundle.origin["hashes"][key]
        if expected != here:
            raise SettingsError(
                f"{opened.path}: found {key} {here[:12]} in the data, expected {expected[:12]}: these are not the "
                "images that its networks were trained on, or they are split otherwise."
            )
    return bench


def _values(scores: Scores) -> dict[str, float]:
    return {"auc": scores.auc, **{name: scores.at_tuned.value(name) for name in DECISIONS}}


def _compared(field: str, told: float, found: float) -> list[Difference]:
    if abs(told - found) <= TOLERANCE * max(1.0, abs(told)):
        return []
    return [Difference(file="bundle.json", field=field, found=f"{told:.6f}", expected=f"{found:.6f}")]


def _predictions(bench: Bench, predictor: AskedBundle, fold: BundledFold) -> pd.DataFrame:
    """Return what a fold says of pneumonia in its validation and test parts, one row an image; of classes nothing."""
    table, positions = bench.index.table, bench.fold_images(fold.fold).positions
    parts = []
    for part in PARTS:
        rows = positions.get(part, np.empty(0, dtype=np.int64))
        said = [
            predictor.say(np.asarray(bench.radiographs[rows[start : start + BATCH]]), [fold]).probability[:, 0]
            for start in range(0, len(rows), BATCH)
        ]
        probability = np.concatenate(said) if said else np.empty(0)
        columns = {
            "image_id": table["image_id"].to_numpy(dtype=object)[rows],
            "split": part,
            "label": table["label"].to_numpy(dtype=np.int64)[rows],
            "logit": logit_of_probability(probability),
            "probability": probability,
        }
        parts.append(pd.DataFrame(columns))
    return pd.concat(parts)
