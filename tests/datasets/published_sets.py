"""Small made-up copies of published DICOM sets, in their layouts."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tests.radiographs.dicom_files import radiograph, ramp, written

RSNA_KINDS = {"Normal": 0, "No Lung Opacity / Not Normal": 0, "Lung Opacity": 1}
VINDR_DIAGNOSES = ("No finding", "Bronchitis", "Brocho-pneumonia", "Other disease", "Pneumonia", "Pleuro-pneumonia")


def picture(seed: int) -> NDArray[np.uint16]:
    """Return gray levels (20, 30) of 12 bits that rise from corner to corner and look like those of no other seed."""
    return ramp(0, 3000) + np.random.default_rng(seed).integers(0, 1000, (20, 30), dtype=np.uint16)


def write_rsna(root: Path, *, images_per_kind: int = 2) -> Path:
    """Write images `film-00.dcm`, ... of each kind in turn, every third one MONOCHROME1; opacities have two boxes."""
    (root / "stage_2_train_images").mkdir(parents=True)
    labels, classes = ["patientId,x,y,width,height,Target"], ["patientId,class"]
    for number, (kind, target) in enumerate(list(RSNA_KINDS.items()) * images_per_kind):
        name = f"film-{number:02d}"
        boxes = ["10.0,10.0,50.0,60.0", "20.0,10.0,30.0,60.0"] if target else [",,,"]
        labels += [f"{name},{box},{target}" for box in boxes]
        classes += [f"{name},{kind}" for _ in boxes]
        photometric = "MONOCHROME1" if number % 3 == 1 else "MONOCHROME2"
        dataset = radiograph(picture(number), stored_bits=12, PhotometricInterpretation=photometric)
        written(root / "stage_2_train_images", dataset, f"{name}.dcm")
    (root / "stage_2_train_labels.csv").write_text("\n".join(labels) + "\n")
    (root / "stage_2_detailed_class_info.csv").write_text("\n".join(classes) + "\n")
    return root


def vindr_row(radiograph: str, *marked: str, reader: str = "R1") -> str:
    """Return a line of a label table with these diagnoses marked."""
    return ",".join([radiograph, reader, *("1" if name in marked else "0" for name in VINDR_DIAGNOSES)])


def write_vindr(root: Path, rows: dict[str, list[str]]) -> Path:
    """Write a label table of each part, and an image for every image_id in it."""
    for part, lines in rows.items():
        (root / part).mkdir(parents=True, exist_ok=True)
        header = ",".join(["image_id", "rad_ID", *VINDR_DIAGNOSES])
        (root / f"image_labels_{part}.csv").write_text("\n".join([header, *lines]) + "\n")
        for number, name in enumerate(sorted({line.split(",")[0] for line in lines})):
            # no image stands in both parts
            dataset = radiograph(picture(number + (500 if part == "train" else 700)), stored_bits=12)
            written(root / part, dataset, f"{name}.dicom")
    return root
