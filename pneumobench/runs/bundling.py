"""A finished run -> a bundle: its networks with all that is needed to use them."""

from __future__ import annotations

import dataclasses
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from rich.console import Console

from pneumobench.errors import RecordError, SettingsError, suggestion
from pneumobench.files import sha256_of_bytes, sha256_of_file
from pneumobench.leaderboard.board import Leaderboard, Row
from pneumobench.leaderboard.ensembles import cross_fitted_weights, ensemble_predictions
from pneumobench.leaderboard.ranking import rank
from pneumobench.leaderboard.scores import FoldModel, fold_model
from pneumobench.lungs.crop import image_crop
from pneumobench.lungs.lung_parts import WEIGHTS_FOLDER, WEIGHTS_NAME
from pneumobench.lungs.segmented import segmented_lungs
from pneumobench.metrics.thresholds import MAIN_RULE
from pneumobench.prediction.answers import sure_from
from pneumobench.prediction.bundle import (
    BUNDLE_JSON,
    CARD,
    REFERENCE,
    SUITE,
    Bundle,
    BundledFold,
    BundledNetwork,
    Member,
    OpenedBundle,
)
from pneumobench.prediction.bundle_files import SUMS, sums_text, write_bundle
from pneumobench.prediction.predictor import Predictor
from pneumobench.radiographs.geometry import GEOMETRY, cropped, mask_to_square
from pneumobench.records.job_record import JobRecord
from pneumobench.records.loaded_run import GatheredRun, gather
from pneumobench.reporting.finding import best_control
from pneumobench.reporting.model_card import model_card
from pneumobench.runs.bundle_reference import held_out, layouts_and_grays, reasons_of
from pneumobench.runs.context import Bench
from pneumobench.runs.context import open_run as open_bench
from pneumobench.runs.finished import Run
from pneumobench.runs.networks import network_form, refuse_region
from pneumobench.suite.names import WEIGHTED_ENSEMBLE
from pneumobench.suite.spec import CLASSES, Suite
from pneumobench.suite.weights import TRAINED_ON

COVERAGE: Final = "0.9"  # share of images that is decided, the others being for a reader
DECISIONS: Final = ("accuracy", "recall", "specificity", "f1", "mcc")  # at the threshold of the validation part


def make_bundle(run: Run, to: Path, *, architecture: str | None = None) -> Bundle:
    """Write the networks of a row of a run's leaderboard as a bundle; the same run gives the same bytes.

    Args:
        run: the finished run, with its weights.
        to: the folder, or a file NAME.zip.
        architecture: name of a network or an ensemble of the leaderboard; None = the best network.

    Raises:
        SettingsError: `to` is there, no network has completed all folds, or the name is not among them.
        RecordError: weights are missing or changed.
        NotAvailableError: networks were trained on a region of images, which a new image has no mask for.
    """
    if to.exists():
        raise SettingsError(f"--to {to}: is there already; choose another place, or delete it.")
    refuse_region(run.suite)
    run.load_plugins()
    found = gather(run.path)
    board = rank(found)
    row = _row(run.path, board, architecture)
    bench = open_bench(run.path, run.data, run.console)
    bundle, files = _bundle_files(bench, found, board, row, run.console)
    write_bundle(to, files)
    return bundle


def _bundle_files(
    bench: Bench, run: GatheredRun, board: Leaderboard, row: Row, console: Console
) -> tuple[Bundle, dict[str, bytes]]:
    """Return a bundle and its files by name."""
    models, shares = _models(run, board, row)
    members = [(model.fold, member) for model, some in zip(models, shares, strict=True) for member in some]
    weights = {member.file: _weights(run, member.architecture, fold) for fold, member in members}
    first = {member.architecture: _record(run, member.architecture, fold) for fold, member in members}
    bundle = Bundle(
        name=f"{run.suite.name}-{row.architecture}",
        architecture=row.architecture,
        task=run.suite.task,
        classes=CLASSES if run.suite.task == "three_class" else ("normal", "pneumonia"),
        image_side_px=run.suite.data.image_side_px,
        crop=run.suite.data.crop,
        geometry=GEOMETRY,
        networks={name: _network(run.suite, record) for name, record in first.items()},
        folds=tuple(
            BundledFold(
                fold=model.fold, members=some, temperature=model.temperature, thresholds=model.thresholds,
                sure_from=model.sure_from,
            )
            for model, some in zip(models, shares, strict=True)
        ),
        rule=MAIN_RULE,
        coverage=COVERAGE,
        reasons={},
        results=results_of(board, row),
        origin=_origin(run, board),
        segmenter=sha256_of_file(WEIGHTS_FOLDER / WEIGHTS_NAME),
    )  # fmt: skip
    reference, limits, shares_beyond = layouts_and_grays(bench)
    drafted = {**weights, BUNDLE_JSON: bundle.to_json().encode(), REFERENCE: reference.to_bytes()}
    predictor = Predictor(OpenedBundle(bundle=bundle, sha256="", read=drafted.__getitem__, path=run.folder.path))
    asked = held_out(bench, predictor, _lungs(bench), lambda words: console.print(words, highlight=False))
    bundle = dataclasses.replace(
        bundle,
        folds=tuple(dataclasses.replace(fold, feature_limits=asked.feature_limits[fold.fold]) for fold in bundle.folds),
        reasons=reasons_of(asked, limits, shares_beyond, sure_from(bundle)),
    )
    files = {
        **weights,
        BUNDLE_JSON: bundle.to_json().encode(),
        REFERENCE: dataclasses.replace(reference, features=asked.features).to_bytes(),
        CARD: model_card(bundle).encode(),
        SUITE: run.suite.to_yaml().encode(),
    }
    return bundle, {**files, SUMS: sums_text(files).encode()}


