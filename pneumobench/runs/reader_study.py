"""A finished run -> a reader study: one folder that readers get, and the key that the investigator keeps."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray
from rich.console import Console

from pneumobench.attributions.lung_attention_maps import MAIN_METHOD
from pneumobench.attributions.methods import AttributionMethod, attribution_method
from pneumobench.attributions.overlays import draw_overlay, write_jpeg
from pneumobench.errors import NotAvailableError, SettingsError, suggestion
from pneumobench.files import temporary_folder, write_text
from pneumobench.leaderboard.reader_sample import draw_study_images
from pneumobench.leaderboard.scores import area_of
from pneumobench.lungs.crop import image_crop
from pneumobench.lungs.segmented import segmented_lungs
from pneumobench.radiographs.formats import read_gray
from pneumobench.radiographs.geometry import CropBox, cropped
from pneumobench.records.job_record import read_record
from pneumobench.records.loaded_run import gather, open_suite
from pneumobench.records.locks import claim_folder
from pneumobench.records.reader_study import (
    READERS_FOLDER,
    ReaderStudy,
    StudyImage,
    refuse_other_study,
    write_key,
)
from pneumobench.reporting.reader_page import HELP, IMAGES, reader_page
from pneumobench.runs.audited import RunPredictions, predictions_of
from pneumobench.runs.context import Bench, open_run
from pneumobench.runs.gallery import heat_maps
from pneumobench.runs.networks import trained_network
from pneumobench.suite.commands import MADE_ON_THE_SPOT
from pneumobench.suite.plugin_trust import plugins_to_run
from pneumobench.suite.registry import load_plugin_file
from pneumobench.training.cost import check_device
from pneumobench.training.keeping import quiet_lightning

LONGEST_SIDE_PX: Final = 1536  # of an image as readers get it: more than a screen shows of it
JPEG_QUALITY: Final = 95  # of what is read, not looked through


@dataclass(frozen=True, kw_only=True)
class WrittenStudy:
    """A reader study on disk.

    Args:
        study: its images.
        page: what readers open; its folder is all that they get.
        key: what the investigator keeps.
        empty_maps: how many heat maps have no colour, as no place speaks for pneumonia.
    """

    study: ReaderStudy
    page: Path
    key: Path
    empty_maps: int


def make_reader_study(
    path: Path,
    *,
    images: int,
    architecture: str | None = None,
    method: str = MAIN_METHOD,
    seed: int = 0,
    errors: float | None = None,
    to: Path | None = None,
    data: str | None = None,
    plugins: Sequence[str | Path] = (),
    trust_plugins: bool = False,
    console: Console,
) -> WrittenStudy:
    """Draw images of a finished run and write the page on which readers read them, with and without help.

    Help is the probability, after temperature scaling on the validation part, and the heat map of the network that has
    not learnt from the image. The same run and options give the same bytes.

    Args:
        path: folder of a run with its weights.
        images: how many images, of as many patients.
        architecture: whose help; None = the best of the leaderboard.
        method: attribution method of the heat maps.
        seed: another seed draws other images.
        errors: share of the images that the network calls wrongly; None = as in the run.
        to: folder of the study; None = `reader-study/` of the run, which is never published.
        data: folder of the images; None = as the suite says.
        plugins: plugin files; one stands for a file of its name that the suite lists.
        trust_plugins: execute the plugin files that the suite lists, whatever they are.
        console: where progress is shown.

    Raises:
        SettingsError: no architecture is complete, its name is not known, patients are too few, or the folder holds
            another study.
        NotAvailableError: the method has no map of the network.
        RecordError: weights or predictions are missing or changed.
        DataError: the images are not those of the run.
    """
    asked = attribution_method(method)
    folder, suite = open_suite(path)
    found = predictions_of(gather(path))
    name = _architecture(found, architecture)
    study = ReaderStudy(
        run=suite.name,
        architecture=name,
        method=method,
        seed=seed,
        images=draw_study_images(found.out_of_fold[name], found.group, images=images, seed=seed, errors=errors),
    )
    place = folder.reader_study if to is None else to
    refuse_other_study(place, study)
    for file in plugins_to_run(
        suite.architectures.plugins, path, named=[Path(p) for p in plugins], trusted=trust_plugins
    ):
        load_plugin_file(file)
    quiet_lightning()
    check_device(suite.training)
    bench = open_run(path, data, console)
    with claim_folder(path):
        readers = place / READERS_FOLDER
        with temporary_folder(place, READERS_FOLDER) as made:
            fresh = made / READERS_FOLDER
            heat = _heat(bench, study, asked)
            _write_pictures(bench, study, heat, fresh, cache=path.parent / ".cache")
            write_text(fresh / "index.html", reader_page(study, synthetic=suite.data.source == MADE_ON_THE_SPOT))
            shutil.rmtree(readers, ignore_errors=True)
            fresh.rename(readers)
        key = write_key(place, study)
    empty_maps = sum(not (one > 0).any() for one in heat.values())
    return WrittenStudy(study=study, page=readers / "index.html", key=key, empty_maps=empty_maps)


def _architecture(found: RunPredictions, asked: str | None) -> str:
    """Return the network that is asked for, or the one with the largest area under the ROC curve."""
    networks = [name for name, kind in found.kinds.items() if kind == "network"]
    if not networks:
        raise SettingsError(
            f"{found.run.folder.path}: found baselines alone, expected a network that completed all folds."
        )
    if asked is None:
        area = {name: area_of(found.out_of_fold[name], found.group).value for name in networks}
        return min(networks, key=lambda name: (1.0 if np.isnan(area[name]) else -area[name], name))
    if asked not in networks:
        hint = suggestion(asked, networks) or f"it has {', '.join(networks)}."
        raise SettingsError(f"{found.run.folder.path} has no network {asked!r} that completed all folds; {hint}")
    return asked


def _write_pictures(
    bench: Bench, study: ReaderStudy, heat: Mapping[str, NDArray[np.float32]], folder: Path, *, cache: Path
) -> None:
    """Write each image as readers get it, and under the map of the network of its fold; pixels alone, no metadata."""
    boxes = _boxes(bench, cache)
    row_of = {name: row for row, name in enumerate(bench.index.table["image_id"])}
    for image in study.images:  # in the order of their codes: neither names nor times of files tell anything
        radiograph = _shrunk(read_gray(bench.index.root / image.image_id))
        box = None if boxes is None else boxes[row_of[image.image_id]]
        write_jpeg(folder / IMAGES / f"{image.code}.jpg", radiograph, quality=JPEG_QUALITY)
        whole = in_its_place(heat[image.code], radiograph.shape[:2], box)
        overlay = draw_overlay(radiograph, whole, None, size=(radiograph.shape[1], radiograph.shape[0]))
        write_jpeg(folder / HELP / f"{image.code}.jpg", overlay, quality=JPEG_QUALITY)


def _heat(bench: Bench, study: ReaderStudy, method: AttributionMethod) -> dict[str, NDArray[np.float32]]:
    """Return the map (side, side) of each image, by code."""
    row_of = {name: row for row, name in enumerate(bench.index.table["image_id"])}
    heat: dict[str, NDArray[np.float32]] = {}
    for fold, images in _by_fold(study.images).items():
        record = read_record(bench.folder.record_path(study.architecture, fold))
        network = trained_network(bench.suite, bench.folder, record)
        rows = np.array([row_of[image.image_id] for image in images])
        maps = heat_maps(bench, network, fold, [method], rows).heat
        if method.name not in maps or np.isnan(maps[method.name]).any():
            raise NotAvailableError(
                f"{method.name} has no map of every image by {study.architecture}: choose another with --method, such "
                "as occlusion, or another --architecture."
            )
        heat |= {image.code: one for image, one in zip(images, maps[method.name], strict=True)}
    return heat


def _by_fold(images: Sequence[StudyImage]) -> Mapping[int, list[StudyImage]]:
    return {fold: [image for image in images if image.fold == fold] for fold in sorted({one.fold for one in images})}


def _boxes(bench: Bench, cache: Path) -> Sequence[CropBox] | None:
    """Return the part of each image that the networks saw; None = all of it."""
    kind = bench.suite.data.crop
    return image_crop(kind, bench.index, segmented_lungs(bench.index, cache) if kind == "adaptive" else None).boxes


def in_its_place(heat: NDArray[np.float32], shape: tuple[int, ...], box: CropBox | None) -> NDArray[np.float32]:
    """Return a map of what the network saw as a map (H, W) of the whole image: 0 outside, and where it was negative.

    Args:
        heat: (side, side).
        shape: of the image, (H, W).
        box: the part of it that the network saw; None = all of it.
    """
    whole: NDArray[np.float32] = np.zeros(shape, np.float32)
    part = cropped(whole, box)  # a view
    part[...] = cv2.resize(np.maximum(heat, 0), (part.shape[1], part.shape[0]), interpolation=cv2.INTER_LINEAR)
    return whole


def _shrunk(radiograph: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return an image (H, W) with its own aspect ratio and no side longer than LONGEST_SIDE_PX."""
    scale = LONGEST_SIDE_PX / max(radiograph.shape)
    if scale >= 1:
        return radiograph
    size = (max(round(radiograph.shape[1] * scale), 1), max(round(radiograph.shape[0] * scale), 1))
    return np.asarray(cv2.resize(radiograph, size, interpolation=cv2.INTER_AREA), dtype=np.uint8)
