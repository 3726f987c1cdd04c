"""One image put to the trained networks of a run: what do they say, and where do they look?"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from pneumobench.attributions.methods import AttributionMethod
from pneumobench.attributions.overlays import Tile, write_panel
from pneumobench.errors import NotAvailableError, SettingsError, suggestion
from pneumobench.files import sha256_of_file
from pneumobench.lungs.familiarity import familiarity, strange_words
from pneumobench.lungs.lung_parts import WEIGHTS_FOLDER
from pneumobench.lungs.new_images import new_images
from pneumobench.lungs.quality import read_bounds
from pneumobench.lungs.segmenter import load_network, segment_lungs
from pneumobench.radiographs.formats import decode_radiograph, read_content
from pneumobench.records.job_record import JobRecord
from pneumobench.reporting.image_answers import ImageAnswer, ImageExplanation
from pneumobench.runs.context import Bench
from pneumobench.runs.gallery import image_tiles, lung_share, maps_of
from pneumobench.runs.networks import refuse_region, trained_network
from pneumobench.suite.spec import CLASSES
from pneumobench.training.predictions import class_probabilities, logit_of, probability_of, score_images


@dataclass(frozen=True, kw_only=True, eq=False)
class PreparedImage:
    """An image as the networks of a run see it.

    Args:
        radiograph: (side, side) uint8.
        lungs: (side, side) bool; None = no usable mask.
        lungs_from: drawn, segmented, box, or why there is no mask.
        rows: rows of the index whose file this is; none = the run has not seen it.
        warnings: in what a new image is unlike what the networks learnt from; nothing of the run's own images.
    """

    radiograph: NDArray[np.uint8]
    lungs: NDArray[np.bool_] | None
    lungs_from: str
    rows: tuple[int, ...]
    warnings: tuple[str, ...] = ()


def image_file(bench: Bench, name: str | Path) -> Path:
    """Return the file of an image: a path, or the name of an image of the run as index.csv has it.

    Raises:
        SettingsError: it is neither; suggests the nearest names of the run.
    """
    path = Path(name)
    known = bench.index.table["image_id"].tolist()
    if not path.is_file() and str(name) in known:
        path = bench.index.root / str(name)
    if not path.is_file():
        near = suggestion(str(name), known) or "names stand in the column image_id of the run's index.csv."
        raise SettingsError(f"--image {name}: neither a file nor the name of an image of the run; {near}")
    return path


def prepare_image(bench: Bench, path: Path) -> PreparedImage:
    """Return an image and its lungs as the networks of a run see them; those of the run's own data are taken from it.

    Raises:
        UnreadableImageError: the file is not an image that can be read.
    """
    content = read_content(path)
    found = np.flatnonzero((bench.index.table["sha256"] == hashlib.sha256(content).hexdigest()).to_numpy())
    if len(found):
        row = int(found[0])
        lungs = bench.masks.of_rows(found[:1])[0] if bench.masks.has(row) else None
        words = bench.masks.tier() if lungs is not None else "none: the data set has no mask of this image"
        return PreparedImage(
            radiograph=np.array(bench.radiographs[row]), lungs=lungs, lungs_from=words, rows=tuple(found.tolist())
        )
    data, box = bench.suite.data, bench.masks.tier() == "box"
    (new,) = new_images(
        [decode_radiograph(path, content).gray], side_px=data.image_side_px, crop=data.crop,
        find_lungs=partial(segment_lungs, network=load_network(WEIGHTS_FOLDER)), bounds=read_bounds(WEIGHTS_FOLDER),
    )  # fmt: skip
    if box:
        lungs, lungs_from = bench.masks.box, "box"
    else:  # nobody drew them
        lungs, lungs_from = new.lungs, "segmented" if new.lungs is not None else f"none: {new.without_lungs}"
    strange = strange_words(new.radiograph, familiarity(bench.radiographs, bench.suite.seed))
    return PreparedImage(
        radiograph=new.radiograph,
        lungs=lungs,
        lungs_from=lungs_from,
        rows=(),
        warnings=tuple(filter(None, [new.without_lungs, *strange])),
    )


def unseen_jobs(bench: Bench, jobs: Sequence[JobRecord], rows: Sequence[int]) -> list[JobRecord]:
    """Return the jobs whose networks were neither trained nor stopped on images of the index."""
    seen = {
        fold
        for fold in range(bench.folds.count)
        for part in ("train", "tune")
        if np.isin(rows, bench.fold_images(fold).positions[part]).any()
    }
    return [job for job in jobs if job.fold not in seen]


def explain_radiograph(
    bench: Bench, path: Path, jobs: Sequence[JobRecord], methods: Sequence[AttributionMethod]
) -> ImageExplanation:
    """Ask networks about one image and draw their maps, a row for each architecture.

    An image of the run's own data is put only to networks that have not learnt from it. Maps are means over folds, each
    map scaled to a sum of one.

    Args:
        bench: data and settings of the run.
        path: the image, in any format that is read.
        jobs: completed networks to ask.
        methods: attribution methods.

    Raises:
        UnreadableImageError: the file is not an image that can be read.
        NotAvailableError: every one of the networks learnt from this image, or they were trained on a region.
        RecordError: weights are missing or changed.
    """
    refuse_region(bench.suite)
    prepared = prepare_image(bench, path)
    asked = unseen_jobs(bench, jobs, prepared.rows)
    if not asked:
        raise NotAvailableError(f"{path}: every network that was asked learnt from this image (or was tuned on it).")
    radiographs = torch.from_numpy(prepared.radiograph)[None, None]
    answers, rows = [], []
    reasons: dict[tuple[str, str], str] = {}
    for name in dict.fromkeys(job.architecture for job in asked):
        probabilities: dict[int, float] = {}
        shares: list[NDArray[np.float64]] = []
        heat: dict[str, list[NDArray[np.float32]]] = {}
        for job in (job for job in asked if job.architecture == name):
            architecture = trained_network(bench.suite, bench.folder, job)
            outputs = score_images(architecture, [radiographs], bench.suite.training)
            probabilities[job.fold] = float(probability_of(logit_of(outputs))[0])
            if architecture.outputs > 1:
                shares.append(class_probabilities(outputs)[0])
            maps, missing = maps_of(architecture, methods, prepared.radiograph[None])
            reasons |= {(name, method): reason for method, reason in missing.items()}
            for method, (one,) in maps.items():
                if np.isnan(one).any():
                    reasons[name, method] = f"refused for the network of fold {job.fold}: not exact enough"
                    continue
                positive = np.maximum(one, 0)
                heat.setdefault(method, []).append(positive / max(float(positive.sum()), 1e-12))
        mean = {method: np.mean(maps, axis=0) for method, maps in heat.items()}
        probability = float(np.mean(list(probabilities.values())))
        answers.append(
            ImageAnswer(
                architecture=name,
                folds=tuple(probabilities),
                probability=probability,
                lowest=min(probabilities.values()),
                highest=max(probabilities.values()),
                classes=dict(zip(CLASSES, np.mean(shares, axis=0).tolist(), strict=True)) if shares else {},
                lar={
                    method.name: lung_share(mean[method.name], prepared.lungs)
                    for method in methods
                    if method.name in mean
                },
            )
        )
        first, *others = image_tiles(prepared.radiograph, mean, prepared.lungs)
        rows.append([Tile(title=f"{name}  p {probability:.3f}", picture=first.picture), *others])
    stem = re.sub(r"[^\w.-]+", "-", path.stem)
    picture = bench.folder.gallery / f"film-{stem}-{sha256_of_file(path)[:8]}.jpg"
    write_panel(picture, rows, legend=True, warnings=prepared.warnings)
    return ImageExplanation(
        answers=tuple(answers),
        picture=picture,
        lungs_from=prepared.lungs_from,
        known=bool(prepared.rows),
        warnings=prepared.warnings,
        without_maps=tuple(f"{name}: no map by {method}: {reason}" for (name, method), reason in reasons.items()),
    )
