"""What a network of one architecture scores with a part of each image blanked, over folds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import pandas as pd

from pneumobench.leaderboard.scores import area_of
from pneumobench.metrics.intervals import Interval
from pneumobench.records.explanation_record import NOT_MASKED, Explanations

CALLED_POSITIVE: Final = 0.5  # probability from which an image is called pneumonia


@dataclass(frozen=True, kw_only=True)
class AblationScore:
    """AUC on out-of-fold images with one part blanked.

    Args:
        images: images scored: those with a lung mask.
        mask_tier: where the lung masks come from: drawn, segmented or box.
        auc: area under the ROC curve within folds; 0.5 = chance.
        interval: 95 % interval over patients.
        normals_called_positive: share of the normal images with a probability of at least 0.5; far from that of whole
            images = the masked ones are foreign to the network.
    """

    images: int
    mask_tier: str
    auc: float
    interval: Interval
    normals_called_positive: float


def ablation_scores(found: Sequence[Explanations], group: pd.Series[int]) -> dict[str, AblationScore]:
    """Return the scores by what was blanked, `none` first; empty where nothing was asked or one class is missing."""
    tables = [part.ablation for part in found if len(part.ablation)]
    if not tables:
        return {}
    rows = pd.concat(tables).sort_values(["blanking", "image_id"], ignore_index=True)
    scores = {}
    for region, part in rows.groupby("blanking", sort=True):
        has_pneumonia = part["label"].to_numpy() == 1
        if has_pneumonia.all() or not has_pneumonia.any():
            return {}
        area = area_of(part, group)
        scores[str(region)] = AblationScore(
            images=len(part),
            mask_tier=" and ".join(sorted({asked.record.mask_tier for asked in found})),
            auc=area.value,
            interval=area.area_interval(),
            normals_called_positive=float((part["probability"][~has_pneumonia] >= CALLED_POSITIVE).mean()),
        )
    return dict(sorted(scores.items(), key=lambda item: (item[0] != NOT_MASKED, item[0])))