def results_of(board: Leaderboard, row: Row) -> dict[str, Any]:
    """Return what a leaderboard says of a row, as plain values, and of the best control beside it."""
    results: dict[str, Any] = {
        "images": board.images,
        "patients": board.patients,
        "source": board.source,
        "held_out": board.held_out,
    }
    for part, scores in (("out_of_fold", row.out_of_fold), ("official", row.official)):
        if scores is not None:
            interval = scores.auc_interval
            results[part] = {
                "images": scores.images,
                "pneumonia_images": scores.pneumonia_images,
                "auc": scores.auc,
                "auc_interval": None if interval is None else [interval.low, interval.high],
                **{name: scores.at_tuned.value(name) for name in DECISIONS},
            }
    control = best_control(board)
    if control is not None and control.out_of_fold is not None:
        results["best_control"] = {"name": control.architecture, "auc": control.out_of_fold.auc}
        results["clears_controls"] = row.clears_controls
    results["masked"] = {name: score.auc for name, score in row.ablation.items()}
    return results


def _row(path: Path, board: Leaderboard, name: str | None) -> Row:
    whole = [row for row in board.rows if row.kind != "control" and row.state == "complete"]
    networks = [row for row in whole if row.kind == "network"]
    if not networks or board.ranked_folds:
        raise SettingsError(f"{path}: no network has completed all folds, so there is nothing to bundle.")
    if name is None:
        return min(networks, key=lambda row: row.rank or 0)
    names = [row.architecture for row in whole]
    if name not in names:
        hint = suggestion(name, names) or f"it has {', '.join(names)}."
        raise SettingsError(f"--architecture {name}: {path} has no such row with all folds; {hint}")
    return whole[names.index(name)]


def _models(run: GatheredRun, board: Leaderboard, row: Row) -> tuple[list[FoldModel], list[tuple[Member, ...]]]:
    """Return what each fold of a row is made of: thresholds and temperature, and its networks with their shares."""
    if row.kind == "network":
        records = [record for record in run.records_of(row.architecture) if record.completed]
        models = [fold_model(one.fold, run.predictions[one.architecture, one.fold]) for one in records]
        return models, [(Member(architecture=row.architecture, file=_file(row.architecture, m.fold)),) for m in models]
    names = sorted(one.architecture for one in board.networks if one.state == "complete")
    folds = range(run.folds.count)
    members = {name: {fold: run.predictions[name, fold] for fold in folds} for name in names}
    equal = np.full(len(names), 1 / len(names))
    weighted = row.architecture == WEIGHTED_ENSEMBLE
    weights = cross_fitted_weights(members) if weighted else dict.fromkeys(folds, equal)
    mixed = ensemble_predictions(members, weights)
    shares = [
        tuple(
            Member(architecture=name, file=_file(name, fold), share=float(share))
            for name, share in zip(names, weights[fold], strict=True)
            if share > 0
        )
        for fold in folds
    ]
    return [fold_model(fold, mixed[fold]) for fold in folds], shares


def _file(architecture: str, fold: int) -> str:
    return f"{architecture}-fold-{fold}.safetensors"


def _record(run: GatheredRun, architecture: str, fold: int) -> JobRecord:
    return next(one for one in run.records_of(architecture) if one.fold == fold)


def _weights(run: GatheredRun, architecture: str, fold: int) -> bytes:
    path = run.folder.weights_path(architecture, fold)
    content = path.read_bytes() if path.is_file() else b""
    if sha256_of_bytes(content) != _record(run, architecture, fold).hashes["weights"]:
        raise RecordError(
            f"{path}: found {'other weights' if content else 'no such file'}, expected the weights that the record "
            "beside it names: a bundle is made of a run with its weights, not of a published copy."
        )
    return content


def _network(suite: Suite, record: JobRecord) -> BundledNetwork:
    form = dataclasses.asdict(network_form(suite, record))
    del form["name"], form["image_side_px"]
    told = record.training
    return BundledNetwork(
        **form, plugin=record.plugin, weights_origin=record.weights_origin,
        weights_source=str(told.get("weights_source") or ""), weights_licence=str(told.get("weights_licence") or ""),
        trained_on=str(told.get(TRAINED_ON) or ""),
    )  # fmt: skip


def _lungs(bench: Bench) -> dict[int, NDArray[np.bool_]]:
    """Return segmented lungs (side, side) in the geometry of what networks see, by row, where a pair was found."""
    found = segmented_lungs(bench.index, bench.folder.path.parent / ".cache")
    crop = image_crop(bench.suite.data.crop, bench.index, found)
    side_px = bench.suite.data.image_side_px
    return {
        int(row): mask_to_square(cropped(found.masks[row] > 0, crop.boxes[row] if crop.boxes else None), side_px)
        for row in found.usable_rows()
    }


def _origin(run: GatheredRun, board: Leaderboard) -> dict[str, Any]:
    return {
        "suite": run.suite.name,
        "seed": run.suite.seed,
        "protocol": board.protocol,
        "hashes": board.provenance.hashes,
        "software": {name: list(versions) for name, versions in board.provenance.software.items()},
        "pneumobench": version("pneumobench"),
    }
