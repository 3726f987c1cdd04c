"""A data set of synthetic chest images of children, made on the spot: for the quickstart and for tests.

The images show what a benchmark has to handle (several images a patient, two etiologies of pneumonia, exact lung
masks, an official test folder) and come from nobody. They are no substitute for radiographs: a score on them
says that the machinery works, nothing about a disease.
"""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pandas as pd

from pneumobench.errors import SettingsError
from pneumobench.files import sha256_of_file, write_json, write_text, written_whole
from pneumobench.phantoms.anatomy import draw_child, draw_exposure
from pneumobench.phantoms.radiograph import Subtype, draw_image

PHANTOM_VERSION = 1  # part of the marker file: raise it when the pixels change
MARKER_NAME = "phantoms.json"
TABLE_NAME = "index.csv"
COLUMNS = ["image", "label", "patient", "subtype", "lung_mask", "split"]
SPLITS = ("train", "test")
BACTERIAL_SHARE = 0.6  # of the pneumonias; about 0.65 in published pediatric sets
SMALLEST_SIDE_PX = 32  # below it a rib is thinner than a pixel
# streams of random numbers: one for every subject, so that none depends on another or on the order of drawing
LABELS, ANATOMY, IMAGE_COUNT, EXPOSURE, NOISE, DISEASE = range(6)


@dataclass(frozen=True, kw_only=True)
class _PlannedImage:
    """One image of the set, before it is drawn."""

    split: str
    patient: int
    radiograph: int
    subtype: Subtype

    @property
    def patient_name(self) -> str:
        return f"{self.split}{self.patient:04d}"

    @property
    def row(self) -> dict[str, str]:
        name = f"{self.patient_name}-{self.radiograph + 1}.png"
        return {
            "image": f"images/{name}",
            "label": "NORMAL" if self.subtype == "normal" else "PNEUMONIA",
            "patient": self.patient_name,
            "subtype": self.subtype,
            "lung_mask": f"lung_masks/{name}",
            "split": self.split,
        }


def make_phantoms(
    folder: Path,
    *,
    patients: int,
    images_per_patient: tuple[int, int] = (1, 4),
    official_test_patients: int = 0,
    side_px: int = 128,
    seed: int = 0,
    pneumonia_fraction: float = 0.7,
) -> Path:
    """Write synthetic images, their lung masks and a table; return at once where the same set is there.

    All images of a patient share anatomy, label and subtype. Anatomy, exposure and the L or R marker are drawn
    without knowledge of the label, and opacities change pixels inside the lungs only: a model that is blind
    to the lungs can learn nothing. The same arguments give the same bytes.

    Args:
        folder: where `images/`, `lung_masks/`, `index.csv` and the marker file `phantoms.json` go.
        patients: number of patients of split `train`.
        images_per_patient: fewest and most images of a patient; every number between is equally likely.
        official_test_patients: number of further patients, of split `test`.
        side_px: side of the square images in pixels.
        seed: seed of everything.
        pneumonia_fraction: share of patients with pneumonia, 0 to 1; rounded, and at least one patient of
            each label where it lies between.

    Returns:
        Path of the table `image,label,patient,subtype,lung_mask,split`, paths relative to its folder; in a
        mask 255 is lung, also where the heart lies before it.

    Raises:
        SettingsError: an argument is out of range, or the folder cannot be written or holds another data set.
    """
    parameters: dict[str, Any] = {
        "version": PHANTOM_VERSION,
        "patients": patients,
        "images_per_patient": list(images_per_patient),
        "official_test_patients": official_test_patients,
        "side_px": side_px,
        "seed": seed,
        "pneumonia_fraction": pneumonia_fraction,
    }
    _check_parameters(parameters)
    marker = folder / MARKER_NAME
    known = _read_marker(folder)
    if known.get("parameters") == parameters and known.get("files") and _holds(folder, known["files"]):
        return folder / TABLE_NAME
    # marked as begun, not complete: an interrupted set is drawn again and is known to be ours
    write_json(marker, {"parameters": parameters, "files": {}})

    rows = []
    for plan in _planned_images(parameters):
        _write_image(folder, plan, side_px=side_px, seed=seed)
        rows.append(plan.row)
    table = io.StringIO()
    pd.DataFrame(rows, columns=COLUMNS).to_csv(table, index=False, lineterminator="\n")
    write_text(folder / TABLE_NAME, table.getvalue())

    names = [TABLE_NAME, *(row[column] for row in rows for column in ("image", "lung_mask"))]
    for name in set(known.get("files", {})) - set(names):  # images of another set that stood here
        (folder / name).unlink(missing_ok=True)
    write_json(marker, {"parameters": parameters, "files": {name: sha256_of_file(folder / name) for name in names}})
    return folder / TABLE_NAME


