"""From stored DICOM levels to gray: modality, values of interest, presentation, each a table of all levels."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset
from pydicom.pixels.processing import apply_rescale, apply_windowing

from pneumobench.radiographs.dicom_header import PixelLayout
from pneumobench.radiographs.gray_levels import levels_to_uint8, percentile_window, percentiles_of

BEYOND_ALL_LEVELS: Final = 1e12  # a level below or above every window
ALL_ENTRIES: Final = 2**16  # of a table whose descriptor says 0
LEAST_CONTRAST: Final = 8  # gray levels of 256 that 98 % of the pixels have to spread over
LEAST_INSIDE: Final = 0.02  # share of the pixels that a window has to show as neither black nor white
SLOPE_ZERO: Final = "RescaleSlope is 0, which would make one level of all; slope and intercept are left out"
ONE_OF_RESCALE: Final = "only one of RescaleSlope and RescaleIntercept is there; slope 1 or intercept 0 is taken"
BOTH_MODALITIES: Final = "both a ModalityLUTSequence and a rescale are there; the table is used"
UNUSABLE: Final = {
    "VOILUTSequence": "its VOILUTSequence cannot be used; the next best gray window is taken",
    "WindowCenter": "its window (WindowCenter, WindowWidth, VOILUTFunction) cannot be used; "
    "the next best gray window is taken",
}
INVERSE_OF_BRIGHT: Final = (
    "PresentationLUTShape INVERSE with MONOCHROME2: inverted as it asks, which is often wrong; look at one of them"
)
IDENTITY_OF_DARK: Final = (
    "PresentationLUTShape IDENTITY with MONOCHROME1: a contradiction, inverted as MONOCHROME1 asks; look at one of them"
)
UNKNOWN_SHAPE: Final = "its PresentationLUTShape is unknown and left out"
UNKNOWN_PADDING: Final = "its PixelPaddingValue cannot be read and is left out"


def gray_of_codes(
    stored: NDArray[np.int32], counts: NDArray[np.int64], dataset: Dataset, layout: PixelLayout
) -> tuple[NDArray[np.uint8], list[str]] | None:
    """Return the gray level (K,) of every code that a pixel may have, and what is odd about the way there.

    Stored levels -> modality table or rescale -> the first usable of VOI look-up table and window, else the levels
    of 8 bits as they are or the 1st to 99th percentile -> inverted where the file asks for it -> padding is black.

    Args:
        stored: level of each code (K,).
        counts: how many pixels have it (K,).
        dataset: the header; its rescale is mended in place.
        layout: what it says of the pixels.

    Returns:
        None where its modality table or rescale makes no numbers.
    """
    padding, notes = _is_padding(stored, dataset, layout)
    shown = np.where(padding, 0, counts)
    modality = _after_modality(stored, shown > 0, dataset)
    if modality is None:
        return None
    levels, said = modality
    gray, windowed = _windowed(levels, shown, dataset)
    if gray is None:
        window = percentile_window(levels, shown)
        present = levels[shown > 0]
        if layout.bits_stored == 8 and len(present) and present.min() >= 0 and present.max() <= 255:
            window = (0.0, 255.0)
        gray = np.zeros(len(levels), dtype=np.uint8) if window is None else levels_to_uint8(levels, *window)
    inverted, presented = _is_inverted(dataset, layout)
    gray = 255 - gray if inverted else gray
    gray[padding] = 0
    return gray, [*notes, *said, *windowed, *presented]


def _is_padding(
    stored: NDArray[np.int32], dataset: Dataset, layout: PixelLayout
) -> tuple[NDArray[np.bool_], list[str]]:
    """Return which codes (K,) are no image.

    Source: DICOM PS3.3 C.7.5.1.1.2.
    """
    first = dataset.get("PixelPaddingValue")
    if first is None:
        return np.zeros(len(stored), dtype=bool), []
    last = dataset.get("PixelPaddingRangeLimit")
    try:
        ends = [int(value) for value in (first, first if last is None else last)]
    except (TypeError, ValueError, OverflowError):
        return np.zeros(len(stored), dtype=bool), [UNKNOWN_PADDING]
    if layout.signed:  # a level below zero may be written as if it were unsigned
        ends = [end & (2**layout.bits_stored - 1) for end in ends]
        ends = [end - 2**layout.bits_stored if end >= 2 ** (layout.bits_stored - 1) else end for end in ends]
    return (stored >= min(ends)) & (stored <= max(ends)), []


def _after_modality(
    stored: NDArray[np.int32], present: NDArray[np.bool_], dataset: Dataset
) -> tuple[NDArray[Any], list[str]] | None:
    """Return the levels after the modality table or rescale (PS3.3 C.11.1); None where they are no numbers."""
    slope, intercept = dataset.get("RescaleSlope"), dataset.get("RescaleIntercept")
    notes = []
    try:
        if dataset.get("ModalityLUTSequence"):
            if slope is not None:
                notes.append(BOTH_MODALITIES)
                del dataset.RescaleSlope
            return _looked_up(stored, dataset.ModalityLUTSequence[0], dataset), notes
        if slope is not None and float(slope) == 0:
            notes.append(SLOPE_ZERO)
            del dataset.RescaleSlope
        elif (slope is None) != (intercept is None):
            notes.append(ONE_OF_RESCALE)
            dataset.RescaleSlope, dataset.RescaleIntercept = slope or 1, intercept or 0
        with np.errstate(over="ignore", invalid="ignore"):
            levels = np.asarray(apply_rescale(stored, dataset))
    except Exception:  # noqa: BLE001  # vendors fill these tags freely
        return None
    if not (np.abs(levels[present]) < BEYOND_ALL_LEVELS).all():  # not a number is not below either
        return None
    return np.clip(np.nan_to_num(levels), -BEYOND_ALL_LEVELS, BEYOND_ALL_LEVELS), notes


def _windowed(
    levels: NDArray[Any], counts: NDArray[np.int64], dataset: Dataset
) -> tuple[NDArray[np.uint8] | None, list[str]]:
    """Return gray levels (K,) by the VOI look-up table, else by the window; None where neither can be used."""
    notes: list[str] = []
    for tag, view in (("VOILUTSequence", _by_table), ("WindowCenter", _by_window)):
        if not (dataset.get(tag) or dataset.get(tag) == 0):
            continue
        try:
            gray = view(levels, dataset)
        except Exception:  # noqa: BLE001  # struct.error, ValueError, IndexError...: vendors fill these tags freely
            gray = None
        if gray is not None and (
            len(np.unique(levels[counts > 0])) <= LEAST_CONTRAST or _shows_something(gray, counts)
        ):
            return gray, notes
        notes.append(UNUSABLE[tag])
    return None, notes


def _shows_something(gray: NDArray[np.uint8], counts: NDArray[np.int64]) -> bool:
    """Tell whether something is left of an image: contrast, and pixels that are neither black nor white."""
    low, high = percentiles_of(gray, counts)
    inside = int(counts[(gray > 0) & (gray < 255)].sum())
    return high - low >= LEAST_CONTRAST and inside >= LEAST_INSIDE * int(counts.sum())


def _by_table(levels: NDArray[Any], dataset: Dataset) -> NDArray[np.uint8] | None:
    item = dataset.VOILUTSequence[0]
    ends = _table(item, dataset)[1]
    low, high = float(ends.min()), float(ends.max())
    return levels_to_uint8(_looked_up(levels, item, dataset), low, high) if low != high else None


def _by_window(levels: NDArray[Any], dataset: Dataset) -> NDArray[np.uint8] | None:
    if not dataset.get("VOILUTFunction"):
        dataset.VOILUTFunction = "LINEAR"
    ends = [-BEYOND_ALL_LEVELS, BEYOND_ALL_LEVELS]
    with np.errstate(over="ignore", invalid="ignore"):
        *_, low, high = shown = apply_windowing(np.append(levels, ends), dataset)
        usable = low != high and np.isfinite(high - low) and np.isfinite(shown).all()
    return levels_to_uint8(shown[:-2], float(low), float(high)) if usable else None


def _table(item: Dataset, dataset: Dataset) -> tuple[int, NDArray[Any]]:
    """Return the first level that a look-up table maps, and its entries.

    The library's own reading counts entries in the bits of an entry, and wraps.

    Raises:
        Exception: the table is damaged, or shorter than it says.
    """
    entries, first, bits = (int(value) for value in item.LUTDescriptor)
    entries = entries or ALL_ENTRIES
    data = item.LUTData
    if isinstance(data, bytes):
        little = dataset.original_encoding[1] is not False
        packed = bits <= 8 and len(data) in (entries, entries + entries % 2)
        data = np.frombuffer(data, dtype="u1" if packed else "<u2" if little else ">u2")
    values = np.atleast_1d(np.asarray(data, dtype=np.int64))[:entries]
    if len(values) != entries:
        raise ValueError("the table is shorter than it says")
    return first, values


def _looked_up(levels: NDArray[Any], item: Dataset, dataset: Dataset) -> NDArray[np.int64]:
    """Return levels (K,) after a look-up table; those beyond its ends get the entries there."""
    first, values = _table(item, dataset)
    if first >= ALL_ENTRIES // 2 and levels.min() < 0:  # a level below zero that was read as unsigned
        first -= ALL_ENTRIES
    places = np.rint(levels).astype(np.int64) - first
    return np.asarray(values[np.clip(places, 0, len(values) - 1)])


def _is_inverted(dataset: Dataset, layout: PixelLayout) -> tuple[bool, list[str]]:
    """Tell whether high levels are dark (PS3.3 C.7.6.3.1.2, C.11.6.1.2)."""
    dark = layout.photometric == "MONOCHROME1"
    shape = str(dataset.get("PresentationLUTShape") or "").strip().upper()
    if shape == "INVERSE":
        return True, [] if dark else [INVERSE_OF_BRIGHT]
    if shape == "IDENTITY":
        return dark, [IDENTITY_OF_DARK] if dark else []
    return dark, [UNKNOWN_SHAPE] if shape else []
