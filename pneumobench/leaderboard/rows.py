"""A row of the leaderboard from the predictions of its folds: of a network, a control or an ensemble."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from pneumobench.leaderboard.board import CostSummary, Kind, Row, State
from pneumobench.leaderboard.scores import (
    FoldModel,
    chosen_points,
    fold_scores,
    official_predictions,
    official_scores,
    pooled_predictions,
    pooled_scores,
    spread,
)
from pneumobench.leaderboard.three_classes import three_class_scores
from pneumobench.records.job_record import JobRecord


def scored_row(
    name: str,
    models: list[FoldModel],
    group: pd.Series[int],
    *,
    kind: Kind,
    state: State,
    status: str,
    weights_origin: str,
    cost: CostSummary | None,
) -> Row:
    """Return a row with all scores that follow from predictions; rank, comparisons and heat maps are added later.

    Args:
        name: name of the row.
        models: predictions of the folds that are there.
        group: patient group by image_id.
        kind: network, control or ensemble.
        state: whether all folds are there.
        status: the same in words.
        weights_origin: where the weights come from.
        cost: what training and inference cost.
    """
    by_fold = {model.fold: fold_scores(model, model.test) for model in models}
    has_official = bool(models) and models[0].official["label"].nunique() == 2
    empty = pd.DataFrame(columns=["image_id", "label", "probability"])
    pooled = pooled_predictions(models) if models else empty
    official = official_predictions(models) if has_official else empty
    return Row(
        rank=None,
        architecture=name,
        plugin=None,
        weights_origin=weights_origin,
        kind=kind,
        clears_controls=None,
        state=state,
        status=status,
        in_top_group=False,
        pooled=pooled_scores(models, group) if models else None,
        folds=by_fold,
        fold_spread=spread(list(by_fold.values())) if models else {},
        three_classes=three_class_scores(pooled, group),
        official=official_scores(models, group) if has_official else None,
        official_fold_spread=spread([fold_scores(m, m.official) for m in models]) if has_official else {},
        official_three_classes=three_class_scores(official, group),
        thresholds={model.fold: model.threshold for model in models},
        points=chosen_points(models),
        attention=(),
        ablation={},
        methods=(),
        layer=None,
        grid=None,
        cost=cost,
        predictions=pooled,
        official_predictions=official,
    )


def job_state(records: list[JobRecord], folds: int) -> tuple[State, str]:
    """Return how many folds of an architecture are there, as a state and in words."""
    done = sum(record.completed for record in records)
    broken = sorted({record.status for record in records if not record.completed})
    if done == folds:
        return "complete", f"{done} of {folds} folds"
    suffix = f", {' and '.join(broken)}" if broken else ""
    if done:
        return "incomplete", f"{done} of {folds} folds{suffix}"
    return ("failed", f"0 of {folds} folds{suffix}") if broken else ("not run", "not run")


def summed_cost(done: list[JobRecord]) -> CostSummary | None:
    """Return the cost of an architecture over its completed jobs."""
    costs = [record.cost for record in done if record.cost is not None]
    if not costs:
        return None
    seconds = [cost.training_seconds for cost in costs if cost.training_seconds is not None]
    speeds = [c.inference_images_per_second for c in costs if c.inference_images_per_second is not None]
    peaks = [cost.peak_memory_mib for cost in costs if cost.peak_memory_mib is not None]
    return CostSummary(
        parameters=costs[0].parameters,
        trainable_parameters=costs[0].trainable_parameters,
        flops_per_image=costs[0].flops_per_image,
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
    seconds = [cost.training_seconds for cost in known if cost.training_seconds is not None]
    speeds = [cost.inference_images_per_second for cost in known if cost.inference_images_per_second]
    peaks = [cost.peak_memory_mib for cost in known if cost.peak_memory_mib is not None]
    whole = len(known)
    return CostSummary(
        parameters=sum(cost.parameters for cost in known),
        trainable_parameters=sum(cost.trainable_parameters for cost in known),
        flops_per_image=sum(flops) if len(flops) == whole else None,
        training_seconds=float(np.sum(seconds)) if len(seconds) == whole else None,
        inference_images_per_second=float(1 / np.sum(1 / np.array(speeds))) if len(speeds) == whole else None,
        peak_memory_mib=max(peaks) if len(peaks) == whole else None,
    )
