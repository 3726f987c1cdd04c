"""How images of another source can be shown to networks beside as they are: the values of `evaluate --variants`."""

from __future__ import annotations

from typing import Final, Literal

Variant = Literal["histogram_matched", "percentile_window", "lung_crop"]
AS_IS: Final = "as_is"  # prepared as the run's own images, which the variants are compared with
VARIANT_WORDS: Final[dict[str, str]] = {
    AS_IS: "prepared as the images of the run",
    "histogram_matched": "gray levels of each image changed so that their histogram is the mean one of the images that "
    "the network was trained on",
    "percentile_window": "the 1st to the 99th percentile of each image's gray levels stretched over all",
    "lung_crop": "cut to the box around the segmented lungs, 5 % wider on each side; the fixed box where none are "
    "plausible",
}