def _check_parameters(parameters: dict[str, Any]) -> None:
    fewest, most = parameters["images_per_patient"]
    problems = {
        "patients": "at least 1 is expected" if parameters["patients"] < 1 else "",
        "official_test_patients": "0 or more are expected" if parameters["official_test_patients"] < 0 else "",
        "images_per_patient": "fewest >= 1 and most >= fewest are expected" if not 1 <= fewest <= most else "",
        "side_px": f"at least {SMALLEST_SIDE_PX} is expected" if parameters["side_px"] < SMALLEST_SIDE_PX else "",
        "seed": "0 or more is expected" if parameters["seed"] < 0 else "",
        "pneumonia_fraction": "0 to 1 is expected" if not 0 <= parameters["pneumonia_fraction"] <= 1 else "",
    }
    for name, problem in problems.items():
        if problem:
            raise SettingsError(f"phantoms.{name} is {parameters[name]}: {problem}.")


def _read_marker(folder: Path) -> dict[str, Any]:
    """Return what the marker file says, or nothing where none is; refuse a folder with another table."""
    try:
        marker = json.loads((folder / MARKER_NAME).read_text(encoding="utf-8"))
    except FileNotFoundError:
        if (folder / TABLE_NAME).exists():
            raise SettingsError(
                f"{folder / TABLE_NAME}: this table is not of phantoms; choose another folder for them."
            ) from None
        return {}
    except (OSError, ValueError):
        return {}  # damaged: the set is drawn again
    return marker if isinstance(marker, dict) else {}


def _holds(folder: Path, files: dict[str, str]) -> bool:
    """Tell whether all files are there with the same content."""
    try:
        return all(sha256_of_file(folder / name) == sha256 for name, sha256 in files.items())
    except OSError:
        return False


def _planned_images(parameters: dict[str, Any]) -> Iterator[_PlannedImage]:
    """Yield every image of the set with its patient's label."""
    seed = parameters["seed"]
    fewest, most = parameters["images_per_patient"]
    for split, count in zip(SPLITS, (parameters["patients"], parameters["official_test_patients"]), strict=True):
        ill = round(count * parameters["pneumonia_fraction"])
        if count > 1 and 0 < parameters["pneumonia_fraction"] < 1:
            ill = min(max(ill, 1), count - 1)
        bacterial = round(ill * BACTERIAL_SHARE)
        # rank 0 .. bacterial - 1: bacteria, then virus, then healthy
        ranks = np.random.default_rng([seed, SPLITS.index(split), LABELS]).permutation(count)
        for patient, rank in enumerate(ranks):
            subtype: Subtype = "bacteria" if rank < bacterial else "virus" if rank < ill else "normal"
            rng = np.random.default_rng([seed, SPLITS.index(split), IMAGE_COUNT, patient])
            for radiograph in range(int(rng.integers(fewest, most + 1))):
                yield _PlannedImage(split=split, patient=patient, radiograph=radiograph, subtype=subtype)


def _write_image(folder: Path, plan: _PlannedImage, *, side_px: int, seed: int) -> None:
    """Draw one image and write it with its mask."""
    split = SPLITS.index(plan.split)
    radiograph, lung = draw_image(
        draw_child(np.random.default_rng([seed, split, ANATOMY, plan.patient])),
        draw_exposure(np.random.default_rng([seed, split, EXPOSURE, plan.patient, plan.radiograph])),
        plan.subtype,
        side_px,
        noise_seed=[seed, split, NOISE, plan.patient, plan.radiograph],
        disease_seed=[seed, split, DISEASE, plan.patient, plan.radiograph],
    )
    row = plan.row
    for name, pixels in ((row["image"], radiograph), (row["lung_mask"], np.where(lung, 255, 0).astype(np.uint8))):
        encoded, png = cv2.imencode(".png", pixels)
        assert encoded
        with written_whole(folder / name, sync=False) as temporary:  # the hashes in the marker reveal a crash
            temporary.write_bytes(png.tobytes())
