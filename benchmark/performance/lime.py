"""Seconds of a LIME explanation: against bare forward passes, and against the image explainer of the package lime.

python benchmark/performance/lime.py [--data FOLDER] [--weights FILE] [--write]

For every image, one after the other so that both sides meet the same machine:

1. the time of an explanation of a fixed number of samples over that of as many bare batched forward passes;
2. the time to an answer, which is a rank correlation of at least 0.9 with a reference that the package computes from
   5,000 samples of its own. Ours stops by itself. The package has no stop: its user waits for the 1,000 samples that it
   takes by default. Also shown is the moment at which its answer first reached 0.9, which nobody could know.

The package runs in its own way: batches of 10 in float32. Both sides use the same superpixels; ours is charged for
them and for the regression, the package for neither.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file
from scipy.stats import spearmanr
from sklearn.metrics import roc_auc_score
from torch import Tensor
from torch.nn import functional

from pneumobench.architectures import Architecture, build_architecture
from pneumobench.attributions.methods.lime import LimeSettings, lime_explanation
from pneumobench.errors import DataError, PneumobenchError
from pneumobench.files import write_text
from pneumobench.phantoms.dataset import make_phantoms
from pneumobench.radiographs.formats import read_gray
from pneumobench.radiographs.geometry import image_to_square
from pneumobench.records.provenance import machine, software_versions

ENOUGH = 0.9  # rank correlation with the reference that counts as an answer
PACKAGE_BATCH = 10  # the default of the package
FITTING_IMAGES, FITTING_EPOCHS, FITTING_BATCH = 160, 4, 16  # a network that looks at something, not a good one


@dataclass(frozen=True, kw_only=True)
class Measured:
    """One image: seconds, samples and rank correlations with the reference."""

    radiograph: int
    superpixels: int
    forward_s: float
    equal_samples_s: float
    answer_s: float
    answer_samples: int
    answer_correlation: float
    package_s: float
    package_samples: int
    package_correlation: float
    package_default_s: float
    package_default_correlation: float


def main() -> None:
    """Measure, print, and write the report if asked to."""
    # the folder of this script comes first in sys.path, and this file must not stand for the package lime
    here = Path(__file__).resolve().parent
    sys.path[:] = [entry for entry in sys.path if Path(entry).resolve() != here or not entry]
    options = _options()
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    with tempfile.TemporaryDirectory() as folder:
        radiographs, fitting, label = _radiographs(options.data, options.images, options.side, Path(folder))
    architecture = build_architecture("resnet18", in_channels=1, image_side_px=options.side)
    architecture.module.to(device)
    if options.weights:
        architecture.module.load_state_dict(load_file(options.weights))
        origin = f"weights of {options.weights.name}"
    else:
        auc_text = _fit(architecture, fitting.to(device), label.to(device))
        origin = f"fitted to {len(fitting)} images for {FITTING_EPOCHS} epochs ({auc_text})"
    _measure(architecture, radiographs[0].flip(2).to(device), 0, _warm_up(options))
    measured = []
    for number, radiograph in enumerate(radiographs):
        measured.append(_measure(architecture, radiograph.to(device), number, options))
        print(asdict(measured[-1]), file=sys.stderr, flush=True)
    report = _report(pd.DataFrame([asdict(one) for one in measured]), options, origin, device)
    print(report)
    if options.write:
        write_text(here / "lime.md", report)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    environment = os.environ.get("PNEUMOBENCH_DATA")
    parser.add_argument(
        "--data",
        type=Path,
        default=Path(environment) if environment else None,
        help="folder with chest_xray/{train,test}/{NORMAL,PNEUMONIA} (default: PNEUMOBENCH_DATA, else phantoms)",
    )
    parser.add_argument("--weights", type=Path, help="safetensors file of resnet18 with one gray channel and one logit")
    parser.add_argument("--images", type=int, default=20, help="images to explain")
    parser.add_argument("--side", type=int, default=224, help="side of the images in pixels")
    parser.add_argument("--samples", type=int, default=512, help="samples of the comparison with forward passes")
    parser.add_argument("--package-samples", type=int, default=1000, help="samples of the package at most")
    parser.add_argument("--reference-samples", type=int, default=5000, help="samples of the reference")
    parser.add_argument("--write", action="store_true", help="write the report to lime.md beside this file")
    return parser.parse_args()


def _radiographs(data: Path | None, images: int, side: int, scratch: Path) -> tuple[Tensor, Tensor, Tensor]:
    """Return pneumonia test images (N, 1, H, W) uint8, images to fit the network to, and their labels."""
    if data is None:
        table = make_phantoms(
            scratch, patients=FITTING_IMAGES, images_per_patient=(1, 1), official_test_patients=2 * images, side_px=side
        )
        rows = pd.read_csv(table)
        paths = {
            (split, label): [table.parent / name for name in part["image"]]
            for (split, label), part in rows.groupby(["split", "label"])
        }
    else:
        paths = {
            (split, label): sorted((data / "chest_xray" / split / label).glob("*.jpeg"))
            for split in ("train", "test")
            for label in ("NORMAL", "PNEUMONIA")
        }
    half = min(FITTING_IMAGES // 2, len(paths["train", "NORMAL"]), len(paths["train", "PNEUMONIA"]))
    if half == 0 or len(paths["test", "PNEUMONIA"]) < images:
        raise DataError(
            f"{data}: {half} train images of each label and {len(paths['test', 'PNEUMONIA'])} pneumonia test images; "
            f"expected chest_xray/train/NORMAL/*.jpeg and so on, and at least {images} images to explain."
        )

    def read(chosen: list[Path], count: int) -> Tensor:
        spread = [chosen[i] for i in np.linspace(0, len(chosen) - 1, count).astype(int)]
        return torch.from_numpy(np.stack([image_to_square(read_gray(path), side) for path in spread]))[:, None]

    fitting = torch.cat([read(paths["train", "NORMAL"], half), read(paths["train", "PNEUMONIA"], half)])
    return read(paths["test", "PNEUMONIA"], images), fitting, torch.arange(2 * half) // half


def _fit(architecture: Architecture, radiographs: Tensor, label: Tensor) -> str:
    """Fit the network briefly: superpixels have no order worth finding under random weights."""
    torch.manual_seed(0)
    module = architecture.module.train()
    optimizer = torch.optim.AdamW(module.parameters(), lr=1e-3)
    for _ in range(FITTING_EPOCHS):
        order = torch.randperm(len(radiographs))
        for start in range(0, len(radiographs), FITTING_BATCH):
            some = order[start : start + FITTING_BATCH]
            with torch.autocast(radiographs.device.type, torch.bfloat16):
                logits = architecture.logits(radiographs[some])
            loss = functional.binary_cross_entropy_with_logits(logits.float(), label[some].float())
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
    module.eval()
    with torch.inference_mode(), torch.autocast(radiographs.device.type, torch.bfloat16):
        score = torch.cat(
            [architecture.logits(radiographs[i : i + 64]).float() for i in range(0, len(radiographs), 64)]
        )
    return f"AUC {roc_auc_score(label.cpu().numpy(), score.cpu().numpy()):.2f} on these images"


def _warm_up(options: argparse.Namespace) -> argparse.Namespace:
    """Return options of a short run of everything, so that no side pays for what only the first call costs."""
    few = {"samples": 128, "package_samples": 2 * PACKAGE_BATCH, "reference_samples": 2 * PACKAGE_BATCH}
    return argparse.Namespace(**(vars(options) | few))


def _measure(architecture: Architecture, radiograph: Tensor, number: int, options: argparse.Namespace) -> Measured:
    architecture.module.eval()
    # first, so that it pays for the superpixels
    answer = lime_explanation(architecture, radiograph, seed=0, settings=LimeSettings())
    package = _Package(architecture, radiograph, answer.labels)
    data, probability, moments = package.run(options.package_samples, seed=1)
    fixed = LimeSettings(max_samples=options.samples, settled_at=None)
    seconds: dict[str, float] = {}
    for side in ("forward", "ours") if number % 2 else ("ours", "forward"):
        if side == "forward":
            seconds[side] = _forward_seconds(architecture, radiograph, options.samples, fixed.batch_size)
        else:
            seconds[side] = lime_explanation(architecture, radiograph, seed=0, settings=fixed).seconds
    reference = package.weights(*package.run(options.reference_samples, seed=2)[:2])
    reached = options.package_samples
    for samples in range(PACKAGE_BATCH, options.package_samples, PACKAGE_BATCH):
        if _correlation(package.weights(data[:samples], probability[:samples]), reference) >= ENOUGH:
            reached = samples
            break
    return Measured(
        radiograph=number,
        superpixels=len(answer.weights),
        forward_s=seconds["forward"],
        equal_samples_s=seconds["ours"],
        answer_s=answer.seconds,
        answer_samples=answer.samples,
        answer_correlation=_correlation(answer.weights, reference),
        package_s=moments[(reached - 1) // PACKAGE_BATCH],
        package_samples=reached,
        package_correlation=_correlation(package.weights(data[:reached], probability[:reached]), reference),
        package_default_s=moments[-1],
        package_default_correlation=_correlation(package.weights(data, probability), reference),
    )


def _correlation(a: NDArray[np.float64], b: NDArray[np.float64]) -> float:
    return float(spearmanr(a, b).statistic)


def _forward_seconds(architecture: Architecture, radiograph: Tensor, count: int, batch_size: int) -> float:
    """Return the seconds of forward passes of `count` images, their logits brought back at the end of each batch."""
    radiographs = radiograph.expand(batch_size, -1, -1, -1).contiguous()
    started = time.perf_counter()
    with torch.inference_mode(), torch.autocast(radiograph.device.type, torch.bfloat16):
        for start in range(0, count, batch_size):
            architecture.logits(radiographs[: count - start]).cpu()
    return time.perf_counter() - started


def _report(table: pd.DataFrame, options: argparse.Namespace, origin: str, device: torch.device) -> str:
    """Return the report as Markdown."""
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else machine()["processor"]
    versions, total = software_versions(), table.sum()
    reached = {who: int((table[f"{who}_correlation"] >= ENOUGH).sum()) for who in ("answer", "package")}
    lines = [
        "# Seconds of a LIME explanation",
        "",
        f"resnet18 at {options.side} px, {origin}; {len(table)} {'images' if options.data else 'phantoms'}; "
        f"{name}, {torch.get_num_threads()} threads; torch {versions['torch']}, commit {versions['commit'][:7]}.",
        "",
        "| what | ours, s | against, s | ratio | goal |",
        "| --- | --- | --- | --- | --- |",
        f"| {options.samples} samples against bare forward passes in bfloat16 | {total['equal_samples_s']:.2f} "
        f"| {total['forward_s']:.2f} | {total['equal_samples_s'] / total['forward_s']:.3f} | at most 1.1 |",
        f"| answer against the package lime, which takes {options.package_samples} samples | {total['answer_s']:.2f} "
        f"| {total['package_default_s']:.2f} | {total['answer_s'] / total['package_default_s']:.3f} | at most 0.333 |",
        f"| answer against the package lime, stopped by an oracle | {total['answer_s']:.2f} "
        f"| {total['package_s']:.2f} | {total['answer_s'] / total['package_s']:.3f} | |",
        "",
        f"An answer has a rank correlation of {ENOUGH} with {options.reference_samples} samples of the package. Ours "
        f"stops by itself; it had one on {reached['answer']} of {len(table)} images, the package on "
        f"{reached['package']}. The oracle knows the reference and stops the package at the first batch that agrees. "
        "Totals over all images.",
        "",
        "| " + " | ".join(table.columns) + " |",
        "| " + " | ".join("---" for _ in table.columns) + " |",
    ]
    for row in table.itertuples(index=False):
        lines.append("| " + " | ".join(f"{cell:.3f}" if isinstance(cell, float) else str(cell) for cell in row) + " |")
    return "\n".join(lines) + "\n"


class _Package:
    """The image explainer of the package lime on one image, with a clock."""

    def __init__(self, architecture: Architecture, radiograph: Tensor, labels: NDArray[np.int32]) -> None:
        self.architecture, self.device = architecture, radiograph.device
        self.image = np.repeat(radiograph[0].numpy(force=True)[..., None], 3, axis=2)
        self.labels = labels
        self.moments: list[float] = []

    def _probability(self, images: NDArray[np.uint8]) -> NDArray[np.float64]:
        radiographs = torch.from_numpy(np.ascontiguousarray(images[..., 0]))[:, None].to(self.device)
        with torch.inference_mode():
            positive = self.architecture.logits(radiographs).double().sigmoid().cpu().numpy()
        self.moments.append(time.perf_counter())
        return np.stack([1 - positive, positive], axis=1)

    def run(self, samples: int, seed: int) -> tuple[NDArray[np.int64], NDArray[np.float64], list[float]]:
        """Return what was shown (samples, superpixels), probabilities (samples, 2), and seconds after each batch."""
        from lime import lime_image

        lime_image.tqdm = lambda rows: rows  # a progress bar is no part of an explanation
        explainer: Any = lime_image.LimeImageExplainer(random_state=seed)
        self.moments = []
        started = time.perf_counter()
        hidden = self.image.copy()
        for label in np.unique(self.labels):
            hidden[self.labels == label] = self.image[self.labels == label].mean(0)
        data, probability = explainer.data_labels(
            self.image, hidden, self.labels, self._probability, samples, batch_size=PACKAGE_BATCH
        )
        return data, probability, [moment - started for moment in self.moments]

    def weights(self, data: NDArray[np.int64], probability: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the package's weights of the superpixels."""
        from lime import lime_image

        distance = 1 - np.sqrt(data.mean(1))
        explained = lime_image.LimeImageExplainer().base.explain_instance_with_data(
            data, probability, distance, 1, data.shape[1], feature_selection="none"
        )[1]
        return np.array([weight for _, weight in sorted(explained)])


if __name__ == "__main__":
    try:
        main()
    except PneumobenchError as error:
        sys.exit(str(error))
