"""A finished run -> images whose label its predictions doubt, as tables and, of a run of one's own, as pictures."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import cv2
import numpy as np

from pneumobench.errors import DataError, SettingsError
from pneumobench.leaderboard.label_noise import LabelDoubts, label_doubts
from pneumobench.radiographs.formats import read_gray
from pneumobench.radiographs.geometry import image_to_square
from pneumobench.reporting.label_table import write_label_tables
from pneumobench.runs.audited import RunPredictions, image_root, run_predictions

DRAWN: Final = 60  # candidates of each part that are drawn at most
TILES_BESIDE: Final = 5
TITLE_LETTERS: Final = 40  # above a tile


@dataclass(frozen=True, kw_only=True)
class LabelTables:
    """The candidates of a run, and where they are written.

    Args:
        page: the tables as Markdown.
        parts: `out_of_fold`, and `official` where there is an official test folder.
        pictures: the drawn candidates, a picture each part; empty where they were not asked for.
    """

    page: Path
    parts: dict[str, LabelDoubts]
    pictures: tuple[Path, ...] = ()


def labels_of_run(path: Path, *, gallery: bool = False, data: str | None = None) -> LabelTables:
    """Find the labels that the predictions of a run, published or not, doubt, and write the tables.

    Args:
        path: folder of the run.
        gallery: draw the first candidates into `gallery/`, which is never published.
        data: folder of the images, for the gallery; None = as the suite says.

    Raises:
        RecordError: a file of the run was changed.
        DataError: an image that is to be drawn is missing.
        SettingsError: no network is complete, cleanlab is not installed, or pictures are asked of a published run.
    """
    if gallery and not any(path.glob("*/fold-*/weights.safetensors")):
        raise SettingsError(f"{path}: is a published run, into which no image is drawn; leave out --gallery.")
    root = image_root(path, data) if gallery else Path()
    found = run_predictions(path)
    parts = doubts_of(found)
    page = write_label_tables(found.run.folder, parts)
    pictures = _drawn(found, parts, root) if gallery else ()
    return LabelTables(page=page, parts=parts, pictures=pictures)


def doubts_of(found: RunPredictions) -> dict[str, LabelDoubts]:
    """Return the labels that predictions doubt: `out_of_fold`, and `official` where that folder has both classes.

    Raises:
        SettingsError: there is no network, or cleanlab is not installed.
    """
    parts = {"out_of_fold": label_doubts(found.out_of_fold, found.kinds)}
    if next(iter(found.official.values()))["label"].nunique() == 2:
        parts["official"] = label_doubts(found.official, found.kinds)
    return parts


def _drawn(found: RunPredictions, parts: dict[str, LabelDoubts], root: Path) -> tuple[Path, ...]:
    from pneumobench.attributions.overlays import (  # here: PyTorch is among its imports
        OVERLAY_SIDE_PX,
        Tile,
        write_panel,
    )

    def tile(row: dict[Any, Any]) -> Tile:
        path = root / row["image_id"]
        if not path.is_file():
            raise DataError(f"{path}: no such image; name the folder of the run's images with --data.")
        gray = image_to_square(read_gray(path), OVERLAY_SIDE_PX)
        title = f"{row['given']}? {row['quality']:.2f}, {row['networks_doubting']}/{row['networks']}  {path.stem}"
        return Tile(title=title[:TITLE_LETTERS], picture=np.asarray(cv2.cvtColor(gray, cv2.COLOR_GRAY2RGB), np.uint8))

    pictures = []
    for part, doubts in parts.items():
        tiles = [tile(row) for row in doubts.table.head(DRAWN).to_dict("records")]
        if tiles:
            rows = [tiles[start : start + TILES_BESIDE] for start in range(0, len(tiles), TILES_BESIDE)]
            pictures.append(picture := found.run.folder.gallery / f"labels-{part}.jpg")
            write_panel(picture, rows)
    return tuple(pictures)
