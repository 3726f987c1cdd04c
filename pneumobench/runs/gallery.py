"""Pictures of a run: every error of each network with its heat maps, worst first, and mean maps by class."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import track

from pneumobench.architectures import Architecture
from pneumobench.attributions.faithfulness import SCORED_TOGETHER
from pneumobench.attributions.lung_attention_maps import rows_with_lungs
from pneumobench.attributions.methods import AttributionMethod
from pneumobench.attributions.overlays import Tile, draw_overlay, write_panel
from pneumobench.errors import NotAvailableError
from pneumobench.leaderboard.lung_attention import outcome_of
from pneumobench.metrics.lung_attention import lung_attention_ratio
from pneumobench.records.job_record import JobRecord
from pneumobench.reporting.gallery import ErrorImage, GalleryNetwork, write_gallery_pages
from pneumobench.runs.context import Bench
from pneumobench.runs.networks import trained_network
from pneumobench.suite.spec import CLASSES

RADIOGRAPH, LUNGS = "mean image", "mean lungs"  # no method can have these names
CLASS_WORDS = {1: "pneumonia", 0: "normal"}
CLASS_TARGETS = {f" {name}": number for number, name in enumerate(CLASSES, start=1)}  # columns of `class_scores`


@dataclass(frozen=True, kw_only=True, eq=False)
class HeatMaps:
    """Heat maps of B images by one network.

    Args:
        rows: rows of the index (B,).
        radiographs: (B, side, side) uint8.
        heat: maps (B, side, side) by method, and for three classes by method and class; a method that is not available
            for the network is missing.
    """

    rows: NDArray[np.int64]
    radiographs: NDArray[np.uint8]
    heat: dict[str, NDArray[np.float32]]


def heat_maps(
    bench: Bench, architecture: Architecture, fold: int, methods: Sequence[AttributionMethod], rows: NDArray[np.int64]
) -> HeatMaps:
    """Return the maps of rows of the index by each method that is available for the network of a fold."""
    radiographs = np.array(bench.seen(fold)[rows])
    return HeatMaps(rows=rows, radiographs=radiographs, heat=maps_of(architecture, methods, radiographs)[0])


def maps_of(
    architecture: Architecture, methods: Sequence[AttributionMethod], radiographs: NDArray[np.uint8]
) -> tuple[dict[str, NDArray[np.float32]], dict[str, str]]:
    """Return maps of images (B, side, side), and by method why it has none.

    Maps are of pneumonia by each method, then of each class where there are three.
    """
    heat, reasons = {}, {}
    for method in methods:
        for words, target in {"": 0, **(CLASS_TARGETS if architecture.outputs > 1 else {})}.items():
            try:
                maps = method.attribute(architecture, torch.from_numpy(radiographs)[:, None], target)
            except NotAvailableError as error:
                reasons[method.name] = str(error)
                continue
            heat[method.name + words] = maps.cpu().numpy()
    return heat, reasons


def write_galleries(
    bench: Bench, jobs: Sequence[JobRecord], methods: Sequence[AttributionMethod], console: Console
) -> Path:
    """Draw the pages `gallery/index.html` and `gallery/ARCHITECTURE.html` of a run and return the first.

    Images are on these pages: those of patients stay where the data are.

    Args:
        bench: data and settings of the run.
        jobs: completed networks.
        methods: attribution methods, in the order in which they are shown.
        console: where progress is shown.

    Raises:
        RecordError: weights or predictions are missing or changed.
    """
    errors: dict[str, list[ErrorImage]] = {}
    means: dict[str, _MeanMaps] = {}
    for job in track(jobs, "drawing", console=console, transient=True, disable=not console.is_terminal):
        architecture, mean = (
            trained_network(bench.suite, bench.folder, job),
            means.setdefault(job.architecture, _MeanMaps()),
        )
        images = bench.fold_images(job.fold)
        sample = rows_with_lungs(images, bench.masks, bench.suite.explanation.checked_images_per_fold, bench.suite.seed)
        for some in _parts(sample):
            mean.add(bench, heat_maps(bench, architecture, job.fold, methods, some))
        errors.setdefault(job.architecture, []).extend(_error_images(bench, job, architecture, methods))
    networks = []
    for name, radiographs in errors.items():
        picture = None
        if tiles := means[name].tiles():
            picture = f"{name}/mean.jpg"
            write_panel(bench.folder.gallery / picture, tiles)
        folds = tuple(job.fold for job in jobs if job.architecture == name)
        worst_first = tuple(sorted(radiographs, key=lambda radiograph: -radiograph.error))
        networks.append(GalleryNetwork(architecture=name, folds=folds, errors=worst_first, means=picture))
    return write_gallery_pages(bench.folder, bench.suite.name, networks)


def _parts(rows: NDArray[np.int64]) -> list[NDArray[np.int64]]:
    return np.split(rows, range(SCORED_TOGETHER, len(rows), SCORED_TOGETHER)) if len(rows) else []


def _error_images(
    bench: Bench, job: JobRecord, architecture: Architecture, methods: Sequence[AttributionMethod]
) -> list[ErrorImage]:
    """Draw every test image that the network of a fold calls wrongly."""
    scored = bench.folder.predictions(job)
    scored = scored[scored["split"] == "test"]
    outcome = outcome_of(scored["probability"], scored["label"])
    said = scored.assign(outcome=outcome).set_index("image_id")[["outcome", "probability", "logit"]]
    wrong = bench.index.table.join(said[said["outcome"].isin(["fn", "fp"])], on="image_id", how="inner")
    drawn = []
    for some in _parts(wrong.index.to_numpy(np.int64)):
        maps = heat_maps(bench, architecture, job.fold, methods, some)
        for i, (row, radiograph) in enumerate(zip(some, wrong.loc[some].to_dict("records"), strict=True)):
            lungs = bench.masks.of_rows(some[i : i + 1])[0] if bench.masks.has(int(row)) else None
            picture = f"{job.architecture}/{job.fold}-{row:06d}.jpg"
            tiles = image_tiles(maps.radiographs[i], {name: heat[i] for name, heat in maps.heat.items()}, lungs)
            write_panel(bench.folder.gallery / picture, [tiles])
            drawn.append(
                ErrorImage(
                    picture=picture,
                    outcome=radiograph["outcome"],
                    image_id=radiograph["image_id"],
                    subtype=radiograph["subtype"],
                    fold=job.fold,
                    probability=radiograph["probability"],
                    error=abs(radiograph["logit"]),
                )
            )
    return drawn


def lung_share(heat: NDArray[np.float32], lungs: NDArray[np.bool_] | None) -> float | None:
    """Return the LAR of one map (H, W), or None without lungs, without positive heat, or of a refused map."""
    if lungs is None or bool(np.isnan(heat).any()):
        return None
    ratio = float(lung_attention_ratio(heat[None], lungs[None]).ratio[0])
    return None if np.isnan(ratio) else ratio


def _map_title(name: str, names: Collection[str]) -> str:
    """Return what stands above a map: its method, and what it explains where that is not always the same."""
    words = name.replace("_", " ")
    return f"{words} pneumonia" if f"{name} {CLASSES[0]}" in names else words


def image_tiles(
    radiograph: NDArray[np.uint8], heat: dict[str, NDArray[np.float32]], lungs: NDArray[np.bool_] | None
) -> list[Tile]:
    """Return the image with its lungs outlined, then its map by each method."""
    tiles = [Tile(title="image", picture=draw_overlay(radiograph, None, lungs))]
    for name, one in heat.items():
        share, refused = lung_share(one, lungs), bool(np.isnan(one).any())
        said = " refused" if refused else "" if share is None else f"  LAR {share:.2f}"
        picture = draw_overlay(radiograph, None if refused else one, lungs)
        tiles.append(Tile(title=_map_title(name, heat) + said, picture=picture))
    return tiles


class _MeanMaps:
    """Sums of images, lung masks and maps (each map scaled to sum to one) by class, over the folds of a network."""

    def __init__(self) -> None:
        self.words = CLASS_WORDS
        self.sums: dict[tuple[int, str], tuple[int, NDArray[np.float64]]] = {}  # (class, what) -> (count, sum)

    def add(self, bench: Bench, maps: HeatMaps) -> None:
        """Count further maps."""
        lungs = bench.masks.of_rows(maps.rows)
        classes = bench.three_classes()
        label_of = bench.index.table["label"].to_numpy() if classes is None else classes
        if classes is not None:
            self.words = dict(enumerate(CLASSES))
        for i, label in enumerate(label_of[maps.rows].tolist()):
            self._count(label, RADIOGRAPH, maps.radiographs[i])
            self._count(label, LUNGS, lungs[i])
            for name, heat in maps.heat.items():
                positive = np.maximum(heat[i], 0)
                if positive.sum() > 0:  # not where the method refused the image: NaN
                    self._count(label, name, positive / positive.sum())

    def _count(self, label: int, what: str, picture: NDArray[Any]) -> None:
        count, total = self.sums.get((label, what), (0, np.zeros(picture.shape)))
        self.sums[label, what] = (count + 1, total + picture)

    def _mean(self, label: int, what: str) -> NDArray[np.float32] | None:
        count, total = self.sums.get((label, what), (0, np.zeros(())))
        return (total / count).astype(np.float32) if count else None

    def tiles(self) -> list[list[Tile]]:
        """Return a row for each class: the mean image, then the mean map by each method over it."""
        names = [name for name in dict.fromkeys(what for _, what in self.sums) if name not in (RADIOGRAPH, LUNGS)]
        rows = []
        for label, words in self.words.items():
            radiograph, lungs = self._mean(label, RADIOGRAPH), self._mean(label, LUNGS)
            if radiograph is None or lungs is None:
                continue
            gray, outline = radiograph.round().astype(np.uint8), lungs >= 0.5
            title = f"{words}: mean of {self.sums[label, RADIOGRAPH][0]} images"
            row = [Tile(title=title, picture=draw_overlay(gray, None, outline))]
            for name in names:
                picture = draw_overlay(gray, self._mean(label, name), outline)
                row.append(Tile(title=_map_title(name, names), picture=picture))
            rows.append(row)
        return rows
