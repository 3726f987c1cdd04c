"""What the header of a DICOM file says of its pixels: read, checked, and what is odd about it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from pydicom import Dataset
from pydicom.tag import Tag
from pydicom.uid import UID

from pneumobench.radiographs.refusals import check_pixel_count, unreadable

OVERLAY_ROWS: Final = [(group << 16) | 0x0010 for group in range(0x6000, 0x6020, 2)]
# The only tags that are parsed: patient, institution and device stay unread, so that no error can show them.
# Without these the stored levels are unknown:
LEVEL_TAGS: Final = (
    "SamplesPerPixel", "PhotometricInterpretation", "NumberOfFrames", "Rows", "Columns", "BitsAllocated", "BitsStored",
    "HighBit", "PixelRepresentation", "PixelData", "FloatPixelData", "DoubleFloatPixelData",
    "ModalityLUTSequence", "RescaleSlope", "RescaleIntercept",
)  # fmt: skip
# these say how levels are shown, and what; an image can be read without them
VIEW_TAGS: Final = (
    "VOILUTSequence", "WindowCenter", "WindowWidth", "VOILUTFunction", "PixelPaddingValue", "PixelPaddingRangeLimit",
    "PresentationLUTShape", "PresentationLUTSequence",
    "Modality", "PresentationIntentType", "BodyPartExamined", "ViewPosition", "PatientOrientation", "ImageLaterality",
    "PixelAspectRatio", "PixelSpacing", "ImagerPixelSpacing", "BurnedInAnnotation", "LossyImageCompression",
)  # fmt: skip
PARSED_TAGS: Final = [*map(Tag, LEVEL_TAGS), *map(Tag, VIEW_TAGS), *map(Tag, OVERLAY_ROWS)]
LEVELS: Final = frozenset(map(Tag, LEVEL_TAGS))
NOT_PARSED: Final = "a tag that says how it is shown cannot be parsed; it is left out"
GRAY_PHOTOMETRICS: Final = ("MONOCHROME1", "MONOCHROME2")
RADIOGRAPHY: Final = ("CR", "DX", "DR", "RG", "RF", "OT", "SC")
CHEST_WORDS: Final = ("CHEST", "THORA", "TORAX", "LUNG")
FRONTAL: Final = ("AP", "PA")
NO_RADIOGRAPHY: Final = f"its Modality is none of radiography ({', '.join(RADIOGRAPHY)})"
NO_CHEST: Final = "BodyPartExamined is not the chest"
SQUARE_WITHIN: Final = 0.02  # sides of a pixel that differ by less are written with too few digits
COPY_AGAIN: Final = "copy or export it again"
AS_ONE_IMAGE: Final = "export the image as one gray DICOM image"


@dataclass(frozen=True, kw_only=True)
class PixelLayout:
    """What the header says of the pixels, before they are decoded.

    Args:
        syntax: how they are encoded.
        rows: height in pixels.
        columns: width in pixels.
        bits_allocated: bits that a pixel takes, 8 or 16.
        bits_stored: bits of them that are its level.
        high_bit: the highest of these.
        signed: whether levels are two's complement.
        photometric: MONOCHROME1, where high levels are dark, or MONOCHROME2, where they are bright.
        pixel_bytes: length of the pixels in the file.
        notes: what is missing in the header and what was taken for it.
    """

    syntax: UID
    rows: int
    columns: int
    bits_allocated: int
    bits_stored: int
    high_bit: int
    signed: bool
    photometric: str
    pixel_bytes: int
    notes: tuple[str, ...]

    @property
    def frame_bytes(self) -> int:
        """Bytes of the decoded pixels."""
        return self.rows * self.columns * self.bits_allocated // 8


def parse_tags(dataset: Dataset) -> list[str]:
    """Parse every tag that was read, so that none fails later; take out those of the view that cannot be parsed.

    Raises:
        Exception: a tag without which the levels are unknown cannot be parsed.
    """
    notes = []
    for tag in list(dataset.keys()):
        try:
            dataset[tag]
        except Exception:
            if tag in LEVELS:
                raise
            del dataset[tag]
            notes = [NOT_PARSED]
    return notes


def pixel_layout(path: Path, dataset: Dataset, syntax: UID) -> PixelLayout:
    """Return the layout of the pixels of a data set; everything that is not one gray image is refused.

    Raises:
        UnreadableImageError: no pixels, several frames, colour, no PhotometricInterpretation, or impossible bits.
        Exception: a tag holds something that cannot be parsed.
    """
    notes: list[str] = []

    def number(tag: str, missing: int, *, noted: bool = True) -> int:
        value = dataset.get(tag)
        if value not in (None, ""):
            return int(value)
        if noted:
            notes.append(f"the header lacks {tag}; {missing} is taken")
        return missing

    pixels = dataset.get("PixelData")
    if not pixels:
        if "FloatPixelData" in dataset or "DoubleFloatPixelData" in dataset:
            raise unreadable(path, "its pixels are floating-point numbers", AS_ONE_IMAGE)
        raise unreadable(path, "a DICOM file without pixels", "remove it from the data set")
    if (frames := number("NumberOfFrames", 1, noted=False)) not in (0, 1):
        raise unreadable(path, f"{frames} frames; one image is expected", AS_ONE_IMAGE)
    photometric = str(dataset.get("PhotometricInterpretation") or "").strip().upper()
    samples = number("SamplesPerPixel", 1)
    if samples == 1 and not photometric:
        raise unreadable(
            path,
            "its header lacks PhotometricInterpretation, which says whether high levels are dark or bright",
            "set it to MONOCHROME1 or MONOCHROME2, or export the image again",
        )
    if samples != 1 or photometric not in GRAY_PHOTOMETRICS:
        raise unreadable(path, f"colour pixels ({samples} samples a pixel); MONOCHROME1 or 2 is expected", AS_ONE_IMAGE)
    bits = number("BitsAllocated", 0, noted=False)
    if bits not in (8, 16):
        raise unreadable(path, f"{bits} bits allocated a pixel; 8 or 16 are expected", AS_ONE_IMAGE)
    stored = number("BitsStored", bits)
    high = number("HighBit", stored - 1)
    if not (0 < stored <= bits and stored - 1 <= high < bits):
        raise unreadable(
            path,
            f"BitsStored {stored} and HighBit {high} do not fit BitsAllocated {bits}; "
            "at most BitsAllocated, and one less than BitsStored, are expected",
            AS_ONE_IMAGE,
        )
    if (representation := number("PixelRepresentation", 0)) not in (0, 1):
        raise unreadable(path, f"PixelRepresentation {representation}; 0 or 1 is expected", AS_ONE_IMAGE)
    layout = PixelLayout(
        syntax=UID(syntax),
        rows=number("Rows", 0, noted=False),
        columns=number("Columns", 0, noted=False),
        bits_allocated=bits,
        bits_stored=stored,
        high_bit=high,
        signed=representation == 1,
        photometric=photometric,
        pixel_bytes=len(pixels),
        notes=tuple(notes),
    )
    check_pixel_count(path, layout.columns, layout.rows)
    return layout


def header_notes(dataset: Dataset) -> list[str]:
    """Return what the header says that a reader of the gray image should know; never the text of a tag."""
    notes = []

    def word(tag: str) -> str:
        return str(dataset.get(tag) or "").strip().upper()

    if word("Modality") and word("Modality") not in RADIOGRAPHY:
        notes.append(NO_RADIOGRAPHY)
    if word("PresentationIntentType") == "FOR PROCESSING":
        notes.append("PresentationIntentType is FOR PROCESSING: raw levels, which are not meant to be looked at")
    if (part := word("BodyPartExamined")) and not any(name in part for name in CHEST_WORDS):
        notes.append(NO_CHEST)
    if word("ViewPosition") and word("ViewPosition") not in FRONTAL:
        notes.append("ViewPosition is neither AP nor PA: it may not be a frontal image")
    orientation = _texts(dataset.get("PatientOrientation"))
    if any(orientation) and not (len(orientation) == 2 and orientation[0][:1] == "L" and orientation[1][:1] == "F"):
        notes.append(r"PatientOrientation is not L\F: mirrored, turned or not frontal; it is read as it is stored")
    if word("ImageLaterality") in ("L", "R"):
        notes.append("ImageLaterality names one side: it may not show both lungs")
    if word("BurnedInAnnotation") == "YES":
        notes.append("BurnedInAnnotation is YES: there is text in the pixels, which a network may read")
    if word("LossyImageCompression") == "01":
        notes.append("LossyImageCompression is 01: fine structures may be lost")
    if any(not _is_square(dataset.get(tag)) for tag in ("PixelAspectRatio", "PixelSpacing", "ImagerPixelSpacing")):
        notes.append("its pixels are not square (PixelAspectRatio or spacing); they are read as if they were")
    if any(tag in dataset for tag in OVERLAY_ROWS):
        notes.append("its overlays (60xx) are not drawn")
    if dataset.get("PresentationLUTSequence"):
        notes.append("its PresentationLUTSequence is not applied")
    return notes


def _texts(value: Any) -> list[str]:
    several = value if isinstance(value, Sequence) and not isinstance(value, str) else [value or ""]
    return [str(item).strip().upper() for item in several]


def _is_square(sides: Any) -> bool:
    try:
        one, other = (float(side) for side in sides)
        return one <= 0 or other <= 0 or abs(one / other - 1) <= SQUARE_WITHIN
    except (TypeError, ValueError):  # missing, or no two numbers
        return True
