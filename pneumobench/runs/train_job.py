"""One job: fit an architecture on a fold, score it from its saved weights, explain it, and write its record."""

from __future__ import annotations

import dataclasses
import gc
import re
from typing import Final

import numpy as np
import pandas as pd
import torch

from pneumobench.architectures import Architecture
from pneumobench.architectures.architecture import flops_per_image
from pneumobench.architectures.weights_file import sha256_of_weights
from pneumobench.attributions.job_overlays import write_overlays
from pneumobench.attributions.lung_attention_maps import (
    MAIN_METHOD,
    LungAttentionMaps,
    lung_attention_maps,
    rows_with_lungs,
    write_maps,
)
from pneumobench.datasets.datamodule import FoldDataModule, FoldImages
from pneumobench.datasets.folds import PART_WORDS, Part
from pneumobench.datasets.index import unknown_patients
from pneumobench.errors import TERMINATED, DivergedError, NoRoomError, warn
from pneumobench.files import sha256_of_file
from pneumobench.lungs.masks import LungMasks
from pneumobench.radiographs.augmentation import augmentation
from pneumobench.records.job_record import JobCost, JobExplanation, JobRecord
from pneumobench.records.manifest import finish_job
from pneumobench.records.run_folder import RunFolder, write_attention, write_predictions
from pneumobench.reporting.tracking import Tracker
from pneumobench.runs.context import Bench
from pneumobench.runs.fitting import fitted_network, initial_network
from pneumobench.runs.preflight import try_network
from pneumobench.suite.process_state import no_sudden_end
from pneumobench.suite.spec import Suite
from pneumobench.suite.weights import TRAINED_ON
from pneumobench.training.fit import remove_training_files
from pneumobench.training.keeping import EpochReport
from pneumobench.training.memory import reset_peak_memory
from pneumobench.training.pretraining import remove_pretraining_files

SCORED_PARTS: tuple[Part, ...] = ("tune", "test", "official_test")


def run_job(bench: Bench, name: str, fold: int, tracker: Tracker, report: EpochReport | None = None) -> JobRecord:
    """Run one job to its record, completed, failed or diverged; only an interruption gets through."""
    # Adam's second moments can become denormal numbers, which CPUs handle slowly; threads that are started now take
    # the setting over
    torch.set_flush_denormal(True)
    try:
        return _run_job(bench, name, fold, tracker, report)
    finally:
        torch.set_flush_denormal(False)
        gc.collect()


def _run_job(bench: Bench, name: str, fold: int, tracker: Tracker, report: EpochReport | None) -> JobRecord:
    record = bench.record(name, fold, weights_origin="none")
    try:
        with (
            no_sudden_end(f"architecture {name!r}"),
            tracker.job(bench.folder, bench.suite, name, fold) as history,
        ):
            record = _completed(bench, name, fold, report, history)
            tracker.finished(bench.folder, record)
    except NoRoomError:  # no fault of the architecture: the run stops, and goes on here when there is room
        raise
    except DivergedError as error:
        record = dataclasses.replace(record, status="diverged", reason=str(error))
    except SystemExit as error:
        if error.code == TERMINATED:
            raise
        record = dataclasses.replace(
            record, status="failed", reason=f"the architecture's code ended the process: {error!r}"
        )
    except Exception as error:  # noqa: BLE001 - whatever one architecture does must cost only itself
        record = dataclasses.replace(record, status="failed", reason=reason_of(error, bench.suite.training.batch_size))
    finish_job(bench.folder, record)
    tidy(bench.folder, record)
    return record


def tidy(folder: RunFolder, record: JobRecord) -> None:
    """Delete the checkpoints of a job that has ended; a failed one may be tried again and then goes on from them."""
    if record.status != "failed":
        remove_training_files(folder.job_folder(record.architecture, record.fold))
        remove_pretraining_files(folder.job_folder(record.architecture, record.fold))


# the folders of absolute paths: a record names none of this machine
_FOLDERS: Final = re.compile(r"(?<![\w.:/])/(?:[^/\s'\":,;()]+/)+")


def reason_of(error: BaseException, batch_size: int) -> str:
    """Say in a line why a training failed."""
    text = " ".join(str(error).split())
    if isinstance(error, torch.OutOfMemoryError | MemoryError) or "can't allocate memory" in text:
        return f"out of memory, batch {batch_size}"
    if isinstance(error, ConnectionError | EOFError) or "DataLoader worker" in text or "ancdata" in text:
        return "a loader process died (training.loader_workers); the system ends processes when memory runs out"
    return f"{type(error).__name__}: {_FOLDERS.sub('', text)}"[:500]


def fold_data(suite: Suite, images: FoldImages) -> FoldDataModule:
    """Return the batches of a fold as the suite wants them."""
    spec = suite.training
    return FoldDataModule(
        images,
        augmentation=augmentation(suite.augmentation, suite.training_seed, count=len(images.label)),
        batch_size=spec.batch_size,
        seed=suite.training_seed,
        workers=spec.loader_workers,
        balanced=spec.balanced_sampler,
    )


