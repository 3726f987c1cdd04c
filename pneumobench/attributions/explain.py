"""Explain one fold: Grad-CAM maps of test images, their lung attention, and overlays for the gallery."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from pneumobench.architectures import Architecture
from pneumobench.attributions.grad_cam import ChosenLayer, choose_layer, grad_cam, positive_heat
from pneumobench.attributions.overlays import draw_overlay, encode_png
from pneumobench.datasets.datamodule import FoldImages
from pneumobench.files import written_whole
from pneumobench.lungs.masks import LungMasks
from pneumobench.metrics.lung_attention import lung_attention_ratio

EXPLAINED_TOGETHER = 64  # images per pass; bounds memory
METHOD = "gradcam"


@dataclass(frozen=True, kw_only=True)
class Explained:
    """Lung attention of the explained images of a fold.

    Args:
        attention: columns image_id, fold, label, method, mask_tier, lung_area, lar, lar_adjusted.
        chosen: layer and grid of the maps.
        rows: rows of the index that were explained (B,).
        maps: Grad-CAM maps (B, rows, columns) on the layer's grid.
        seconds: wall time of maps and scores.
    """

    attention: pd.DataFrame
    chosen: ChosenLayer
    rows: NDArray[np.int64]
    maps: NDArray[np.float32]
    seconds: float


def rows_to_explain(images: FoldImages, masks: LungMasks, count: int | None, seed: int) -> NDArray[np.int64]:
    """Return test rows of a fold that have a lung mask of the data set's tier: all, or a seeded draw of `count`.

    The draw does not depend on the architecture, so all are judged on the same images.
    """
    rows = images.positions["test"]
    usable = masks.usable_rows()
    if usable is not None:
        rows = rows[np.isin(rows, usable)]
    if count is not None and count < len(rows):
        rows = np.sort(np.random.default_rng([seed, 2]).choice(rows, count, replace=False))
    return rows


def explain_rows(
    architecture: Architecture,
    images: FoldImages,
    masks: LungMasks,
    rows: NDArray[np.int64],
    *,
    image_id: NDArray[np.object_],
    fold: int,
) -> Explained:
    """Return Grad-CAM maps and lung attention of rows of the index, in eval mode at float32.

    Raises:
        SettingsError: the architecture declares no usable heat-map layer.
    """
    device = next(architecture.module.parameters()).device
    side_px = images.radiographs.shape[1]
    chosen = choose_layer(architecture, side_px)
    parts, maps = [], []
    started = time.perf_counter()
    for start in range(0, len(rows), EXPLAINED_TOGETHER):
        some = rows[start : start + EXPLAINED_TOGETHER]
        radiographs = torch.from_numpy(np.array(images.radiographs[some]))[:, None].to(device)
        some_maps = grad_cam(architecture, radiographs, chosen)
        attention = lung_attention_ratio(positive_heat(some_maps, side_px).cpu().numpy(), masks.of_rows(some))
        maps.append(some_maps.cpu().numpy())
        parts.append(
            pd.DataFrame(
                {
                    "image_id": image_id[some],
                    "fold": fold,
                    "label": images.label[some],
                    "method": METHOD,
                    "mask_tier": masks.tier(),
                    "lung_area": attention.lung_area,
                    "lar": attention.ratio,
                    "lar_adjusted": attention.adjusted,
                }
            )
        )
    return Explained(
        attention=pd.concat(parts, ignore_index=True),
        chosen=chosen,
        rows=rows,
        maps=np.concatenate(maps),
        seconds=time.perf_counter() - started,
    )


def _gallery_order(label: NDArray[np.int64], probability: NDArray[np.float64], count: int) -> list[tuple[int, str]]:
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


def write_gallery(
    folder: Path,
    explained: Explained,
    images: FoldImages,
    masks: LungMasks,
    probability: NDArray[np.float64],
    *,
    overlays: int,
) -> None:
    """Write maps.npz, the overlay pictures and overlays.json into a folder.

    Args:
        folder: `attributions` folder of the job.
        explained: maps of the explained rows.
        images: images of the fold.
        masks: lung masks.
        probability: probabilities of the explained rows (B,).
        overlays: number of pictures.
    """
    side_px = images.radiographs.shape[1]
    with written_whole(folder / "maps.npz") as temporary:
        np.savez_compressed(temporary, rows=explained.rows, maps=explained.maps)
    listed = []
    for number, (i, outcome) in enumerate(_gallery_order(images.label[explained.rows], probability, overlays)):
        row = explained.rows[i : i + 1]
        heat = positive_heat(torch.from_numpy(explained.maps[i : i + 1]), side_px)[0].numpy()
        picture = draw_overlay(np.array(images.radiographs[row[0]]), heat, masks.of_rows(row)[0])
        name = f"{number:02d}-{outcome}.png"
        with written_whole(folder / name) as temporary:
            temporary.write_bytes(encode_png(picture))
        attention = explained.attention.iloc[i]
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
