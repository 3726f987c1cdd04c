"""Small made-up copies of published sets, in their layouts."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tests.datasets.tiny_sets import write_image
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


NIH_HEADINGS = (
    "Image Index,Finding Labels,Follow-up #,Patient ID,Patient Age,Patient Gender,View Position,"
    "OriginalImage[Width,Height],OriginalImagePixelSpacing[x,y],"
)


def write_nih(root: Path, findings: list[str], *, lists: bool = True) -> Path:
    """Write one image a finding, two of each patient, in two folders of images; the last third is the official test."""
    rows, parts = [NIH_HEADINGS], {"train_val_list.txt": "", "test_list.txt": ""}
    for number, finding in enumerate(findings):
        patient = number // 2
        name = f"{patient:08d}_{number % 2:03d}.png"
        rows.append(f"{name},{finding},{number % 2},{patient},58,M,PA,2682,2749,0.143,0.143,")
        write_image(root / f"images_00{number % 2 + 1}/images/{name}", seed=number)
        test = patient >= len(findings) // 3
        parts["test_list.txt" if test else "train_val_list.txt"] += f"{name}\n"
    (root / "Data_Entry_2017.csv").write_text("\n".join(rows) + "\n")
    for name, text in parts.items() if lists else ():
        (root / name).write_text(text)
    return root


CHEXPERT_HEADINGS = (
    "Path,Sex,Age,Frontal/Lateral,AP/PA,No Finding,Enlarged Cardiomediastinum,Cardiomegaly,Lung Opacity,Lung Lesion,"
    "Edema,Consolidation,Pneumonia,Atelectasis,Pneumothorax,Pleural Effusion,Pleural Other,Fracture,Support Devices"
)


def write_chexpert(root: Path, rows: dict[str, list[tuple[str, str, str]]]) -> Path:
    """Write the tables train.csv and valid.csv of rows (view, No Finding, Pneumonia), and an image for each row."""
    for part, lines in rows.items():
        text = [CHEXPERT_HEADINGS]
        for number, (view, no_finding, pneumonia) in enumerate(lines):
            path = (
                f"{part}/patient{1 + (part == 'valid')}{number // 2:04d}/study1/view{number % 2 + 1}_{view.lower()}.jpg"
            )
            direction = "AP" if view == "Frontal" else ""
            text.append(
                f"CheXpert-v1.0-small/{path},Female,68,{view},{direction},{no_finding},,,,,,,{pneumonia},,,,,,1.0"
            )
            write_image(root / path, seed=100 * (part == "valid") + number)
        (root / f"{part}.csv").write_text("\n".join(text) + "\n")
    return root


COVID_HEADINGS = (
    "patientid,offset,sex,age,finding,RT_PCR_positive,survival,view,modality,date,location,folder,filename,doi,"
    "clinical_notes,other_notes,"
)


def write_covid(root: Path, rows: list[tuple[str, str, str, str]]) -> Path:
    """Write metadata.csv of rows (patient, finding, view, modality) with notes over two lines, and the images."""
    text = [COVID_HEADINGS]
    for number, (patient, finding, view, modality) in enumerate(rows):
        name = f"{number}.png" if modality == "X-ray" else f"{number}.nii.gz"
        folder = "images" if modality == "X-ray" else "volumes"
        text.append(f'{patient},0,M,65,{finding},Y,Y,{view},{modality},2020,"Rome, Italy",{folder},{name},,"a\nb",,')
        if modality == "X-ray":
            write_image(root / folder / name, seed=number)
    (root / "metadata.csv").write_text("\n".join(text) + "\n", encoding="cp1252")
    return root
