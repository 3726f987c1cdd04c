"""A tiny bundle and radiographs of phantoms as DICOM files whose tags of the patient are canaries."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from pydicom.dataset import FileDataset

from pneumobench.prediction.asked import AskedBundle
from pneumobench.prediction.bundle import open_bundle
from pneumobench.prediction.loading import asked_bundle
from tests.prediction.bundles import write_bundle, write_films
from tests.radiographs.dicom_files import radiograph, written

pytest.importorskip("highdicom")
pytest.importorskip("pynetdicom")

ROWS, COLUMNS = 180, 220


def film(gray: NDArray[np.uint8], number: int, **tags: Any) -> FileDataset:
    """A digital radiograph of 12 bits, in a study of its own."""
    levels = cv2.resize(gray, (COLUMNS, ROWS)).astype(np.uint16) * 16
    about: dict[str, Any] = {
        "SOPClassUID": "1.2.840.10008.5.1.4.1.1.1.1", "StudyInstanceUID": f"1.2.3.7531.1.{number}",
        "SeriesInstanceUID": f"1.2.3.7531.2.{number}", "SOPInstanceUID": f"1.2.3.7531.3.{number}",
        "Modality": "DX", "PatientSex": "F", "StudyDate": "20260102", "StudyTime": "030405", "StudyID": "CANARY7531-S",
        "AccessionNumber": "CANARY7531-A", "InstanceNumber": number, "WindowCenter": 2048, "WindowWidth": 4096,
        "PatientOrientation": ["L", "F"], "PixelSpacing": [0.2, 0.2], "SpecificCharacterSet": "ISO_IR 100",
    }  # fmt: skip
    dataset = radiograph(levels, stored_bits=12, **(about | tags))
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    dataset.file_meta.MediaStorageSOPClassUID = dataset.SOPClassUID
    return dataset


@pytest.fixture(scope="session")
def phantoms(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Return files of phantoms."""
    return write_films(tmp_path_factory.mktemp("phantoms"))


@pytest.fixture(scope="session")
def grays(phantoms: list[Path]) -> list[NDArray[np.uint8]]:
    """Return phantoms (H, W)."""
    return [cv2.imread(str(path), cv2.IMREAD_GRAYSCALE) for path in phantoms]  # type: ignore[misc]


@pytest.fixture(scope="session")
def bundle(phantoms: list[Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of a bundle whose networks see a part of an image."""
    return write_bundle(tmp_path_factory.mktemp("bundles") / "tiny", phantoms, crop="fixed")


@pytest.fixture(scope="session")
def predictor(bundle: Path) -> AskedBundle:
    """Return what answers with it."""
    return asked_bundle(open_bundle(bundle))


@pytest.fixture(scope="session")
def films(grays: list[NDArray[np.uint8]], tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Return DICOM files, a study each."""
    folder = tmp_path_factory.mktemp("films")
    return [written(folder, film(gray, number), f"{number}.dcm") for number, gray in enumerate(grays, start=1)]
