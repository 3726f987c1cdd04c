"""What all jobs of a run share: settings, data, folds and lung masks, read and checked once."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from rich.console import Console

from pneumobench.architectures.registry import ARCHITECTURES
from pneumobench.datasets.admission import refuse_unfit
from pneumobench.datasets.audit import read_radiographs
from pneumobench.datasets.classes import check_class_folds, three_classes
from pneumobench.datasets.datamodule import FoldImages
from pneumobench.datasets.duplicates import near_counts, near_duplicates
from pneumobench.datasets.folds import Folds, Part, check_folds, read_folds
from pneumobench.datasets.index import Index, problem_error, unknown_patients
from pneumobench.datasets.splits import make_folds
from pneumobench.errors import SettingsError
from pneumobench.lungs.masks import LungMasks
from pneumobench.lungs.outlines import Outlines, fold_outlines
from pneumobench.lungs.prepared import prepare_images, wanted_squares
from pneumobench.lungs.regions import RegionImages
from pneumobench.lungs.required import only_with_lungs
from pneumobench.records.environment import changed_inputs, read_environment
from pneumobench.records.job_record import WEIGHTS, JobRecord
from pneumobench.records.loaded_run import open_suite
from pneumobench.records.provenance import machine, software_versions
from pneumobench.records.run_folder import CLASS_COLUMNS, RunFolder
from pneumobench.records.run_state import as_kept, refuse_other_run
from pneumobench.reporting.words import patients_words, protocol_words
from pneumobench.runs.inputs import inputs_of, lung_inputs
from pneumobench.suite.spec import Suite
from pneumobench.texts import counted
from pneumobench.training.controls import controls_of
from pneumobench.training.cost import hardware
from pneumobench.training.predictions import class_probabilities, logit_of, probability_of


@dataclass(frozen=True, kw_only=True)
class Bench:
    """What all jobs of a run share.

    `radiographs` are whole; what the networks of a fold see of them is in `fold_images`. `regions` makes that where it
    is not all. `inputs` are SHA-256 of further files, see `inputs_of`; `accepted` says in words what of code and inputs
    had changed since the run began.
    """

    suite: Suite
    folder: RunFolder
    index: Index
    folds: Folds
    radiographs: NDArray[np.uint8]
    masks: LungMasks
    regions: RegionImages | None = None
    lung_metadata: dict[str, Any] = field(default_factory=dict)
    inputs: dict[str, str] = field(default_factory=dict)
    accepted: str = ""

    def fold_images(self, fold: int) -> FoldImages:
        """Return the images of a fold, as its networks see them."""
        label = self.index.table["label"].to_numpy(dtype=np.int64)
        positions = self.folds.positions(self.index, fold)
        return FoldImages(
            radiographs=self.seen(fold), label=label, positions=positions, three_classes=self.three_classes()
        )

    def seen(self, fold: int) -> NDArray[np.uint8]:
        """Return all images (N, side, side) uint8 as the networks of a fold see them."""
        return self.radiographs if self.regions is None else self.regions.of_fold(self.outlines(fold))

    def outlines(self, fold: int) -> Outlines:
        """Return whose lungs can be masked in the images of a fold."""
        return fold_outlines(self.index, self.folds, self.masks, self.folds.positions(self.index, fold)["train"])

    def steps(self) -> int:
        """Return the steps of one training."""
        images = len(self.folds.positions(self.index, 0)["train"])
        return self.suite.training.epochs * math.ceil(images / self.suite.training.batch_size)

    def three_classes(self) -> NDArray[np.int64] | None:
        """Return the class of every image where the task is of three classes, else None."""
        return three_classes(self.index.table) if self.suite.task == "three_class" else None

    def prediction_rows(
        self, fold: int, scored: Mapping[Part, tuple[NDArray[np.int64], NDArray[np.floating[Any]]]]
    ) -> pd.DataFrame:
        """Return one row an image from (rows of the index, outputs (n, 1) or (n, classes)) of each part."""
        table, classes = self.index.table, self.three_classes()
        parts = [
            pd.DataFrame(
                {
                    "image_id": table["image_id"].to_numpy(dtype=object)[rows],
                    "split": part,
                    "fold": fold,
                    "seed": self.suite.seed,
                    "label": table["label"].to_numpy(dtype=np.int64)[rows],
                    "logit": (logit := logit_of(class_logits)),
                    "probability": probability_of(logit),
                    **({} if classes is None else _class_columns(classes[rows], class_logits)),
                }
            )
            for part, (rows, class_logits) in scored.items()
        ]
        return pd.concat(parts)

    def record(self, name: str, fold: int, *, weights_origin: str) -> JobRecord:
        """Return the part of a job's record that is known before it starts, as of a failed job."""
        registration = ARCHITECTURES.loaded().get(name)
        return JobRecord(
            status="failed",
            reason="did not start",
            suite=self.suite.name,
            architecture=name,
            fold=fold,
            seed=self.suite.seed,
            weights_origin=weights_origin,
            plugin=registration.source if registration else None,
            inputs={
                key: sha256
                for key, sha256 in self.inputs.items()
                if not key.startswith(WEIGHTS) or key == f"{WEIGHTS}{name}"
            },
            accepted=self.accepted,
            images_hashed=self.index.hashed,
            hashes={"suite": self.suite.training_hash(), "index": self.index.hash(), "folds": self.folds.hash()},
            software=software_versions(),
            hardware=hardware(self.suite.training, machine()),
        )


