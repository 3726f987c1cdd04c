"""How far the answers of an exported bundle lie from those of PyTorch, on the same images."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from pneumobench.metrics.discrimination import area_under_roc
from pneumobench.prediction.answers import folds_said, threshold_of
from pneumobench.prediction.asked import BATCH, AskedBundle
from pneumobench.prediction.onnx_predictor import OnnxPredictor
from pneumobench.radiographs.geometry import cropped

# at most so far from PyTorch: the largest difference of a calibrated probability, and that of AUC
PROBABILITY_BAR: Final = {"fp32": 1e-4, "fp16": 1e-2, "int8": None}
AUC_BAR: Final = 1e-3


@dataclass(frozen=True, kw_only=True)
class Parity:
    """Answers of an exported bundle beside those of PyTorch.

    Args:
        precision: of the exported networks.
        images: that both were asked about.
        source: where they are from.
        largest: difference of a calibrated probability, the mean over the folds.
        largest_of_a_fold: the same of a single fold, before tempering.
        largest_prepared_inside: the same as `largest`, where the graph squeezes the image itself.
        other_decisions: images that are decided otherwise.
        other_lungs: images whose lungs are other pixels.
        auc: of PyTorch; None without both labels.
        auc_exported: of the exported bundle.
    """

    precision: str
    images: int
    source: str
    largest: float
    largest_of_a_fold: float
    largest_prepared_inside: float
    other_decisions: int
    other_lungs: int
    auc: float | None = None
    auc_exported: float | None = None

    @property
    def auc_difference(self) -> float | None:
        """How far the areas lie apart."""
        return None if self.auc is None or self.auc_exported is None else abs(self.auc_exported - self.auc)

    def beyond(self) -> list[str]:
        """Return in words what lies beyond the bars; nothing where all is well."""
        said = []
        bar, area = PROBABILITY_BAR[self.precision], self.auc_difference
        if bar is not None:
            for words, value in (("", self.largest), (" prepared in the graph", self.largest_prepared_inside)):
                if not value <= bar:
                    said.append(f"a probability{words} differs by {value:.2g}, expected at most {bar:.0e}")
        if area is not None and not area <= AUC_BAR:
            said.append(f"AUC differs by {area:.2g}, expected at most {AUC_BAR:.0e}")
        if bar is None and area is None:
            said.append("no AUC without images of both labels, which this precision is judged by")
        return said

    def plain(self) -> dict[str, Any]:
        """Return it as JSON has it, with the bars."""
        bars = {"probability": PROBABILITY_BAR[self.precision], "auc": AUC_BAR}
        return {**asdict(self), "auc_difference": self.auc_difference, "bars": bars, "beyond": self.beyond()}


def parity_of(
    torch: AskedBundle, exported: OnnxPredictor, grays: Sequence[NDArray[np.uint8]], labels: Sequence[int], source: str
) -> Parity:
    """Ask both about images.

    Args:
        torch: the bundle that was exported.
        exported: the exported one.
        grays: gray levels (H, W) of each image.
        labels: 1 = pneumonia; empty = not known.
        source: where the images are from.
    """
    bundle = torch.bundle
    ours, theirs, inside, single, lungs = [], [], [], 0.0, 0
    for some in _batches(grays):
        whole, other = torch.prepare(some), exported.prepare(some)
        said = torch.say(np.stack([image.radiograph for image in whole]))
        found = exported.say(np.stack([image.radiograph for image in other]))
        single = max(single, float(np.abs(said.probability - found.probability).max()))
        ours.append(folds_said(bundle, said).mean(axis=1))
        theirs.append(folds_said(bundle, found).mean(axis=1))
        inside += [
            float(exported.calibrated(np.ascontiguousarray(cropped(gray, image.crop_box))[None])[0])
            for gray, image in zip(some, whole, strict=True)
        ]
        lungs += sum(not _same(one.lungs, two.lungs) for one, two in zip(whole, other, strict=True))
    ours_all, theirs_all = np.concatenate(ours), np.concatenate(theirs)
    threshold = threshold_of(bundle)
    both = len(set(labels)) == 2
    return Parity(
        precision=exported.precision, images=len(grays), source=source,
        largest=float(np.abs(ours_all - theirs_all).max()), largest_of_a_fold=single,
        largest_prepared_inside=float(np.abs(ours_all - np.array(inside)).max()),
        other_decisions=int(((ours_all >= threshold) != (theirs_all >= threshold)).sum()), other_lungs=lungs,
        auc=area_under_roc(ours_all, labels) if both else None,
        auc_exported=area_under_roc(theirs_all, labels) if both else None,
    )  # fmt: skip


def _batches(grays: Sequence[NDArray[np.uint8]]) -> Iterator[Sequence[NDArray[np.uint8]]]:
    for start in range(0, len(grays), BATCH):
        yield grays[start : start + BATCH]


def _same(one: NDArray[np.bool_] | None, two: NDArray[np.bool_] | None) -> bool:
    if one is None or two is None:
        return one is two
    return bool((one == two).all())
