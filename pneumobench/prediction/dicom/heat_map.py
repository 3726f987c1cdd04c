"""Where the networks look, as numbers: a Parametric Map with the rows and columns of the image."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset
from pydicom.sr.codedict import codes

from pneumobench.prediction.bundle import FOR_RESEARCH, OpenedBundle
from pneumobench.prediction.dicom.identity import BODY_PART, finished, instance_of, reference_header, result_uid
from pneumobench.prediction.dicom.source import Source

STORED_MAX: Final = 65535  # 16 bits, as many as the pixels of the image have


def heat_map_of(source: Source, opened: OpenedBundle, heat: NDArray[np.float32], method: str) -> Dataset:
    """Return a heat map as a Parametric Map.

    Its pixels lie on those of the image, row by row and column by column. A value is the share of the map's peak, 0 to
    1; all 0 where the networks saw nothing that speaks for pneumonia. Its frame of reference is its own, with a plane
    at the origin, since a projection has no place in space; what it lies on is said by the image that it refers to.

    Args:
        source: the image.
        opened: who answers.
        heat: (H, W), as many rows and columns as the image has; 0 or more.
        method: how it was made.

    Source: DICOM PS3.3 A.75 (Parametric Map IOD), C.7.6.16.2.11 (real world values); PS3.16 CID 7180, saliency.
    """
    from highdicom import VOILUTTransformation
    from highdicom.pm import ParametricMap, RealWorldValueMapping

    header = reference_header(source)
    header.Rows, header.Columns = heat.shape
    header.Modality, header.SamplesPerPixel, header.BitsAllocated, header.BitsStored = "DX", 1, 16, 16
    # the standard asks for a place in space, which a projection has not: a frame of reference that nothing else is in
    header.FrameOfReferenceUID = result_uid(opened, "heat-map", source.sop_instance, "frame of reference")
    header.ImagePositionPatient, header.ImageOrientationPatient = [0, 0, 0], [1, 0, 0, 0, 1, 0]
    header.PixelSpacing, header.SliceThickness = list(source.pixel_spacing_mm or (1, 1)), 1
    peak = float(heat.max())
    stored = np.round(heat / peak * STORED_MAX) if peak > 0 else np.zeros_like(heat)
    result = ParametricMap(
        [header],
        stored.astype(np.uint16),
        contains_recognizable_visual_features=False,
        real_world_value_mappings=[
            RealWorldValueMapping(
                lut_label="HEAT",
                lut_explanation="share of the peak of the map",
                unit=codes.UCUM.NoUnits,
                value_range=(0, STORED_MAX),
                slope=1 / STORED_MAX,
                intercept=0,
                quantity_definition=codes.DCM.Saliency,
            )
        ],
        voi_lut_transformations=[VOILUTTransformation(window_center=STORED_MAX / 2, window_width=STORED_MAX)],
        content_label="HEAT_MAP",
        content_description=f"{method}. {FOR_RESEARCH}",
        **instance_of(source, opened, "heat-map"),
    )
    _settle(result, source, result_uid(opened, "heat-map", source.sop_instance, "dimensions"))
    result.BodyPartExamined = BODY_PART
    return finished(result, source)


def _settle(result: Dataset, source: Source, dimensions: str) -> None:
    """Take out lengths that nobody measured, and name the dimension of the only frame by what it follows from."""
    (shared,) = result.SharedFunctionalGroupsSequence
    (measures,) = shared.PixelMeasuresSequence
    unknown = () if source.pixel_spacing_mm else ("PixelSpacing",)
    for name in ("SliceThickness", "SpacingBetweenSlices", *unknown):
        if name in measures:
            delattr(measures, name)
    for item in (*result.DimensionOrganizationSequence, *result.DimensionIndexSequence):
        item.DimensionOrganizationUID = dimensions
