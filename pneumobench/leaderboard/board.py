"""What a leaderboard is made of: rows, failed jobs, comparisons and provenance."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

import pandas as pd

from pneumobench.leaderboard.checks import AblationScore
from pneumobench.leaderboard.lung_attention import AttentionSummary
from pneumobench.leaderboard.map_checks import MethodSummary
from pneumobench.leaderboard.scores import ChosenPoint, MeanSpread, Scores
from pneumobench.leaderboard.three_classes import ThreeClassScores
from pneumobench.leaderboard.uncertainty import Uncertainty
from pneumobench.metrics.comparison import AucDifference
from pneumobench.records.cost_table import CostTable
from pneumobench.suite.regions import Region

State: TypeAlias = Literal["complete", "incomplete", "failed", "not run"]
Kind: TypeAlias = Literal["network", "control", "ensemble"]
STATE_ORDER: Final[tuple[State, ...]] = ("complete", "incomplete", "failed", "not run")


@dataclass(frozen=True, kw_only=True)
class CostSummary:
    """Cost of one architecture over its completed folds; None = not measured.

    `step_seconds` is the median over folds of a job's median training step; `training_seconds`, wall time, is the sum
    over folds, `inference_images_per_second` the mean, `peak_memory_mib` the largest.
    """

    parameters: int
    trainable_parameters: int
    flops_per_image: int | None
    step_seconds: float | None
    training_seconds: float | None
    inference_images_per_second: float | None
    peak_memory_mib: float | None


@dataclass(frozen=True, kw_only=True)
class Row:
    """One architecture of the leaderboard.

    Args:
        rank: place among the complete networks, from 1; None for the others.
        architecture: its name.
        plugin: where a plugin architecture comes from; None for timm.
        weights_origin: `random`, `timm:...` or `file:...`, behind `frozen_logistic:` or `frozen_neighbours:` where only
            a last layer was fitted; empty when no job left a record.
        kind: a network, a shortcut baseline (control) or an ensemble of networks; only networks are ranked.
        clears_controls: whether its AUC is larger than that of the best control by a paired test (p < 0.05, Holm over
            all networks and ensembles); None for controls, for incomplete architectures, where no control was run, and
            where it clears those that were run but one that the suite asks for is missing.
        state: complete, incomplete, failed (no fold completed) or not run.
        status: the same in words, such as `3 of 5 folds`.
        in_top_group: cannot be told apart from the best (paired test by patient, Holm over all pairs).
        out_of_fold: its test images of all folds; over the folds there are when incomplete.
        folds: the test part of each completed fold.
        fold_spread: mean and deviation of `folds`.
        three_classes: normal, bacterial and viral, of the same images; None of two classes.
        official: the official test folder, mean probability of the folds' models; None when there is none.
        official_fold_spread: mean and deviation of the folds' models on the official test folder.
        official_three_classes: normal, bacterial and viral on the official test folder, mean of the folds' models.
        thresholds: probability threshold from the validation part, by fold.
        points: decisions at the thresholds that each rule chooses on the validation parts.
        uncertainty: how unsure it is out of fold, and what errors are left when it decides a declared share of images;
            None without a completed fold.
        official_uncertainty: the same on the official test folder, of the mean of the folds' models.
        attention: lung attention by method and mask tier, the largest set first.
        ablation: AUC out of fold with a region of the image masked, `none` first; empty where it was not asked.
        methods: attribution methods that were checked.
        layer: where the heat maps were taken from.
        grid: rows and columns of that layer's map.
        cost: what training and inference cost.
        predictions: out-of-fold rows, for curves; empty when no fold completed.
        official_predictions: official test rows with the mean probability.
    """

    rank: int | None
    architecture: str
    plugin: str | None
    weights_origin: str
    kind: Kind
    clears_controls: bool | None
    state: State
    status: str
    in_top_group: bool
    out_of_fold: Scores | None
    folds: dict[int, Scores]
    fold_spread: dict[str, MeanSpread]
    three_classes: ThreeClassScores | None
    official: Scores | None
    official_fold_spread: dict[str, MeanSpread]
    official_three_classes: ThreeClassScores | None
    thresholds: dict[int, float]
    points: dict[str, ChosenPoint]
    uncertainty: Uncertainty | None
    official_uncertainty: Uncertainty | None
    attention: tuple[AttentionSummary, ...]
    ablation: dict[str, AblationScore]
    methods: tuple[MethodSummary, ...]
    layer: str | None
    grid: tuple[int, int] | None
    cost: CostSummary | None
    predictions: pd.DataFrame
    official_predictions: pd.DataFrame

    @property
    def is_control(self) -> bool:
        """Whether this is a control."""
        return self.kind == "control"


@dataclass(frozen=True, kw_only=True)
class Ensemble:
    """What an ensemble is made of, and what it gains.

    Args:
        name: its row.
        weights: weight of each network, mean over folds, the largest first.
        against_best: its area out of fold against that of the best network, on the same patients.
        gain: its area minus that of the best network.
    """

    name: str
    weights: dict[str, float]
    against_best: AucDifference
    gain: float


@dataclass(frozen=True, kw_only=True)
class FailedJob:
    """A job that did not complete, and why."""

    architecture: str
    fold: int
    status: str
    reason: str


@dataclass(frozen=True, kw_only=True)
class Provenance:
    """What the numbers rest on. Values that differ between jobs are all listed, sorted."""

    hashes: dict[str, str]
    software: dict[str, tuple[str, ...]]
    hardware: dict[str, tuple[str, ...]]
    first_record: str
    last_record: str


@dataclass(frozen=True, kw_only=True)
class Leaderboard:
    """Everything the tables and the page show.

    Args:
        suite: name of the suite.
        task: binary or three_class.
        source: where the radiographs come from, `data.source` of the suite.
        patient_rule: which images of Kermany et al. count as one child, see DataSpec.
        seed: seed of the suite.
        protocol: how images were split, see FoldSpec.
        folds: number of folds.
        epochs: epochs of training each job was given; 0 where networks are frozen.
        image_side_px: side of the square the networks saw.
        channels: 1 (gray) or 3.
        region: what of the images the networks were trained and tested on, see DataSpec.
        training_images: about how many images each fold was trained on; None = all.
        training_seed: seed of the trainings; None = that of the suite.
        images, pneumonia_images, patients, groups: of the cross-validated set.
        official_images, official_pneumonia_images, official_patients: of the official test folder, else 0.
        official_patients_trained_on: patient names of the official test folder that networks were trained on too.
        patients_unknown: images, of either set, whose patient is not known and that count as one each.
        held_out: whether the official figures are of a part that was held out by patient, not of the official folder.
        rows: networks, ensembles and controls, best first.
        ensembles: what each ensemble is made of.
        differences: every pair of complete networks.
        against_control: every complete network and ensemble against the best control, best first, Holm over these;
            empty where no control was run on all folds.
        failures: jobs that did not complete.
        provenance: hashes, versions and machine.
        cost: what each architecture takes, measured in a pass of its own; None where it was not.
        ranked_folds: the folds that the ranking is made on, where no network has completed all; empty = all.
        notes: what of the run's files could not be checked, and what is left out of this copy.
        missing: controls and explanations that the suite asks for and that are not there.
    """

    suite: str
    task: str
    source: str
    patient_rule: str
    seed: int
    protocol: str
    folds: int
    epochs: int
    image_side_px: int
    channels: int
    region: Region
    images: int
    pneumonia_images: int
    patients: int
    groups: int
    official_images: int
    official_pneumonia_images: int
    official_patients: int
    official_patients_trained_on: int
    held_out: bool
    rows: tuple[Row, ...]
    ensembles: tuple[Ensemble, ...]
    differences: tuple[AucDifference, ...]
    against_control: tuple[AucDifference, ...]
    failures: tuple[FailedJob, ...]
    provenance: Provenance
    cost: CostTable | None = None
    patients_unknown: int = 0
    training_images: int | None = None
    training_seed: int | None = None
    ranked_folds: tuple[int, ...] = ()
    notes: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()

    @property
    def models(self) -> int:
        """How many models of an architecture a row is made of: one a fold that is ranked."""
        return len(self.ranked_folds) or self.folds

    @property
    def networks(self) -> tuple[Row, ...]:
        """The rows of the networks."""
        return tuple(row for row in self.rows if row.kind == "network")
