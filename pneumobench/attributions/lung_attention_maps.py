"""The main maps of a fold: Grad-CAM of its test images, and the share of each map that lies in the lungs."""

from __future__ import annotations

import time
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from zipfile import BadZipFile

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor

from pneumobench.architectures import Architecture
from pneumobench.attributions.grad_cam import IMAGES_PER_PASS, ChosenLayer, choose_layer, grad_cam, positive_heat
from pneumobench.datasets.datamodule import FoldImages
from pneumobench.errors import RecordError
from pneumobench.files import written_whole
from pneumobench.lungs.masks import LungMasks
from pneumobench.metrics.lung_attention import lung_attention_ratio

MAIN_METHOD: Final = "gradcam"  # the lung attention of a network is that of its maps
MAPS_FILE: Final = "maps.npz"


@dataclass(frozen=True, kw_only=True)
class LungAttentionMaps:
    """Main maps of test images of a fold and their lung attention.

    Args:
        attention: columns image_id, fold, label, method, mask_tier, lung_area, lar, lar_adjusted.
        chosen: layer and grid of the maps.
        rows: rows of the index that the maps belong to (B,).
        maps: Grad-CAM maps (B, rows, columns) on the layer's grid, signed; `positive_heat` brings them to the image.
        seconds: wall time of maps and scores.
    """

    attention: pd.DataFrame
    chosen: ChosenLayer
    rows: NDArray[np.int64]
    maps: NDArray[np.float32]
    seconds: float


def rows_with_lungs(images: FoldImages, masks: LungMasks, count: int | None, seed: int) -> NDArray[np.int64]:
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


def lung_attention_maps(
    architecture: Architecture,
    images: FoldImages,
    masks: LungMasks,
    rows: NDArray[np.int64],
    *,
    image_id: NDArray[np.object_],
    fold: int,
) -> LungAttentionMaps:
    """Return Grad-CAM maps and lung attention of rows of the index, in eval mode at float32.

    Raises:
        SettingsError: the architecture declares no usable heat-map layer.
    """
    device = next(architecture.module.parameters()).device
    side_px = images.radiographs.shape[1]
    chosen = choose_layer(architecture, side_px)
    parts, maps = [], []
    started = time.perf_counter()
    for start in range(0, len(rows), IMAGES_PER_PASS):
        some = rows[start : start + IMAGES_PER_PASS]
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
                    "method": MAIN_METHOD,
                    "mask_tier": masks.tier(),
                    "lung_area": attention.lung_area,
                    "lar": attention.ratio,
                    "lar_adjusted": attention.adjusted,
                }
            )
        )
    return LungAttentionMaps(
        attention=pd.concat(parts, ignore_index=True),
        chosen=chosen,
        rows=rows,
        maps=np.concatenate(maps),
        seconds=time.perf_counter() - started,
    )


def write_maps(folder: Path, found: LungAttentionMaps) -> None:
    """Write the maps on their grid, with their rows of the index, to maps.npz in the job's folder `attributions`."""
    with written_whole(folder / MAPS_FILE) as temporary:
        np.savez_compressed(temporary, rows=found.rows, maps=found.maps)


def read_heat(folder: Path, rows: NDArray[np.int64], side_px: int) -> Tensor | None:
    """Return the maps that `write_maps` kept, at the size of the image, of these rows of the index: (B, side, side).

    None where the file is not there, as in a published run, or one of the rows is not in it.

    Raises:
        RecordError: the file is damaged.
    """
    path = folder / MAPS_FILE
    if not path.is_file():
        return None
    try:
        with np.load(path) as kept:
            place = {int(row): i for i, row in enumerate(kept["rows"])}
            grid_maps = np.asarray(kept["maps"], dtype=np.float32)
        if grid_maps.ndim != 3 or len(grid_maps) != len(place):
            raise ValueError(f"{len(place)} rows and maps {grid_maps.shape}")
    except (OSError, EOFError, ValueError, TypeError, KeyError, BadZipFile, zlib.error) as error:
        raise RecordError(
            f"{path}: found no heat maps ({error}), expected rows (B,) and maps (B, rows, columns). Delete the file: "
            "the maps are then computed again from the weights."
        ) from error
    if not all(int(row) in place for row in rows):
        return None
    return positive_heat(torch.from_numpy(grid_maps[[place[int(row)] for row in rows]]), side_px)
