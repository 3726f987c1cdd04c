"""One image and the answer about it -> its DICOM results, as bytes or as files."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np
import pydicom
from pydicom import Dataset

from pneumobench.attributions.lung_attention_maps import MAIN_METHOD
from pneumobench.errors import SettingsError, suggestion
from pneumobench.files import written_whole
from pneumobench.prediction.answers import Prediction
from pneumobench.prediction.dicom.heat_map import heat_map_of
from pneumobench.prediction.dicom.identity import KINDS, Kind
from pneumobench.prediction.dicom.picture import draw_answer, picture_of
from pneumobench.prediction.dicom.report import report_of
from pneumobench.prediction.dicom.source import is_dicom, read_source
from pneumobench.radiographs.dicom import warnings_heard
from pneumobench.radiographs.formats import decode_radiograph, read_content
from pneumobench.radiographs.geometry import square_to_image
from pneumobench.radiographs.plausibility import implausible

if TYPE_CHECKING:
    from pneumobench.prediction.asked import AskedBundle

SUFFIX: Final = ".dcm"
HALF: Final = 0.5


def asked_kinds(names: Sequence[str] | None, option: str) -> tuple[Kind, ...]:
    """Return which results are asked for, in their order; None = all.

    Raises:
        SettingsError: a name is unknown.
    """
    for name in names or ():
        if name not in KINDS:
            hint = suggestion(name, KINDS, count=1) or f"there are {', '.join(KINDS)}."
            raise SettingsError(f"{option} {name}: no such result; {hint}")
    return tuple(kind for kind in KINDS if names is None or kind in names)


def results_about(
    predictor: AskedBundle, path: Path, content: bytes, said: Prediction, kinds: Sequence[Kind] = KINDS
) -> dict[Kind, bytes]:
    """Return the DICOM results about an image, each as the bytes of a file.

    Args:
        predictor: who answered.
        path: the image, for messages.
        content: its bytes.
        said: the answer about it; what is odd about the file is added to its notes.
        kinds: which results.

    Raises:
        UnreadableImageError: it is no DICOM image that a result can be filed with.
    """
    with warnings_heard():  # which may quote a tag of the patient
        return _made(predictor, path, content, said, kinds)


def _made(
    predictor: AskedBundle, path: Path, content: bytes, said: Prediction, kinds: Sequence[Kind]
) -> dict[Kind, bytes]:
    opened, source, radiograph = predictor.opened, read_source(path, content), decode_radiograph(path, content)
    gray = radiograph.gray
    said = replace(said, notes=(*said.notes, *radiograph.notes, *implausible(path, gray)))  # nobody else sees the file
    made: dict[Kind, Dataset] = {}
    if "report" in kinds:
        made["report"] = report_of(source, opened, said)
    if {"picture", "heat-map"} & set(kinds):
        (prepared,) = predictor.prepare(gray)
        (square,) = predictor.explain(gray)
        heat = square_to_image(np.maximum(square, 0), prepared.crop_box, gray.shape)
        if "picture" in kinds:
            lungs = None
            if prepared.lungs is not None:
                lungs = square_to_image(prepared.lungs.astype(np.float32), prepared.crop_box, gray.shape) > HALF
            made["picture"] = picture_of(source, opened, *draw_answer(gray, heat, lungs, said, opened))
        if "heat-map" in kinds:
            made["heat-map"] = heat_map_of(source, opened, heat, MAIN_METHOD)
    return {kind: _bytes(made[kind]) for kind in kinds}


def write_results(predictor: AskedBundle, path: Path, said: Prediction, folder: Path) -> list[Path]:
    """Write the DICOM results about a file into a folder; none where it is no DICOM.

    Their names follow from their UIDs: the name of the file may name a patient.

    Raises:
        UnreadableImageError: a result could not be filed with the image.
        SettingsError: the folder cannot be written.
    """
    content = read_content(path)
    if not is_dicom(content):
        return []
    written = []
    for kind, result in results_about(predictor, path, content, said).items():
        uid = str(pydicom.dcmread(io.BytesIO(result), specific_tags=["SOPInstanceUID"]).SOPInstanceUID)
        place = folder / f"{uid}-{kind}{SUFFIX}"
        with written_whole(place) as temporary:
            temporary.write_bytes(result)
        written.append(place)
    return written


def _bytes(result: Dataset) -> bytes:
    buffer = io.BytesIO()
    pydicom.dcmwrite(buffer, result, enforce_file_format=True)
    return buffer.getvalue()
