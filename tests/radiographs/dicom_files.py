"""DICOM files of made-up radiographs, whose patient tags are all canaries."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pydicom
from numpy.typing import NDArray
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.uid import (
    UID,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
)

CANARY = "CANARY7531"
Levels = NDArray[Any]


def ramp(low: int, high: int, dtype: str = "uint16") -> Levels:
    """An image (20, 30) whose levels rise from `low` to `high`."""
    return np.linspace(low, high, 600).round().reshape(20, 30).astype(dtype)


def radiograph(levels: Levels, *, stored_bits: int, syntax: UID = ExplicitVRLittleEndian, **tags: Any) -> FileDataset:
    """A digital radiograph with made-up patient tags, all of them canaries."""
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = UID("1.2.840.10008.5.1.4.1.1.1.1")
    meta.MediaStorageSOPInstanceUID = UID("1.2.3.7531.7531")
    meta.TransferSyntaxUID = syntax
    dataset = FileDataset("", {}, file_meta=meta, preamble=b"\0" * 128)
    dataset.PatientName = f"{CANARY}^NAME"
    dataset.PatientID = f"{CANARY}-ID"
    dataset.PatientBirthDate = "20170531"
    dataset.InstitutionName = f"{CANARY} hospital"
    dataset.ReferringPhysicianName = f"{CANARY}^REFERRER"
    dataset.StudyDescription = dataset.ImageComments = f"{CANARY} comment"
    dataset.SOPInstanceUID = meta.MediaStorageSOPInstanceUID
    dataset.add_new((0x0009, 0x0010), "LO", f"{CANARY} private")
    dataset.Rows, dataset.Columns = levels.shape[-2:]
    dataset.SamplesPerPixel = 1
    dataset.PhotometricInterpretation = "MONOCHROME2"
    dataset.BitsAllocated = levels.dtype.itemsize * 8
    dataset.BitsStored, dataset.HighBit = stored_bits, stored_bits - 1
    dataset.PixelRepresentation = int(levels.dtype.kind == "i")
    dataset.PixelData = (levels.byteswap() if syntax == ExplicitVRBigEndian else levels).tobytes()
    dataset["PixelData"].VR = "OW" if dataset.BitsAllocated == 16 else "OB"
    for name, value in tags.items():
        setattr(dataset, name, value)
    return dataset


def written(folder: Path, dataset: Dataset, name: str = "film.dcm") -> Path:
    path = folder / name
    pydicom.dcmwrite(path, dataset, enforce_file_format=True)
    return path


def look_up_table(values: Levels, first: int, bits: int) -> list[Dataset]:
    table = Dataset()
    table.LUTDescriptor = [len(values), first, bits]
    table["LUTDescriptor"].VR = "US"
    table.add_new("LUTData", "US", [int(value) for value in values])
    return [table]
