"""Draws the pictures of the concept pages from phantoms and simulated scores, never from images of patients.

python -m docs._make.figures
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import matplotlib as mpl
import numpy as np
import torch
from matplotlib import pyplot as plt
from matplotlib.patches import Rectangle
from numpy.typing import NDArray

from pneumobench.lungs.masked_regions import MASKED_REGIONS
from pneumobench.metrics import (
    area_estimate,
    lung_attention_ratio,
    threshold_for_sensitivity,
    threshold_for_specificity,
    threshold_youden,
)
from pneumobench.phantoms.anatomy import draw_child, draw_exposure
from pneumobench.phantoms.radiograph import draw_image
from pneumobench.training.controls.thumbnail import THUMBNAIL_SIDE

IMAGES = Path(__file__).resolve().parents[1] / "images"
SIDE_PX = 224
TRAIN, VALIDATION, TEST, OFFICIAL = "#8fb8b3", "#e9c46a", "#d1495b", "#7d6b91"
REGION_WORDS = {
    "without_lungs": "no lungs",
    "lungs_blurred": "lungs blurred",
    "only_lungs": "lungs only",
    "without_borders": "no borders",
}


def main() -> None:
    """Draw all pictures."""
    mpl.rcParams.update({"svg.hashsalt": "pneumobench", "font.size": 10, "axes.spines.top": False,
                         "axes.spines.right": False, "svg.fonttype": "none"})  # fmt: skip
    IMAGES.mkdir(exist_ok=True)
    folds()
    seen_by_baselines()
    lung_attention()
    masked_regions()
    thresholds()
    intervals()


def phantom(seed: int = 5) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    """Return a synthetic radiograph (side, side) with pneumonia, and its lungs."""
    rng = np.random.default_rng(seed)
    child, exposure = draw_child(rng), draw_exposure(rng)
    return draw_image(child, exposure, "bacteria", SIDE_PX, noise_seed=[seed, 1], disease_seed=[seed, 2])


def folds() -> None:
    """Draw five folds: what is trained on, what is kept for choices, what is tested."""
    figure, axes = plt.subplots(figsize=(7.4, 3.0))
    for fold in range(5):
        y = 4 - fold
        for part in range(5):
            axes.add_patch(_box(part * 2, y, 2, TEST if part == fold else TRAIN))
        first = 0 if fold else 2  # the validation part lies in the training part
        axes.add_patch(_box(first, y, 0.8, VALIDATION))
        axes.text(-0.2, y + 0.4, f"fold {fold}", ha="right", va="center")
        axes.add_patch(_box(10.6, y, 1.6, OFFICIAL))
    for x, words in ((5, "patients of the training folder"), (11.4, "official\ntest folder")):
        axes.text(x, 5.1, words, ha="center", va="bottom")
    colours = {"trained on": TRAIN, "validation part": VALIDATION, "tested once": TEST, "scored by all five": OFFICIAL}
    handles = [Rectangle((0, 0), 1, 1, color=colour) for colour in colours.values()]
    axes.legend(handles, colours, ncols=4, loc="upper center", bbox_to_anchor=(0.45, 0.02), frameon=False)
    axes.set(xlim=(-1.4, 12.4), ylim=(-0.4, 6.0))
    axes.axis("off")
    _save(figure, "folds.svg")


def _box(x: float, y: float, width: float, colour: str) -> Rectangle:
    return Rectangle((x + 0.04, y + 0.08), width - 0.08, 0.78, color=colour)


def seen_by_baselines() -> None:
    """Draw what the shortcut baselines see of a phantom."""
    image, lungs = phantom()
    masked = _masked("without_lungs", image, lungs)
    small = [_thumbnail(picture) for picture in (image, masked, 255 * lungs.astype(np.uint8))]
    panels = [(image, "an image"), (small[0], "12 x 12 pixels"), (small[1], "12 x 12, lungs masked"),
              (small[2], "the outline alone")]  # fmt: skip
    _panels("seen-by-baselines.png", panels)


def _thumbnail(picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
    size = (THUMBNAIL_SIDE, THUMBNAIL_SIDE)
    return np.asarray(cv2.resize(picture, size, interpolation=cv2.INTER_AREA), dtype=np.uint8)


def lung_attention() -> None:
    """Draw four invented heat maps over a phantom with their lung attention ratios."""
    image, lungs = phantom()
    rows, columns = np.mgrid[:SIDE_PX, :SIDE_PX] / SIDE_PX
    heat = {
        "everywhere": np.ones((SIDE_PX, SIDE_PX)),
        "a lung": lungs * np.exp(-((rows - 0.5) ** 2 + (columns - 0.3) ** 2) / 0.02),
        "below the lungs": np.exp(-((rows - 0.88) ** 2 + (columns - 0.5) ** 2) / 0.03),
        "a corner": np.exp(-((rows - 0.08) ** 2 + (columns - 0.1) ** 2) / 0.01),
    }
    scores = lung_attention_ratio(np.stack(list(heat.values())), np.broadcast_to(lungs, (len(heat), *lungs.shape)))
    figure, axes = plt.subplots(1, len(heat), figsize=(7.4, 2.35))
    for axis, (words, one), ratio, adjusted in zip(axes, heat.items(), scores.ratio, scores.adjusted, strict=True):
        axis.imshow(image, cmap="gray")
        shown = one / one.max()
        axis.imshow(shown, cmap="inferno", alpha=0.45 * shown if words != "everywhere" else 0.3, vmin=0, vmax=1.2)
        axis.contour(lungs, levels=[0.5], colors="#7fdbca", linewidths=1)
        axis.set_title(f"{words}\nLAR {ratio:.2f}, adjusted {adjusted:.2f}".replace("-", "\N{MINUS SIGN}"), fontsize=9)
        axis.axis("off")
    figure.tight_layout(pad=0.3)
    _save(figure, "lung-attention.png")


def _masked(name: str, image: NDArray[np.uint8], lungs: NDArray[np.bool_]) -> NDArray[np.uint8]:
    return MASKED_REGIONS[name](torch.from_numpy(image)[None], torch.from_numpy(lungs)[None])[0].numpy()


def masked_regions() -> None:
    """Draw a phantom with each of its regions masked."""
    image, lungs = phantom()
    panels = [(image, "whole image")]
    panels += [(_masked(n, image, lungs), words) for n, words in REGION_WORDS.items()]
    _panels("masked-regions.png", panels)


def thresholds() -> None:
    """Draw simulated probabilities and the thresholds of three rules."""
    rng = np.random.default_rng(3)
    logit = np.concatenate([rng.normal(-1.2, 1.3, 270), rng.normal(2.0, 1.5, 730)])
    probability, label = 1 / (1 + np.exp(-logit)), np.repeat([0, 1], [270, 730])
    rules = {
        "largest recall + specificity": (threshold_youden(probability, label), "-"),
        "recall of 95 %": (threshold_for_sensitivity(probability, label, at_least=0.95), "--"),
        "specificity of 95 %": (threshold_for_specificity(probability, label, at_least=0.95), ":"),
    }
    figure, axes = plt.subplots(figsize=(5.6, 2.6))
    bins = np.linspace(0, 1, 41).tolist()
    axes.hist(probability[label == 0], bins, color=TRAIN, alpha=0.9, label="normal")
    axes.hist(probability[label == 1], bins, color=TEST, alpha=0.6, label="pneumonia")
    for words, (threshold, style) in rules.items():
        axes.axvline(threshold, color="black", linestyle=style, label=f"{words}: {threshold:.2f}")
    axes.set(xlabel="probability of pneumonia (simulated validation part)", ylabel="images", ylim=(0, 80))
    axes.legend(frameon=False, fontsize=9, loc="center left", bbox_to_anchor=(1.0, 0.5))
    _save(figure, "thresholds.svg")


def intervals() -> None:
    """Draw the interval of a simulated AUC by image and by patient, where images of a child resemble each other."""
    rng = np.random.default_rng(11)
    patient = np.repeat(np.arange(60), rng.integers(1, 16, 60))
    has_pneumonia = rng.random(60)[patient] < 0.6
    logit = 1.6 * has_pneumonia + rng.normal(0, 1.0, 60)[patient] + rng.normal(0, 0.5, patient.size)
    probability = 1 / (1 + np.exp(-logit))
    rows = {"each image by itself": np.arange(patient.size), "images of a patient together": patient}
    figure, axes = plt.subplots(figsize=(7.4, 1.6))
    for y, group in enumerate(rows.values()):
        estimate = area_estimate(probability, has_pneumonia, group)
        interval = estimate.area_interval()
        axes.plot([interval.low, interval.high], [y, y], color=(TEST, "#2a7f78")[y], linewidth=6, solid_capstyle="butt")
        axes.plot(estimate.value, y, "o", color="black", zorder=3)
    axes.set_yticks(range(2), list(rows))
    axes.set(ylim=(-0.6, 1.6), xlabel=f"AUC of {patient.size} simulated images of 60 patients, 95 % interval")
    _save(figure, "intervals.svg")


def _panels(name: str, panels: Sequence[tuple[NDArray[Any], str]]) -> None:
    figure, axes = plt.subplots(1, len(panels), figsize=(7.4, 7.4 / len(panels) + 0.35))
    for axis, (picture, words) in zip(axes, panels, strict=True):
        axis.imshow(picture, cmap="gray", vmin=0, vmax=255, interpolation="nearest")
        axis.set_title(words, fontsize=9)
        axis.axis("off")
    figure.tight_layout(pad=0.3)
    _save(figure, name)


def _save(figure: Any, name: str) -> None:
    kind = {"metadata": {"Date": None}} if name.endswith(".svg") else {"dpi": 110}
    figure.savefig(IMAGES / name, bbox_inches="tight", facecolor="white", **kind)
    plt.close(figure)


if __name__ == "__main__":
    main()
