"""The model card of the lung segmenter, written from measured numbers only."""

from __future__ import annotations

import numpy as np
from measured import CHANGES, Measured, SegmenterTrial
from numpy.typing import NDArray

from pneumobench.lungs.boxes import MARGIN
from pneumobench.lungs.lung_parts import WEIGHTS_NAME, WORKING_SIDE_PX
from pneumobench.lungs.pose import OUTER_SHARE as POSE_SHARE
from pneumobench.lungs.quality import BOUNDS_NAME, MEASURES, OUTER_SHARE
from pneumobench.lungs.segmenter import TRAIN_COMMAND

POOR_IOU = 0.8  # below it a mask misses so much lung that a reader would call it wrong
HEAD = """# Weights of the lung segmenter

`{weights}` holds a U-Net of {parameters:,} parameters (kernels in half precision) that marks both lungs, the part
behind the heart included, in frontal chest images of children. `{bounds}` holds the bounds of what it takes for a
plausible pair of lungs. A mask outside them counts as "no usable mask".

It is made for measuring and cropping in this benchmark. It is no medical device. It learnt from images of children
of one to five years of one hospital, squeezed to squares; adults, side views and other devices were not measured.

## Data, attribution, licence

- Images: Kermany, Zhang, Goldbaum: Labeled Optical Coherence Tomography (OCT) and Chest X-Ray Images for
  Classification, doi 10.17632/rscbjbr9sj, CC BY 4.0.
- Annotated lungs: V7 Labs, COVID-19 X-ray dataset, CC BY 4.0.
- Weights and bounds: CC BY 4.0; name both sources above.

## Training

`{command}`

Random initial weights, {films} images of the official train folder with annotated lungs, {epochs} epochs, seed {seed},
all at {side} x {side} px, {minutes} minutes on {threads} CPU threads (PyTorch {torch}). One tenth of the train folder,
whole patients and identical files together, was held out and used for nothing but the numbers below. Storing the
kernels in half precision changed a share of {changed} of the pixels of held-out masks.

## Measured

At 224 x 224 px against annotated lungs; masks after all steps that a user gets (two largest parts, holes filled).

"""


def model_card(trial: SegmenterTrial, worst: list[int], descriptions: dict[str, str]) -> str:
    """Return the card as Markdown.

    Args:
        trial: what was measured; the first set is the one of held-out patients.
        worst: positions of the worst images in the first set.
        descriptions: what somebody saw in an image, by image id.
    """
    head = HEAD.format(
        weights=WEIGHTS_NAME, bounds=BOUNDS_NAME, parameters=trial.parameters, command=TRAIN_COMMAND,
        side=WORKING_SIDE_PX, **trial.metadata,
    )  # fmt: skip
    lines = [
        "| | " + " | ".join(measured.name for measured in trial.measured) + " |",
        "| --- |" + " ---: |" * len(trial.measured),
    ]
    rows = [_numbers(measured) for measured in trial.measured]
    lines += ["| " + " | ".join([name, *(row[name] for row in rows)]) + " |" for name in rows[0]]
    return head + "\n".join([*lines, "", *_caveats(trial), *_bounds(trial), *_worst(trial, worst, descriptions)]) + "\n"


def _quantile(values: NDArray[np.float64], share: float) -> str:
    return f"{np.quantile(values, share):.3f}" if values.size else "none"


def _numbers(measured: Measured) -> dict[str, str]:
    usable, poor = measured.usable, measured.iou < POOR_IOU
    cut = measured.cut[usable]
    return {
        "images (patients)": f"{measured.radiographs} ({measured.patients})",
        "images with annotated lungs": str(len(measured.iou)),
        "IoU, median": _quantile(measured.iou, 0.5),
        "IoU, 5th percentile": _quantile(measured.iou, 0.05),
        "IoU, lowest": _quantile(measured.iou, 0.0),
        "Dice, median": _quantile(measured.dice, 0.5),
        "Dice, 5th percentile": _quantile(measured.dice, 0.05),
        "refused by quality control": f"{measured.refused} of {measured.radiographs} "
        f"({100 * measured.refused / measured.radiographs:.1f} %)",
        "IoU of usable masks, 5th percentile": _quantile(measured.iou[usable], 0.05),
        f"masks with IoU under {POOR_IOU}, refused": f"{int((poor & ~usable).sum())} of {int(poor.sum())}",
        "manual masks that quality control would refuse": f"{100 * measured.drawn_refused:.1f} %",
        "annotated lung outside the adaptive crop, median": _quantile(cut, 0.5),
        "annotated lung outside the adaptive crop, 95th percentile": _quantile(cut, 0.95),
        "annotated lung outside the adaptive crop, largest": _quantile(cut, 1.0),
    }


def _caveats(trial: SegmenterTrial) -> list[str]:
    lines = [
        f"The adaptive crop is the box around usable segmented lungs, {MARGIN:.0%} of the image wider on every side.",
        "Patient numbers of the official test folder that also stand in the train folder may or may not be the same",
        "children: nobody published which.",
    ]
    if trial.pairing_iou is not None:
        lines += [
            "The manual masks came without image names and were matched to images by their agreement with another",
            f"segmenter; the lowest agreement kept was IoU {trial.pairing_iou:.2f}. Masks that agreed less are in",
            "neither set, so the lower ends above are somewhat too good, and a few masks may be of another image.",
        ]
    return [*lines, ""]


def _bounds(trial: SegmenterTrial) -> list[str]:
    head = [
        "## Quality control",
        "",
        f"A usable mask has exactly two parts, and every measure lies between the {OUTER_SHARE:.1%} and "
        f"{1 - OUTER_SHARE:.1%} quantile of",
        f"{trial.bounds.masks} manual masks of the training images:",
        "",
        "| measure | from | to |",
        "| --- | ---: | ---: |",
    ]
    rows = [f"| {what} (`{name}`) | {trial.bounds.bounds[name][0]:.3f} | {trial.bounds.bounds[name][1]:.3f} |"
            for name, what in MEASURES.items()]  # fmt: skip
    return [*head, *rows, "", *_refused(trial)]


def _refused(trial: SegmenterTrial) -> list[str]:
    """Return what of images that do not lie right is refused, measured."""
    head = [
        "The image has to lie right too: a template of the gray levels around the lungs, fitted on the same training",
        "images, has to fit it better as it is than turned, mirrored or inverted (by a margin, where the right pose of",
        f"more than {POSE_SHARE:.1%} of the training images fits less well). Share of the held-out images refused, for",
        "whatever reason:",
        "",
        "| images | " + " | ".join(measured.name for measured in trial.measured) + " |",
        "| --- |" + " ---: |" * len(trial.measured),
    ]
    rows = [
        "| " + " | ".join([what, *(f"{100 * m.changed_refused[what]:.1f} %" for m in trial.measured)]) + " |"
        for what in CHANGES
    ]
    return [*head, *rows, ""]


def _worst(trial: SegmenterTrial, worst: list[int], descriptions: dict[str, str]) -> list[str]:
    measured = trial.measured[0]
    rows = [
        f"| `{measured.image_id[i]}` | {measured.iou[i]:.3f} | {'yes' if measured.usable[i] else 'no'} "
        f"| {descriptions.get(measured.image_id[i], 'not looked at')} |"
        for i in worst
    ]
    return [
        f"## The {len(worst)} held-out images with the lowest IoU",
        "",
        "| image | IoU | usable | what is seen |",
        "| --- | ---: | --- | --- |",
        *rows,
    ]