def _completed(
    bench: Bench,
    name: str,
    fold: int,
    report: EpochReport | None,
    history: EpochReport,
) -> JobRecord:
    suite, spec, images = bench.suite, bench.suite.training, bench.fold_images(fold)
    try_network(suite, name)
    reset_peak_memory()
    architecture, pretraining = initial_network(bench, name, fold)
    if suite.data.source in architecture.weights_trained_on:
        warn(
            f"{name} starts from weights that were trained on {suite.data.source}, the data of this run: its test "
            "images are not new to it."
        )
    initial = sha256_of_weights(architecture.module)
    fitted = fitted_network(
        bench, name, fold, architecture, fold_data(suite, images),
        report=report, history=history,
    )  # fmt: skip
    scored = {part: fitted.score(part) for part in SCORED_PARTS}
    for part, part_scored in scored.items():
        if not np.isfinite(part_scored.class_logits).all():
            raise DivergedError(
                f"logits of the {PART_WORDS[part]} part are infinite or not numbers at precision {spec.precision}"
            )
    outputs = {part: (found.rows, found.class_logits) for part, found in scored.items()}
    predictions = bench.prediction_rows(fold, outputs)
    hashes = {
        "initial_weights": initial,
        "weights": sha256_of_file(bench.folder.weights_path(name, fold)),
        "predictions": write_predictions(bench.folder.predictions_path(name, fold), predictions),
    }
    main_maps = _main_maps(bench, architecture, images, name, fold, predictions)
    if main_maps is not None:
        hashes["attention"] = write_attention(bench.folder.attention_path(name, fold), main_maps.attention)
    seconds = sum(part.seconds for part in scored.values())
    shared = bench.record(name, fold, weights_origin=architecture.weights_origin)
    return dataclasses.replace(
        shared,
        status="completed",
        reason=None,
        hashes={**shared.hashes, **hashes},
        training={
            **fitted.facts,
            **pretraining,
            "train_images": len(images.positions["train"]),
            "tune_images": len(images.positions["tune"]),
            "images_of_unknown_patients": int(unknown_patients(bench.index.table).sum()),
            "pixel_mean": None if architecture.own_statistics else architecture.pixel_mean,
            "pixel_std": None if architecture.own_statistics else architecture.pixel_std,
            "weights_source": architecture.weights_source,
            "weights_licence": architecture.weights_licence,
            **_trained_on(architecture),
        },
        cost=JobCost(
            parameters=architecture.parameter_count(),
            trainable_parameters=fitted.trained,
            flops_per_image=flops_per_image(architecture, suite.data.image_side_px),
            training_seconds=round(fitted.seconds, 3),
            step_seconds=None if fitted.step_seconds is None else round(fitted.step_seconds, 6),
            inference_images_per_second=round(sum(len(part.rows) for part in scored.values()) / seconds, 2),
            peak_memory_mib=round(fitted.peak_memory_mib, 1),
        ),
        explanation=_explanation_facts(main_maps, bench.masks),
    )


def _trained_on(architecture: Architecture) -> dict[str, str]:
    """Return the data sets that the initial weights were trained on, where they are known."""
    return {TRAINED_ON: ", ".join(architecture.weights_trained_on)} if architecture.weights_trained_on else {}


def _main_maps(
    bench: Bench, architecture: Architecture, images: FoldImages, name: str, fold: int, predictions: pd.DataFrame
) -> LungAttentionMaps | None:
    """Make the main maps of the fold's test images and write them and their overlays; None where there can be none."""
    spec = bench.suite.explanation
    rows = rows_with_lungs(images, bench.masks, spec.images_per_fold, bench.suite.seed)
    if not architecture.heatmap_layers or len(rows) == 0:
        return None
    image_id = bench.index.table["image_id"].to_numpy(dtype=object)
    found = lung_attention_maps(architecture, images, bench.masks, rows, image_id=image_id, fold=fold)
    probability = predictions.set_index("image_id")["probability"].loc[image_id[rows]].to_numpy(dtype=np.float64)
    attributions = bench.folder.attributions_folder(name, fold)
    write_maps(attributions, found)
    write_overlays(attributions, found, images, bench.masks, probability, count=spec.overlays_per_fold)
    return found


def _explanation_facts(found: LungAttentionMaps | None, masks: LungMasks) -> JobExplanation | None:
    if found is None:
        return None
    return JobExplanation(
        method=MAIN_METHOD,
        layer=found.chosen.layer.name,
        layout=found.chosen.layer.layout,
        grid=found.chosen.grid,
        mask_tier=masks.tier(),
        images=len(found.rows),
        degenerate=int(found.attention["lar"].isna().sum()),
        seconds_per_image=round(found.seconds / len(found.rows), 6),
    )
