"""What the model card of an exported bundle says besides: what its graphs take and give, and their parity."""

from __future__ import annotations

from collections.abc import Iterator

from pneumobench.prediction.bundle import Bundle
from pneumobench.prediction.parity import Parity

CROPS = {
    "none": "Any size: the graph squeezes it.",
    "fixed": "Any size, of rows 15-90 % and columns 20-80 %, which are cut out first: the graph squeezes it.",
    "adaptive": "The box around the lungs, cut out first as `pneumobench predict` does: the graph squeezes it.",
}
EXAMPLE = """\
```python
import cv2, onnxruntime

session = onnxruntime.InferenceSession("{file}")
gray = cv2.imread("IMAGE", cv2.IMREAD_GRAYSCALE)
(probability,) = session.run(["probability"], {{"gray": gray[None]}})
```
"""


def exported_card(card: str, bundle: Bundle, parity: Parity) -> str:
    """Return a card with a part on ONNX at its end.

    Args:
        card: that of the bundle that was exported.
        bundle: the exported one.
        parity: how far it lies from PyTorch.
    """
    return card.rstrip() + "\n\n" + "\n".join(_lines(bundle, parity)).rstrip() + "\n"


def parity_lines(parity: Parity) -> Iterator[str]:
    """Yield in words how far an exported bundle lies from PyTorch."""
    yield (
        f"largest difference of a probability on {parity.images} images: {parity.largest:.1e}; of a single fold: "
        f"{parity.largest_of_a_fold:.1e}; prepared in the graph: {parity.largest_prepared_inside:.1e}"
    )
    yield f"images decided otherwise: {parity.other_decisions}; with other lungs: {parity.other_lungs}"
    if parity.auc is not None and parity.auc_exported is not None:
        yield f"AUC {parity.auc:.4f} in PyTorch, {parity.auc_exported:.4f} exported"


def _lines(bundle: Bundle, parity: Parity) -> Iterator[str]:
    exported = bundle.exported
    assert exported is not None
    yield "## ONNX\n"
    yield (
        f"`{exported.file}` holds the networks of all {len(bundle.folds)} folds in {exported.precision}, with "
        f"squeezing, normalisation, temperatures and sigmoid; `{exported.lungs}` the lung segmenter. Made of the "
        f"bundle `{exported.made_of[:12]}`.\n"
    )
    yield "| graph | name | shape | what |\n|---|---|---|---|"
    for row in (
        (exported.file, "in: gray", "(N, H, W) uint8", f"gray levels, 0 black, 255 white. {CROPS[bundle.crop]}"),
        (exported.file, "out: probability", "(N,) float32", "calibrated probability of pneumonia, mean of the folds"),
        (exported.file, "out: fold_probability", f"(N, {len(bundle.folds)}) float64", "of each fold, before tempering"),
        *(
            [
                (
                    exported.file,
                    "out: class_probability",
                    f"(N, {len(bundle.classes)}) float32",
                    ", ".join(bundle.classes),
                )
            ]
            if len(bundle.classes) > 2
            else []
        ),
        (exported.file, "out: features_K", "(N, F) float32", "what the last layer of each network reads"),
        (exported.lungs, "in: images", "(N, 224, 224) uint8", "whole images, squeezed"),
        (exported.lungs, "out: logits", "(N, 224, 224) float32", "lung where above 0; two largest parts, holes filled"),
    ):
        yield f"| `{row[0]}` | `{row[1]}` | {row[2]} | {row[3]} |"
    yield "\n" + EXAMPLE.format(file=exported.file)
    yield f"Beside PyTorch ({parity.source}):\n"
    yield from (f"- {line}" for line in parity_lines(parity))
    yield from (f"- **beyond the bar**: {line}" for line in parity.beyond())
