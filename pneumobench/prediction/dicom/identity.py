"""What names a result: UIDs that follow from the question, series, notices; the same question gives the same bytes."""

from __future__ import annotations

import uuid
from importlib.metadata import version
from typing import Any, Final, Literal, get_args

from pydicom import Dataset

from pneumobench.prediction.bundle import FOR_RESEARCH, OpenedBundle
from pneumobench.prediction.dicom.source import OWN_MODEL, Source

Kind = Literal["picture", "report", "heat-map"]
KINDS: Final[tuple[Kind, ...]] = get_args(Kind)
SERIES: Final[dict[Kind, int]] = {"picture": 9801, "report": 9802, "heat-map": 9803}  # behind those of a modality
RESULTS_FORMAT: Final = 1  # change it when the same question gives other bytes: they need other UIDs
NAMESPACE: Final = uuid.UUID("5e0c9f5c-6f0e-5d4b-9a53-2f6b0a7c41d8")
SERIES_WORDS: Final = f"pneumobench {{}}: {FOR_RESEARCH.rstrip('.').lower()}"
BODY_PART: Final = "CHEST"  # what the networks were trained on
UNICODE: Final = "ISO_IR 192"


def result_uid(opened: OpenedBundle, kind: Kind, *named: str) -> str:
    """Return a UID that follows from what is asked and who answers.

    Args:
        opened: who answers.
        kind: of result.
        named: UIDs of what it is about.

    Source: DICOM PS3.5 B.2 (UUID derived UIDs); RFC 9562 section 5.5 (name-based UUIDs).
    """
    asked = "\n".join((str(RESULTS_FORMAT), version("pneumobench"), opened.sha256, kind, *named))
    return f"2.25.{uuid.uuid5(NAMESPACE, asked).int}"


def instance_of(source: Source, opened: OpenedBundle, kind: Kind) -> dict[str, Any]:
    """Return what highdicom is told of a result's place: images of one series have their results in one series."""
    return {
        "series_instance_uid": result_uid(opened, kind, source.study, source.series),
        "series_number": SERIES[kind],
        "sop_instance_uid": result_uid(opened, kind, source.sop_instance),
        "instance_number": source.number,
        "series_description": SERIES_WORDS.format(kind.replace("-", " ")),
        "manufacturer": "pneumobench",
        "manufacturer_model_name": OWN_MODEL,
        "software_versions": version("pneumobench"),
        "device_serial_number": opened.sha256,
        "content_date": source.date,
        "content_time": source.time,
    }


def reference_header(source: Source) -> Dataset:
    """Return what highdicom is shown of the image: its UIDs; who it is of is written into the result afterwards."""
    header = Dataset()
    header.SOPClassUID, header.SOPInstanceUID = source.sop_class, source.sop_instance
    header.StudyInstanceUID, header.SeriesInstanceUID = source.study, source.series
    for name in (
        "PatientID", "PatientName", "PatientBirthDate", "PatientSex", "AccessionNumber", "StudyID", "StudyDate",
        "StudyTime", "ReferringPhysicianName",
    ):  # fmt: skip
        setattr(header, name, None)
    return header


def finished(result: Dataset, source: Source) -> Dataset:
    """Write who the image is of into a result, and take out when it was made: the same question gives the same bytes.

    Its content has the date of the image; when it was asked is in the log of whoever asked.
    """
    for name in ("InstanceCreationDate", "InstanceCreationTime", "DateOfSecondaryCapture", "TimeOfSecondaryCapture"):
        if name in result:
            delattr(result, name)
    for equipment in result.get("ContributingEquipmentSequence", ()):
        if "ContributionDateTime" in equipment:
            del equipment.ContributionDateTime
    result.SpecificCharacterSet = UNICODE
    for element in source.patient:
        result[element.tag] = element
    return result
