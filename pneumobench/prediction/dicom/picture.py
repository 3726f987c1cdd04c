"""The answer as a picture that any viewer shows: the image with its heat map, and the words burned in above it."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont
from pydicom import Dataset

from pneumobench.attributions.overlays import INK_RGB, PAPER_RGB, WARNING_RGB, Picture, draw_overlay
from pneumobench.prediction.answers import Prediction
from pneumobench.prediction.bundle import FOR_RESEARCH, OpenedBundle
from pneumobench.prediction.dicom.identity import BODY_PART, finished, instance_of, reference_header
from pneumobench.prediction.dicom.report import REVIEW_NOT_LOOKED_FOR
from pneumobench.prediction.dicom.source import Source

LONG_SIDE_PX: Final = (512, 1024)  # least and most of the image in the picture; a heat map has no finer detail
LEAST_WIDTH_PX: Final = 384  # on which the words can be read
FONT_PX, LINE_PX, GAP_PX = 18, 24, 8
LETTER_PX: Final = 9  # of running text in that font, on average
HOW_TO_READ: Final = "Colours: where the networks look, up to the peak of this image. Line: outline of the lungs found."


def draw_answer(
    gray: NDArray[np.uint8],
    heat: NDArray[np.float32],
    lungs: NDArray[np.bool_] | None,
    said: Prediction,
    opened: OpenedBundle,
) -> tuple[Picture, float]:
    """Draw an image (H, W) with its heat map and what is said of it; nothing that names a patient.

    Args:
        gray: 0 black to 255 white.
        heat: (H, W), 0 or more.
        lungs: (H, W); None = none were found.
        said: the answer.
        opened: who answers.

    Returns:
        RGB picture, and how many pixels of the image are one of the picture.
    """
    height, width = gray.shape
    side = max(height, width)
    factor = min(max(side, LONG_SIDE_PX[0]), LONG_SIDE_PX[1]) / side
    size = max(1, round(width * factor)), max(1, round(height * factor))
    resized = cv2.resize(gray, size, interpolation=cv2.INTER_AREA if factor < 1 else cv2.INTER_CUBIC)
    drawn = draw_overlay(np.asarray(resized, dtype=np.uint8), heat, lungs, size)
    whole = max(size[0], LEAST_WIDTH_PX)
    letters = (whole - 2 * GAP_PX) // LETTER_PX
    lines = [(line, colour) for words, colour in _words(said, opened) for line in textwrap.wrap(words, letters)]
    above = 2 * GAP_PX + LINE_PX * len(lines)
    canvas = Image.new("RGB", (whole, above + size[1]), PAPER_RGB)
    pen, font = ImageDraw.Draw(canvas), ImageFont.load_default(FONT_PX)
    for number, (line, colour) in enumerate(lines):
        pen.text((GAP_PX, GAP_PX + number * LINE_PX), line, colour, font)
    canvas.paste(Image.fromarray(drawn), (0, above))
    return np.asarray(canvas, dtype=np.uint8), height / size[1]


def _words(said: Prediction, opened: OpenedBundle) -> Sequence[tuple[str, tuple[int, int, int]]]:
    bundle = opened.bundle
    reach = "reaches" if said.pneumonia else "is below"
    return [
        (FOR_RESEARCH, WARNING_RGB),
        (
            f"Probability of pneumonia {said.probability:.3f} (folds {said.lowest:.3f} to {said.highest:.3f}); it "
            f"{reach} the threshold {said.threshold:.3f} ({bundle.rule}).",
            INK_RGB,
        ),
        *((f"A person should look: {words}", WARNING_RGB) for words in said.reasons.values()),
        *(((REVIEW_NOT_LOOKED_FOR, INK_RGB),) if said.review is None else ()),
        *((f"Note: {words}", INK_RGB) for words in said.notes),
        (f"{bundle.name}, {opened.sha256[:12]}. {HOW_TO_READ}", INK_RGB),
    ]


def picture_of(source: Source, opened: OpenedBundle, picture: Picture, scale: float) -> Dataset:
    """Return a picture as a Secondary Capture image in the study of the image it shows.

    Args:
        source: the image.
        opened: who answers.
        picture: RGB.
        scale: pixels of the image that are one of the picture.

    Source: DICOM PS3.3 A.8.1 (Secondary Capture Image IOD).
    """
    from highdicom.sc import SCImage

    header = reference_header(source)
    spacing = source.pixel_spacing_mm
    result = SCImage(
        picture,
        photometric_interpretation="RGB",
        bits_allocated=8,
        coordinate_system="PATIENT",
        patient_orientation=("L", "F"),
        study_instance_uid=header.StudyInstanceUID,
        pixel_spacing=None if spacing is None else (spacing[0] * scale, spacing[1] * scale),
        **instance_of(source, opened, "picture"),
    )
    result.PatientOrientation = list(source.orientation or ())
    result.ConversionType = "WSD"  # made by a workstation, not taken from a camera or a scanner
    result.BurnedInAnnotation = "YES"
    result.ImageComments = result.DerivationDescription = FOR_RESEARCH
    shown = Dataset()
    shown.ReferencedSOPClassUID, shown.ReferencedSOPInstanceUID = source.sop_class, source.sop_instance
    result.SourceImageSequence = [shown]
    result.BodyPartExamined = BODY_PART
    return finished(result, source)