def _class_columns(classes: NDArray[np.int64], class_logits: NDArray[np.floating[Any]]) -> dict[str, NDArray[Any]]:
    return dict(zip(CLASS_COLUMNS, (classes, *class_probabilities(class_logits).T), strict=True))


def open_run(path: Path, data: str | None, console: Console) -> Bench:
    """Return the data, folds and settings of a finished run, whose plugins were loaded; nothing is written.

    Raises:
        SettingsError: the folder is not a run, or its radiographs are not those of the run.
    """
    folder, suite = open_suite(path)
    if data is not None:
        suite = dataclasses.replace(suite, data=dataclasses.replace(suite.data, root=data))
    bench = open_data(suite, folder, cache=path.parent / ".cache", console=console)
    if changes := changed_inputs(read_environment(folder), lung_inputs(suite, bench.index)):
        listed = "\n".join(f"  {line}" for line in changes)
        raise SettingsError(f"{path} was made with other files:\n{listed}\nBring them back.")
    return bench


def open_data(suite: Suite, folder: RunFolder, *, cache: Path, console: Console, rehash: bool = False) -> Bench:
    """Read and check the data, split it (or take the frozen split), and decode it once.

    Args:
        suite: settings.
        folder: the run.
        cache: folder of what is kept of images and files.
        console: where it is told what is there.
        rehash: read every image file, whether it was changed since it was last read or not.
    """
    controls = controls_of(suite)  # an unknown name is found before anything is read
    index, problems = read_radiographs(suite, cache, squares=wanted_squares(suite.data), rehash=rehash)
    if problems:
        raise problem_error(index.root, problems)
    everyone = len(index.table)
    index = only_with_lungs(index, suite.data, cache)
    if len(index.table) < everyone:
        console.print(index.notes[-1], highlight=False)
    refuse_unfit(index, suite)
    if suite.task == "three_class":
        three_classes(index.table)  # refuses images without a class
    index = as_kept(folder, index)
    refuse_other_run(folder, suite, index)
    if folder.folds_json.is_file():
        folds = read_folds(folder.folds_json)
        check_folds(index, folds)
    else:
        folds = make_folds(index, suite.folds, suite.seed)  # which checks them
    if suite.task == "three_class":
        check_class_folds(index, folds)
    side_px = suite.data.image_side_px
    patients = patients_words(
        suite.data.source,
        index.table["patient"].nunique(),
        suite.data.patient_rule,
        unknown=int(unknown_patients(index.table).sum()),
    )
    console.print(
        f"{suite.name}: {counted(len(index.table), 'radiograph')} of {patients} at {side_px} px, "
        f"{protocol_words(folds.protocol, folds.count)}",
        highlight=False,
    )
    alike = [pair for pair in near_duplicates(index, folds) if pair["across_patients"]]
    if alike:
        counts = near_counts(alike)
        console.print(
            f"warning: {counted(len(alike), 'pair')} of images of different patients look alike, across folds: "
            f"{counts['across_folds']}, with two labels: {counts['with_two_labels']}; audit.json lists them",
            style="yellow",
        )
    prepared = prepare_images(
        index,
        suite.data,
        cache,
        # another way of masking the lungs of images without a manual mask would tell a control which they are
        lungs_of_all=any(control.masks_lungs for control in controls),
        tell=lambda words: console.print(words, highlight=False),
    )
    assert prepared.masks is not None
    region = suite.data.region
    return Bench(
        suite=suite,
        folder=folder,
        index=index,
        folds=folds,
        radiographs=prepared.radiographs,
        masks=prepared.masks,
        regions=None
        if region == "whole"
        else RegionImages(region=region, radiographs=prepared.radiographs, index=index, cache_folder=cache),
        lung_metadata=prepared.metadata(),
        inputs=inputs_of(suite, index),
    )
