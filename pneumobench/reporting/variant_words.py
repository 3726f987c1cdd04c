"""What is said of each kind of comparison: its title, its first column, and what differs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from pneumobench.records.comparison import Compared

INTERVAL_WORDS: Final = (
    "AUC is computed within folds. Intervals are over patients, and a patient who is tested under both values is one "
    "patient; p-values are of a two-sided paired test by patient, corrected (Holm) for all comparisons of this table."
)


@dataclass(frozen=True, kw_only=True)
class VariantWords:
    """The words of a comparison; `title` and `meaning` may name the setting as {setting}; `values` explains some."""

    title: str
    heading: str
    meaning: str
    values: Mapping[str, str] = field(default_factory=dict)


_OTHER: Final = "the lungs of another patient, drawn without regard to class among the images tested in the same fold"
VARIANT_WORDS: Final[dict[Compared, VariantWords]] = {
    "protocols": VariantWords(
        title="Effect of the split",
        heading="protocol",
        meaning="The same networks, settings and images; only the split differs.",
        values={
            "patient": "folds by patient",
            "image_random": "folds by image, with images of one patient on both sides",
            "official": "trained on the official train folder, tested on the official test folder, which may differ",
            "holdout": "one test part by patient",
        },
    ),
    "regions": VariantWords(
        title="Networks trained and tested on a region",
        heading="region",
        meaning="Every network was trained, validated and tested on images of one region, on the same images, folds "
        "and settings. What is masked has the mean gray of what is left.",
        values={
            "whole": "all of the image",
            "without_lungs": "masked by the image's own lungs, whose outline stays visible as the edge of the mask",
            "only_lungs": "all but the image's own lungs masked; their outline stays visible as the edge of the mask",
            "without_lungs_other_outline": f"masked by {_OTHER}; parts of the image's own lungs stay",
            "only_lungs_other_outline": f"all masked but {_OTHER}; parts of what surrounds the image's own stay",
            "fixed_region_removed": "without the smallest region that holds 99.5 % of all lung pixels of the fold's "
            "training part, the same for all images: no outline, and next to no lung",
            "mask_only": "the lung mask, without gray values",
        },
    ),
    "seeds": VariantWords(
        title="Noise of the seed",
        heading="seed",
        meaning="The same networks, settings, images and folds; initial weights (where they are random), order of "
        "images, augmentation and dropout are drawn anew by each seed.",
    ),
    "subsets": VariantWords(
        title="Learning curve",
        heading="training images",
        meaning="The same networks, settings and tested images; each fold is trained on fewer images (its validation "
        "part among them): whole patients, drawn with the shares of labels and subtypes that all have, those of a "
        "smaller number among those of a larger. Epochs are the same, so that fewer images are fewer steps, too.",
    ),
    "runs": VariantWords(
        title="Runs side by side",
        heading="run",
        meaning="Finished runs of the same images. A difference belongs to all that differs between two runs together, "
        "listed below, and to the chance of their trainings.",
    ),
    "vary": VariantWords(
        title="Effect of {setting}",
        heading="{setting}",
        meaning="The same images and settings; only `{setting}` differs, and what it brings with it: initial weights, "
        "for example, have their own pixel statistics.",
    ),
}
SEED_NOISE_WORDS: Final = (
    "Deviation over seeds: of the areas of trainings that differ in the seed alone, on the same patients. Error over "
    "patients: standard error of the area of one training. Both: what a single training on other patients would "
    "deviate by."
)
SEED_ORDER_WORDS: Final = (
    "Every pair of rows above. The interval is that of the difference of means, over patients and seeds. Turned: of "
    "all pairs of one training each, those in which the row with the lower mean comes first."
)
CURVE_WORDS: Final = (
    "1 - AUC = a (images / all)^-b + c, fitted to the areas above, weighted by their errors. Intervals say what other "
    "tested patients would change if the law holds, and nothing of other trainings. The area for twice the images and "
    "the limit lie beyond what was measured; a dash stands where an area lies farther from the law than half the width "
    "of the interval that it would give for twice the images."
)
TOO_FEW_SIZES_WORDS: Final = "A law of learning has three parameters; it is fitted to four numbers of images or more."
