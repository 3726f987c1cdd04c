"""The header of a DICOM image, as far as a result about it has to repeat it, and nothing else of it.

The tags of the patient are kept as they are stored, for the results alone: no message, log line or file name has one.
"""

from __future__ import annotations

import io
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Final

from pydicom import Dataset, dcmread
from pydicom.config import IGNORE, RAISE
from pydicom.dataelem import DataElement
from pydicom.uid import UID
from pydicom.valuerep import DA, TM

from pneumobench.errors import UnreadableImageError
from pneumobench.radiographs.dicom import warnings_heard
from pneumobench.radiographs.dicom_header import COPY_AGAIN
from pneumobench.radiographs.formats import DICOM_MARK, DICOM_MARK_AT
from pneumobench.radiographs.refusals import unreadable

# what files a result with the image: who, and which study. Source: DICOM PS3.3 C.7.1.1, C.7.2.1 and C.7.2.2
PATIENT_TAGS: Final = (
    "PatientName", "PatientID", "IssuerOfPatientID", "PatientBirthDate", "PatientSex", "PatientAge",
    "PatientIdentityRemoved", "DeidentificationMethod",
)  # fmt: skip
STUDY_TAGS: Final = (
    "StudyInstanceUID", "StudyID", "StudyDate", "StudyTime", "AccessionNumber", "ReferringPhysicianName",
    "StudyDescription",
)  # fmt: skip
IMAGE_TAGS: Final = (
    "SOPClassUID", "SOPInstanceUID", "SeriesInstanceUID", "InstanceNumber", "PatientOrientation", "PixelSpacing",
    "ContentDate", "ContentTime", "AcquisitionDate", "AcquisitionTime", "ManufacturerModelName",
)  # fmt: skip
UIDS: Final = ("SOPClassUID", "SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID")
ALWAYS_THERE: Final = (
    "PatientName", "PatientID", "PatientBirthDate", "PatientSex", "StudyID", "StudyDate", "StudyTime",
    "AccessionNumber", "ReferringPhysicianName",
)  # fmt: skip  # type 2: without a value where the image has none
FORMAL: Final = ("AS", "CS", "DA", "TM")  # kinds of values that mean nothing where they break rules
SEXES: Final = ("M", "F", "O")
ORIENTATIONS: Final = frozenset("AFHLPR")
NO_DATE, NO_TIME = "19000101", "000000"
OWN_MODEL: Final = "pneumobench"


@dataclass(frozen=True, kw_only=True, eq=False)
class Source:
    """A DICOM image that results refer to.

    Args:
        sop_class, sop_instance, study, series: its UIDs.
        number: InstanceNumber, 1 where there is none.
        orientation: PatientOrientation, e.g. ("L", "F"); None where there is none.
        pixel_spacing_mm: between rows, and between columns, in the patient; None where it is not known.
        date, time: when it was made, in DICOM's form.
        own: whether this package made it, so that it is a result and no radiograph.
        patient: the elements that a result repeats.
    """

    sop_class: str
    sop_instance: str
    study: str
    series: str
    number: int
    orientation: tuple[str, str] | None
    pixel_spacing_mm: tuple[float, float] | None
    date: str
    time: str
    own: bool
    patient: tuple[DataElement, ...]

    def described(self) -> tuple[str, ...]:
        """Return all of it as text, to be hashed: the same for the same image."""
        plain = (getattr(self, field.name) for field in fields(self) if field.name != "patient")
        return (*map(repr, plain), *(f"{element.tag} {element.value}" for element in self.patient))


def is_dicom(content: bytes) -> bool:
    """Tell whether the bytes of a file are DICOM (part 10)."""
    return content[DICOM_MARK_AT : DICOM_MARK_AT + len(DICOM_MARK)] == DICOM_MARK


def read_source(path: Path, content: bytes) -> Source:
    """Read what results repeat of a DICOM image.

    Args:
        path: the file, for messages.
        content: its bytes.

    Raises:
        UnreadableImageError: it has not all UIDs that a result is filed by, or its header is damaged.
    """
    with warnings_heard():
        # A parser of damaged bytes raises nearly any exception. Its text may quote the file: it is dropped.
        try:
            header = dcmread(
                io.BytesIO(content), stop_before_pixels=True, specific_tags=[*PATIENT_TAGS, *STUDY_TAGS, *IMAGE_TAGS]
            )
            return _source(path, header)
        except UnreadableImageError:
            raise
        except Exception:  # noqa: BLE001
            raise unreadable(path, "damaged: the tags that name its study cannot be parsed", COPY_AGAIN) from None


def _source(path: Path, header: Dataset) -> Source:
    uids = {}
    for name in UIDS:
        uid = UID(str(header.get(name) or ""))
        if not uid.is_valid:
            raise unreadable(
                path, f"its header has no valid {name}, which a result about it is filed by", "export the image again"
            )
        uids[name] = str(uid)
    date, time = _moment(header)
    return Source(
        sop_class=uids["SOPClassUID"],
        sop_instance=uids["SOPInstanceUID"],
        study=uids["StudyInstanceUID"],
        series=uids["SeriesInstanceUID"],
        number=_number(header.get("InstanceNumber")),
        orientation=_orientation(header.get("PatientOrientation")),
        pixel_spacing_mm=_spacing(header.get("PixelSpacing")),
        date=date,
        time=time,
        own=str(header.get("ManufacturerModelName") or "") == OWN_MODEL,
        patient=tuple(_kept(header)),
    )


def _kept(header: Dataset) -> list[DataElement]:
    """Return what is repeated of patient and study; a name or number that breaks rules is kept."""
    kept = []
    for name in (*PATIENT_TAGS, *STUDY_TAGS):
        element = header.get_item(name) and header[name]
        if element is None and name not in ALWAYS_THERE:
            continue
        blank = Dataset()
        setattr(blank, name, None)
        value: Any = None if element is None else element.value
        if name == "PatientSex" and str(value or "") not in SEXES:
            value = None
        elif value is not None and not isinstance(value, list):
            value = str(value)  # decoded: a result is written in Unicode, whatever the image was written in
        tag, kind = blank[name].tag, blank[name].VR
        try:
            kept.append(DataElement(tag, kind, value, validation_mode=RAISE))
        except (
            ValueError
        ):  # a name or number says who it is of even where it breaks rules; a date that is none, nothing
            value = None if kind in FORMAL else value
            kept.append(DataElement(tag, kind, value, validation_mode=IGNORE))
    return kept


def _moment(header: Dataset) -> tuple[str, str]:
    """Return the first date that is one and its time."""
    for part in ("Content", "Acquisition", "Study"):
        try:
            date = DA(str(header.get(f"{part}Date") or ""))
        except ValueError:
            continue
        if not date:
            continue
        try:
            time = TM(str(header.get(f"{part}Time") or ""))
        except ValueError:
            time = None
        return date.strftime("%Y%m%d"), str(time) if time else NO_TIME  # it may be written 2026.01.02, as it once was
    return NO_DATE, NO_TIME


def _number(value: Any) -> int:
    try:
        return max(1, int(str(value)))
    except ValueError:
        return 1


def _orientation(value: Any) -> tuple[str, str] | None:
    words = [str(word) for word in value] if value and not isinstance(value, str) else []
    if len(words) == 2 and all(word and set(word) <= ORIENTATIONS for word in words):
        return words[0], words[1]
    return None


def _spacing(value: Any) -> tuple[float, float] | None:
    try:
        rows, columns = (float(side) for side in value)
    except (TypeError, ValueError):  # missing, or no two numbers
        return None
    return (rows, columns) if 0 < rows < 100 and 0 < columns < 100 else None
