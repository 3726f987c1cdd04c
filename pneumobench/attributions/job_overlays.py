"""Pictures of a job: its main maps over the images that it called most wrongly and most rightly."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from pneumobench.attributions.grad_cam import positive_heat
from pneumobench.attributions.lung_attention_maps import LungAttentionMaps
from pneumobench.attributions.overlays import draw_overlay, encode_png
from pneumobench.datasets.datamodule import FoldImages
from pneumobench.files import written_whole
from pneumobench.lungs.masks import LungMasks


def write_overlays(
    folder: Path,
    found: LungAttentionMaps,
    images: FoldImages,
    masks: LungMasks,
    probability: NDArray[np.float64],
    *,
    count: int,
) -> None:
    """Write pictures of images with their maps, and overlays.json, which lists them, into a folder.

    Args:
        folder: `attributions` folder of the job.
        found: the main maps.
        images: images of the fold.
        masks: lung masks.
        probability: probabilities (B,) of the rows of the maps.
        count: number of pictures.
    """
    side_px = images.radiographs.shape[1]
    listed = []
    for number, (i, outcome) in enumerate(_worst_first(images.label[found.rows], probability, count)):
        row = found.rows[i : i + 1]
        heat = positive_heat(torch.from_numpy(found.maps[i : i + 1]), side_px)[0].numpy()
        picture = draw_overlay(np.array(images.radiographs[row[0]]), heat, masks.of_rows(row)[0])
        name = f"{number:02d}-{outcome}.png"
        with written_whole(folder / name) as temporary:
            temporary.write_bytes(encode_png(picture))
        attention = found.attention.iloc[i]
        lar = float(attention["lar"])
        listed.append(
            {
                "file": name,
                "image_id": str(attention["image_id"]),
                "outcome": outcome,
                "probability": round(float(probability[i]), 6),
                "label": int(attention["label"]),
                "lar": None if np.isnan(lar) else round(lar, 6),
            }
        )
    with written_whole(folder / "overlays.json") as temporary:
        temporary.write_text(json.dumps(listed, indent=1) + "\n", encoding="utf-8")


def _worst_first(label: NDArray[np.int64], probability: NDArray[np.float64], count: int) -> list[tuple[int, str]]:
    """Return up to `count` (position, outcome): worst false negatives and positives first, then right answers."""
    error = np.abs(probability - label)
    outcome = np.where(probability >= 0.5, np.where(label == 1, "tp", "fp"), np.where(label == 1, "fn", "tn"))
    wrong = [i for i in np.argsort(-error, kind="stable") if outcome[i] in ("fn", "fp")][: (count + 1) // 2]
    right = {kind: [int(i) for i in np.argsort(error, kind="stable") if outcome[i] == kind] for kind in ("tp", "tn")}
    order = [int(i) for i in wrong]
    while len(order) < count and any(right.values()):
        for kind in ("tp", "tn"):
            if right[kind] and len(order) < count:
                order.append(right[kind].pop(0))
    return [(i, str(outcome[i])) for i in order]
