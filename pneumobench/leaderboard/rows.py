"""A row of the leaderboard from the predictions of its folds: of a network, a control or an ensemble."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import pandas as pd

from pneumobench.leaderboard.board import CostSummary, Kind, Row, State
from pneumobench.leaderboard.checks import AblationScore
from pneumobench.leaderboard.lung_attention import AttentionSummary
from pneumobench.leaderboard.map_checks import MethodSummary
from pneumobench.leaderboard.scores import (
    FoldModel,
    Scores,
    area_of,
    chosen_points,
    fold_scores,
    official_predictions,
    official_scores,
    out_of_fold_predictions,
    out_of_fold_scores,
    spread,
)
from pneumobench.leaderboard.three_classes import three_class_scores
from pneumobench.leaderboard.uncertainty import uncertainty_on_official, uncertainty_out_of_fold
from pneumobench.metrics.estimates import PatientEstimate
from pneumobench.records.job_record import JobRecord


@dataclass(frozen=True, kw_only=True)
class Entry:
    """Whose predictions a row is made of, and their scores out of fold: all that placing it among others needs.

    Args:
        name, kind, state, status, weights_origin, plugin, cost: as in Row.
        models: the folds that are there.
        predictions: their out-of-fold rows, sorted by image_id; empty without models.
        out_of_fold: scores of `predictions`; None without models.
        area: their AUC with the influence of every patient; None without models.
    """

    name: str
    kind: Kind
    state: State
    status: str
    weights_origin: str
    plugin: str | None
    cost: CostSummary | None
    models: list[FoldModel]
    predictions: pd.DataFrame
    out_of_fold: Scores | None
    area: PatientEstimate | None

    @property
    def is_complete_network(self) -> bool:
        """Whether it is ranked."""
        return self.state == "complete" and self.kind == "network"


@dataclass(frozen=True, kw_only=True)
class Place:
    """Where an entry stands among the others; the fields are those of Row."""

    rank: int | None
    in_top_group: bool
    clears_controls: bool | None


@dataclass(frozen=True, kw_only=True)
class HeatMaps:
    """What the heat maps of an entry came to; the fields are those of Row."""

    attention: tuple[AttentionSummary, ...]
    ablation: dict[str, AblationScore]
    methods: tuple[MethodSummary, ...]
    layer: str | None
    grid: tuple[int, int] | None


NO_HEAT_MAPS: Final = HeatMaps(attention=(), ablation={}, methods=(), layer=None, grid=None)


def scored_entry(
    name: str,
    models: list[FoldModel],
    group: pd.Series[int],
    *,
    kind: Kind,
    state: State,
    status: str,
    weights_origin: str,
    plugin: str | None,
    cost: CostSummary | None,
) -> Entry:
    """Score the out-of-fold predictions of an architecture.

    Args:
        name: name of the row.
        models: predictions of the folds that are there.
        group: patient group by image_id.
        kind: network, control or ensemble.
        state: whether all folds are there.
        status: the same in words.
        weights_origin: where the weights come from.
        plugin: where a plugin architecture comes from.
        cost: what training and inference cost.
    """
    predictions = out_of_fold_predictions(models) if models else _no_predictions()
    return Entry(
        name=name,
        kind=kind,
        state=state,
        status=status,
        weights_origin=weights_origin,
        plugin=plugin,
        cost=cost,
        models=models,
        predictions=predictions,
        out_of_fold=out_of_fold_scores(models, group) if models else None,
        area=area_of(predictions, group) if models else None,
    )


def leaderboard_row(entry: Entry, place: Place, heat_maps: HeatMaps, group: pd.Series[int]) -> Row:
    """Return the whole row of an entry.

    Args:
        entry: its predictions.
        place: where it stands.
        heat_maps: what they came to; NO_HEAT_MAPS where there are none.
        group: patient group by image_id.
    """
    models = entry.models
    by_fold = {model.fold: fold_scores(model, model.test) for model in models}
    has_official = bool(models) and models[0].official["label"].nunique() == 2
    official = official_predictions(models) if has_official else _no_predictions()
    return Row(
        rank=place.rank,
        architecture=entry.name,
        plugin=entry.plugin,
        weights_origin=entry.weights_origin,
        kind=entry.kind,
        clears_controls=place.clears_controls,
        state=entry.state,
        status=entry.status,
        in_top_group=place.in_top_group,
        out_of_fold=entry.out_of_fold,
        folds=by_fold,
        fold_spread=spread(list(by_fold.values())) if models else {},
        three_classes=three_class_scores(entry.predictions, group),
        official=official_scores(models, group) if has_official else None,
        official_fold_spread=spread([fold_scores(m, m.official) for m in models]) if has_official else {},
        official_three_classes=three_class_scores(official, group),
        thresholds={model.fold: model.threshold for model in models},
        points=chosen_points(models),
        uncertainty=uncertainty_out_of_fold(models) if models else None,
        official_uncertainty=uncertainty_on_official(models) if has_official else None,
        attention=heat_maps.attention,
        ablation=heat_maps.ablation,
        methods=heat_maps.methods,
        layer=heat_maps.layer,
        grid=heat_maps.grid,
        cost=entry.cost,
        predictions=entry.predictions,
        official_predictions=official,
    )


def _no_predictions() -> pd.DataFrame:
    return pd.DataFrame(columns=["image_id", "label", "probability"])


def job_state(records: list[JobRecord], folds: int, ranked: int) -> tuple[State, str]:
    """Return how many folds of an architecture are there, as a state and in words.

    Args:
        records: its records, of the folds that are ranked.
        folds: folds of the suite.
        ranked: how many of them the ranking is made on; all of these are a complete row.
    """
    done = sum(record.completed for record in records)
    broken = sorted({record.status for record in records if not record.completed})
    if done == ranked:
        return "complete", f"{done} of {folds} folds"
    suffix = f", {' and '.join(broken)}" if broken else ""
    if done:
        return "incomplete", f"{done} of {folds} folds{suffix}"
    return ("failed", f"0 of {folds} folds{suffix}") if broken else ("not run", "not run")


def summed_cost(done: list[JobRecord]) -> CostSummary | None:
    """Return the cost of an architecture over its completed jobs."""
    # records without this hash are of a version that wrote the memory of the process and of all that it ran before
    measured = [(record.cost, "initial_weights" in record.hashes) for record in done if record.cost is not None]
    costs = [cost for cost, _ in measured]
    if not costs:
        return None
    steps = [cost.step_seconds for cost in costs if cost.step_seconds is not None]
    seconds = [cost.training_seconds for cost in costs if cost.training_seconds is not None]
    speeds = [c.inference_images_per_second for c in costs if c.inference_images_per_second is not None]
    peaks = [cost.peak_memory_mib for cost, knows in measured if knows and cost.peak_memory_mib is not None]
    return CostSummary(
        parameters=costs[0].parameters,
        trainable_parameters=costs[0].trainable_parameters,
        flops_per_image=costs[0].flops_per_image,
        step_seconds=float(np.median(steps)) if steps else None,
        training_seconds=float(np.sum(seconds)) if seconds else None,
        inference_images_per_second=float(np.mean(speeds)) if speeds else None,
        peak_memory_mib=max(peaks) if peaks else None,
    )


def cost_together(costs: Sequence[CostSummary | None]) -> CostSummary | None:
    """Return the cost of an ensemble: all networks are trained, kept and asked one after the other."""
    known = [cost for cost in costs if cost is not None]
    if len(known) < len(costs):
        return None
    flops = [cost.flops_per_image for cost in known if cost.flops_per_image is not None]
    steps = [cost.step_seconds for cost in known if cost.step_seconds is not None]
    seconds = [cost.training_seconds for cost in known if cost.training_seconds is not None]
    speeds = [cost.inference_images_per_second for cost in known if cost.inference_images_per_second]
    peaks = [cost.peak_memory_mib for cost in known if cost.peak_memory_mib is not None]
    whole = len(known)
    return CostSummary(
        parameters=sum(cost.parameters for cost in known),
        trainable_parameters=sum(cost.trainable_parameters for cost in known),
        flops_per_image=sum(flops) if len(flops) == whole else None,
        step_seconds=float(np.sum(steps)) if len(steps) == whole else None,
        training_seconds=float(np.sum(seconds)) if len(seconds) == whole else None,
        inference_images_per_second=float(1 / np.sum(1 / np.array(speeds))) if len(speeds) == whole else None,
        peak_memory_mib=max(peaks) if len(peaks) == whole else None,
    )
