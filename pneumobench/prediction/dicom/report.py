"""The answer as a structured report, which programs read: probability, threshold, decision, reasons, who says so."""

from __future__ import annotations

from importlib.metadata import version
from typing import Any, Final

from pydicom import Dataset
from pydicom.sr.codedict import codes
from pydicom.sr.coding import Code

from pneumobench.prediction.answers import REASONS, Prediction
from pneumobench.prediction.bundle import FOR_RESEARCH, OpenedBundle
from pneumobench.prediction.dicom.identity import finished, instance_of, reference_header, result_uid
from pneumobench.prediction.dicom.source import Source

SCHEME: Final = "99PNEUMOBENCH"  # of what no public coding scheme has a code for
PNEUMONIA: Final = Code("233604007", "SCT", "Pneumonia")
CHEST_IMAGE: Final = Code("399208008", "SCT", "Plain chest X-ray")
THRESHOLD: Final = Code("threshold", SCHEME, "Decision threshold of the probability")
DECISION: Final = Code("decision", SCHEME, "Probability reaches the threshold")
REVIEW: Final = Code("review", SCHEME, "A person should look")
YES, NO = Code("373066001", "SCT", "Yes"), Code("373067005", "SCT", "No")
FINDING_ID: Final = "pneumonia"
REVIEW_NOT_LOOKED_FOR: Final = "Reasons to have a person look were not looked for."
DIGITS: Final = 7  # as in tables of answers


def report_of(source: Source, opened: OpenedBundle, said: Prediction) -> Dataset:
    """Return the answer about an image as a measurement report (TID 1500) that refers to the image.

    One group of measurements with the finding pneumonia: its calibrated probability as mean, minimum and maximum over
    the folds; the threshold; whether it is reached; whether a person should look, and why, if that was looked for. All
    numbers lie in [0, 1] without unit. What is odd about the file is a comment. The report is preliminary and not
    verified: no person has seen it.

    Args:
        source: the image.
        opened: who answers.
        said: the answer.

    Source: DICOM PS3.16 TID 1500 (measurement report), TID 1501, TID 300 and TID 4019 (algorithm identification).
    """
    from highdicom import sr
    from highdicom.coding_schemes import CodingSchemeIdentificationItem
    from highdicom.sr import value_types as values

    bundle = opened.bundle
    device = sr.DeviceObserverIdentifyingAttributes(
        uid=result_uid(opened, "report", "observer"),
        name=bundle.name,
        manufacturer_name="pneumobench",
        model_name=bundle.architecture,
        serial_number=opened.sha256,
    )
    observer = sr.ObserverContext(observer_type=codes.DCM.Device, observer_identifying_attributes=device)
    algorithm = sr.AlgorithmIdentification(
        name=f"pneumobench {bundle.name}",
        version=version("pneumobench"),
        family=codes.DCM.ArtificialIntelligence,
        parameters=[
            f"bundle SHA-256: {opened.sha256}",
            f"threshold rule: {bundle.rule}",
            f"probability: calibrated by temperature, mean over {len(bundle.folds)} folds",
        ],
    )
    group = sr.MeasurementsAndQualitativeEvaluations(
        tracking_identifier=sr.TrackingIdentifier(
            uid=result_uid(opened, "report", source.sop_instance, FINDING_ID), identifier=FINDING_ID
        ),
        finding_type=PNEUMONIA,
        algorithm_id=algorithm,
        finding_sites=[sr.FindingSite(anatomic_location=codes.SCT.Lung)],
        measurements=[
            _share(codes.DCM.Probability, said.probability, codes.SCT.Mean),
            _share(codes.DCM.Probability, said.lowest, codes.SCT.Minimum),
            _share(codes.DCM.Probability, said.highest, codes.SCT.Maximum),
            _share(THRESHOLD, said.threshold),
        ],
        qualitative_evaluations=[
            sr.QualitativeEvaluation(name=DECISION, value=YES if said.pneumonia else NO),
            *(sr.QualitativeEvaluation(name=REVIEW, value=YES if looked else NO) for looked in _looked_for(said)),
            *(sr.QualitativeEvaluation(name=REVIEW, value=_reason(name)) for name in said.reasons),
        ],
        source_images=[sr.SourceImageForMeasurementGroup(source.sop_class, source.sop_instance)],
    )
    words = [FOR_RESEARCH, *(f"A person should look: {one}" for one in said.reasons.values()), *said.notes]
    if said.review is None:
        words.append(REVIEW_NOT_LOOKED_FOR)
    group[0].ContentSequence.extend(
        values.TextContentItem(name=codes.DCM.Comment, value=text, relationship_type=sr.RelationshipTypeValues.CONTAINS)
        for text in words
    )
    report = sr.MeasurementReport(
        observation_context=sr.ObservationContext(observer_device_context=observer),
        procedure_reported=CHEST_IMAGE,
        imaging_measurements=[group],
        title=codes.DCM.ImagingMeasurementReport,
    )
    result = sr.ComprehensiveSR(
        evidence=[reference_header(source)],
        content=report[0],
        is_complete=True,
        is_final=False,
        is_verified=False,
        coding_schemes=[
            CodingSchemeIdentificationItem(SCHEME, name="pneumobench", responsible_organization="pneumobench")
        ],
        **instance_of(source, opened, "report"),
    )
    return finished(result, source)


def _share(name: Code, value: float, derivation: Code | None = None) -> Any:
    from highdicom.sr import Measurement

    return Measurement(name=name, value=round(value, DIGITS), unit=codes.UCUM.NoUnits, derivation=derivation)


def _looked_for(said: Prediction) -> tuple[bool, ...]:
    """Return whether a person should look; nothing where reasons were not looked for, which is no `No`."""
    return () if said.review is None else (said.review,)


def _reason(name: str) -> Code:
    """Return the code of a reason; its number stands in the comment."""
    return Code(name, SCHEME, REASONS[name][:64])
