"""Networks of a run on external images that are shown in other ways, and facts of both sets that say of the label."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pneumobench.datasets.folds import Folds
from pneumobench.datasets.index import Index
from pneumobench.datasets.table_files import table_path, write_table_text
from pneumobench.errors import SettingsError
from pneumobench.leaderboard.external import EXTERNAL_COLUMNS
from pneumobench.leaderboard.external_variants import (
    FactScore,
    StrataScore,
    model_fact,
    set_fact,
    strata_score,
    variant_scores,
)
from pneumobench.lungs.prepared import prepare_images
from pneumobench.radiographs.gray_facts import GRAY_FACTS, gray_facts
from pneumobench.radiographs.gray_levels import code_counts, histograms_matched, percentiles_to_uint8
from pneumobench.records.external_record import VARIANT_PREDICTIONS, variant_predictions
from pneumobench.records.job_record import JobRecord
from pneumobench.records.tables import FLOAT_FORMAT
from pneumobench.reporting.external_variants_table import ALL_FACTS, ExternalVariants
from pneumobench.runs.context import Bench
from pneumobench.runs.external_predictions import external_predictions
from pneumobench.runs.networks import trained_network
from pneumobench.suite.external_variants import AS_IS, VARIANT_WORDS
from pneumobench.suite.spec import DataSpec
from pneumobench.training.controls import fit_control
from pneumobench.training.predictions import probability_of

OfFold = Callable[[int], NDArray[np.uint8]]  # fold -> images (N, side, side) as its network sees them


def score_variants(
    bench: Bench,
    jobs: Sequence[JobRecord],
    index: Index,
    radiographs: NDArray[np.uint8],
    variants: Sequence[str],
    *,
    folder: Path,
    cache: Path,
) -> ExternalVariants:
    """Score networks on external images shown in each way, and write every prediction.

    Args:
        bench: the run with its own images, which histograms and facts are compared with.
        jobs: completed networks that are asked.
        index: the external images.
        radiographs: (N, side, side) uint8, prepared as the run's own.
        variants: names of VARIANT_WORDS.
        folder: where predictions.csv is written.
        cache: where decoded and segmented images are kept.

    Raises:
        SettingsError: a variant is not known, or means nothing for this run.
    """
    check_variants(variants, bench.suite.data)
    refused = None
    shown: dict[str, OfFold] = {AS_IS: lambda _: radiographs}
    for variant in variants:
        if variant == "lung_crop":
            cut = dataclasses.replace(bench.suite.data, crop="adaptive")
            prepared = prepare_images(index, cut, cache, with_masks=False)
            refused, shown[variant] = prepared.crop.by_fixed, _always(prepared.radiographs)
        elif variant == "percentile_window":
            shown[variant] = _always(np.stack([percentiles_to_uint8(radiograph) for radiograph in radiographs]))
        else:
            shown[variant] = lambda fold: histograms_matched(radiographs, _training_counts(bench, fold))
    parts: dict[str, list[pd.DataFrame]] = {variant: [] for variant in shown}
    for job in jobs:
        architecture = trained_network(bench.suite, bench.folder, job)
        for variant, of_fold in shown.items():
            part = external_predictions(architecture, bench.suite.training, index, of_fold(job.fold), job.fold)
            parts[variant].append(part.assign(architecture=job.architecture))
    predictions = {variant: pd.concat(found, ignore_index=True) for variant, found in parts.items()}
    group = index.table.set_index("image_id")["group"]
    asked = {job.fold for job in jobs}
    facts, values = facts_of_both(
        bench.index, bench.folds, bench.radiographs, index, radiographs, asked=sorted(asked), seed=bench.suite.seed
    )
    written = _written(folder / VARIANT_PREDICTIONS, predictions)
    return ExternalVariants(
        scores=variant_scores(written, group),
        facts=facts,
        strata=strata_scores(written[AS_IS], values, group),
        lungs_refused=refused,
    )


def check_variants(variants: Sequence[str], data: DataSpec) -> None:
    """Refuse variants that are not known, named twice, or mean nothing for a run.

    Raises:
        SettingsError: naming what there is.
    """
    known = [name for name in VARIANT_WORDS if name != AS_IS]
    if unknown := [name for name in variants if name not in known]:
        raise SettingsError(f"--variants {unknown[0]}: expected some of {', '.join(known)}.")
    if len(set(variants)) < len(variants):
        raise SettingsError(f"--variants {','.join(variants)}: expected each one once.")
    if "lung_crop" in variants and data.crop == "adaptive":
        raise SettingsError("--variants lung_crop: the images of the run are cut to the lungs already; leave it out.")


def _always(radiographs: NDArray[np.uint8]) -> OfFold:
    return lambda _: radiographs


def _training_counts(bench: Bench, fold: int) -> NDArray[np.int64]:
    """Return how often each gray level stands in the images that the networks of a fold were trained on."""
    train = bench.folds.positions(bench.index, fold)["train"]
    return code_counts(np.asarray(bench.radiographs[train]))


def facts_of_both(
    own_index: Index,
    folds: Folds,
    own_radiographs: NDArray[np.uint8],
    index: Index,
    radiographs: NDArray[np.uint8],
    *,
    asked: Sequence[int],
    seed: int,
) -> tuple[tuple[FactScore, ...], dict[str, pd.Series[float]]]:
    """Return what facts say of the label in both sets, and each fact of the external images by image_id.

    Args:
        own_index: images of the run.
        folds: how they were split.
        own_radiographs: (N, side, side) uint8, as the networks see them.
        index: the external images.
        radiographs: (M, side, side) uint8, prepared alike.
        asked: folds whose test images count, and on whose training images the model of facts is fitted.
        seed: of the model of facts.
    """
    own_table, table = own_index.table, index.table
    own, found = gray_facts(own_radiographs), gray_facts(radiographs)
    own_label, label = (one["label"].to_numpy() == 1 for one in (own_table, table))
    own_groups, groups = (one["group"].to_numpy(np.int64) for one in (own_table, table))
    parts = [folds.positions(own_index, fold) for fold in asked]
    tested = np.concatenate([part["test"] for part in parts])
    scores = [
        FactScore(
            name=name,
            own=set_fact(own[name][tested], own_label[tested], own_groups[tested]),
            external=set_fact(found[name], label, groups),
        )
        for name in GRAY_FACTS
    ]
    both = np.concatenate([np.column_stack([one[name] for name in GRAY_FACTS]) for one in (own, found)])
    target = np.concatenate([own_label, label]).astype(np.int64)  # of external images none is fitted on
    models = [probability_of(fit_control(both, target, part["train"], seed)[:, 0]) for part in parts]
    numbers = np.concatenate([np.full(len(part["test"]), fold) for fold, part in zip(asked, parts, strict=True)])
    out_of_fold = np.concatenate([model[part["test"]] for model, part in zip(models, parts, strict=True)])
    outside = [model[len(own_table) :] for model in models]
    scores.append(
        FactScore(
            name=ALL_FACTS,
            own=dataclasses.replace(
                set_fact(out_of_fold, own_label[tested], own_groups[tested], numbers), normal=np.nan, pneumonia=np.nan
            ),
            external=model_fact(outside, label, groups),
        )
    )
    values = {**found, ALL_FACTS: np.mean(outside, axis=0)}
    return tuple(scores), {name: pd.Series(value, index=table["image_id"]) for name, value in values.items()}


def strata_scores(
    predictions: pd.DataFrame, values: Mapping[str, pd.Series[float]], group: pd.Series[int]
) -> tuple[StrataScore, ...]:
    """Return the AUC of every architecture within tenths of each fact; see `strata_score`."""
    return tuple(
        strata_score(str(name), fact, table, value, group)
        for name, table in predictions.groupby("architecture")
        for fact, value in values.items()
    )


def _written(path: Path, predictions: Mapping[str, pd.DataFrame]) -> dict[str, pd.DataFrame]:
    """Write the predictions of every variant, and return them as they can be read again: scores are made from these."""
    every = pd.concat([table.assign(variant=variant) for variant, table in predictions.items()])
    ordered = every.sort_values(["architecture", "variant", "fold"], kind="stable")
    text = ordered[["architecture", "variant", *EXTERNAL_COLUMNS]].to_csv(
        index=False, float_format=FLOAT_FORMAT, lineterminator="\n"
    )
    write_table_text(table_path(path), text)
    return variant_predictions(text.encode(), list(predictions))
