"""Seconds of training batches and of whole epochs, against what they replace and against a bare loop.

python -m benchmark.performance.training [--side 64,224] [--write]

Input: one epoch of augmented batches of the suite, against decoding, resizing and augmenting the files image by image
with albumentations. Epoch: `fit` of the suite (order, augmentation, step, validation, checkpoints, history), against a
bare PyTorch loop over the same images with the same network, batch, precision, optimiser and clipping. Sides take
turns, and who is first changes every time.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from benchmark.performance.measuring import Turns, best_device, device_name, take_turns
from pneumobench.architectures import Architecture, build_architecture
from pneumobench.datasets.audit import read_radiographs
from pneumobench.datasets.datamodule import FoldDataModule, FoldImages
from pneumobench.datasets.folds import Part
from pneumobench.datasets.index import Index
from pneumobench.datasets.pixel_cache import cached_images
from pneumobench.files import write_text
from pneumobench.radiographs.augmentation import augmentation
from pneumobench.radiographs.formats import read_gray
from pneumobench.records.provenance import software_versions
from pneumobench.suite.phantoms import PhantomSpec
from pneumobench.suite.spec import DataSpec, Suite
from pneumobench.suite.training import AugmentationSpec, TrainingSpec
from pneumobench.training.fit import fit
from pneumobench.training.keeping import quiet_lightning

INPUT_GOAL, EPOCH_GOAL = 20, 0.93
RECIPE, ONE_BY_ONE = AugmentationSpec(), AugmentationSpec(executor="albumentations")


def main() -> None:
    """Measure, print, and write the report if asked to."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--architectures", default="resnet18", help="names with commas (default: resnet18)")
    parser.add_argument("--images", type=int, default=192, help="images of the training part")
    parser.add_argument("--side", default="64", help="sides of the images in pixels, with commas")
    parser.add_argument("--batch", type=int, default=32, help="images a step")
    parser.add_argument("--repeats", type=int, default=5, help="times that each side is measured")
    parser.add_argument("--write", action="store_true", help="write the report to training.md beside this file")
    options = parser.parse_args()
    quiet_lightning()
    device = best_device()
    rows = []
    for side_px in map(int, options.side.split(",")):
        with tempfile.TemporaryDirectory() as folder:
            index, images = _images(options.images, side_px, Path(folder))
            turns = take_turns(_input_sides(index, images, options.batch), options.repeats)
            rows.append(("input", "", side_px, *_figures(turns)))
            print(rows[-1], file=sys.stderr, flush=True)
            for name in options.architectures.split(","):
                sides = _epoch_sides(name, images, options.batch, device, Path(folder))
                rows.append(("epoch", name, side_px, *_figures(take_turns(sides, options.repeats))))
                print(rows[-1], file=sys.stderr, flush=True)
    report = _report(rows, options, device)
    print(report)
    if options.write:
        write_text(Path(__file__).resolve().with_suffix(".md"), report)


def _figures(turns: Turns) -> tuple[float, float, float]:
    return turns.median("suite"), turns.median("other"), turns.ratio("other", "suite")


def _images(count: int, side_px: int, folder: Path) -> tuple[Index, FoldImages]:
    """Return synthetic radiographs in files of four times the side, a fifth of them for validation."""
    phantoms = PhantomSpec(patients=count + count // 4, official_test_patients=0, side_px=4 * side_px)
    index, _ = read_radiographs(Suite(data=DataSpec(phantoms=phantoms)), folder)
    rows = np.arange(count + count // 4, dtype=np.int64)
    positions: dict[Part, NDArray[np.int64]] = {
        "train": rows[:count],
        "tune": rows[count:],
        "test": rows[:0],
        "official_test": rows[:0],
    }
    label = index.table["label"].to_numpy(np.int64)
    return index, FoldImages(radiographs=cached_images(index, side_px, folder), label=label, positions=positions)


def _input_sides(index: Index, images: FoldImages, batch: int) -> dict[str, Callable[[], None]]:
    rows, side_px = images.positions["train"], images.radiographs.shape[-1]
    changes = augmentation(RECIPE, 0, count=len(images.label))
    data = FoldDataModule(images, augmentation=changes, batch_size=batch, seed=0)
    one_by_one = augmentation(ONE_BY_ONE, 0)
    paths = [index.root / name for name in index.table["image_id"].iloc[rows]]

    def suite() -> None:
        data.order.epoch += 1
        for _ in data.train_dataloader():
            pass

    def files() -> None:
        for row, path in zip(rows.tolist(), paths, strict=True):
            square: NDArray[np.uint8] = np.asarray(
                cv2.resize(read_gray(path), (side_px, side_px), interpolation=cv2.INTER_AREA), dtype=np.uint8
            )
            one_by_one(torch.from_numpy(square)[None, None], epoch=data.order.epoch, rows=torch.tensor([row]))

    return {"suite": suite, "other": files}


def _epoch_sides(
    name: str, images: FoldImages, batch: int, device: torch.device, folder: Path
) -> dict[str, Callable[[], None]]:
    side_px, turn = images.radiographs.shape[-1], iter(range(10**6))
    precision = "bf16-mixed" if device.type == "cuda" else "32-true"
    spec = TrainingSpec(epochs=2, batch_size=batch, precision=precision, accelerator=device.type)

    def suite() -> None:
        architecture = build_architecture(name, in_channels=1, image_side_px=side_px)
        changes = augmentation(RECIPE, 0, count=len(images.label))
        data = FoldDataModule(images, augmentation=changes, batch_size=batch, seed=0)
        fit(architecture, data, spec, folder=folder / f"{name}-{next(turn)}", seed=0)

    def bare() -> None:
        architecture = build_architecture(name, in_channels=1, image_side_px=side_px)
        network = architecture.module.to(device).train()
        if device.type == "cuda":
            network.to(memory_format=torch.channels_last)
        step = bare_step(architecture, device, spec.learning_rate)
        pixels = torch.from_numpy(np.array(images.radiographs))[:, None].to(device)
        target = torch.from_numpy(images.label).float().to(device)
        cast = half_precision(device)
        for _ in range(spec.epochs):
            for rows in torch.split(
                torch.from_numpy(np.random.permutation(images.positions["train"])).to(device), batch
            ):
                step(pixels[rows], target[rows])
            with torch.inference_mode(), cast:
                for rows in torch.split(torch.from_numpy(images.positions["tune"]).to(device), 2 * batch):
                    architecture.class_logits(pixels[rows])
            network.train()

    return {"suite": suite, "other": bare}


def half_precision(device: torch.device, *, cache: bool = True) -> torch.autocast:
    """Return what computes in bfloat16 on CUDA, and changes nothing elsewhere."""
    return torch.autocast(device.type, torch.bfloat16, enabled=device.type == "cuda", cache_enabled=cache)


def bare_step(
    architecture: Architecture,
    device: torch.device,
    learning_rate: float,
    *,
    network: Callable[[Tensor], Tensor] | None = None,
    captured: bool = False,
) -> Callable[[Tensor, Tensor], None]:
    """Return a training step on images (B, 1, H, W) uint8 and labels (B,) float32, with nothing around it.

    Args:
        architecture: the network, on its device.
        device: where it is.
        learning_rate: of AdamW, fused.
        network: its module in another form (compiled); None = as it is.
        captured: the step will be recorded as a CUDA graph.
    """
    parameters = list(architecture.module.parameters())
    optimizer = torch.optim.AdamW(parameters, lr=learning_rate, fused=True, capturable=captured)
    forward = architecture.module if network is None else network
    cast = half_precision(device, cache=not captured)

    def step(pixels: Tensor, target: Tensor) -> None:
        with cast:
            logit = forward(architecture.normalise(pixels)).reshape(-1)
            loss = functional.binary_cross_entropy_with_logits(logit.float(), target)
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(parameters, 1.0)
        optimizer.step()

    return step


def _report(
    rows: list[tuple[str, str, int, float, float, float]], options: argparse.Namespace, device: torch.device
) -> str:
    """Return the report as Markdown."""
    versions = software_versions()
    lines = [
        "# Seconds of training batches and epochs",
        "",
        f"{options.images} synthetic radiographs and {options.images // 4} of validation, batches of {options.batch}; "
        f"median of {options.repeats} turns; {device_name(device)}, {torch.get_num_threads()} threads; "
        f"torch {versions['torch']}, commit {versions['commit'][:7]}.",
        "",
        "Input: an epoch of augmented batches against the files, decoded, resized and augmented one by one. Epoch: two "
        "epochs of the suite, with building the network, augmentation, validation, checkpoints and history, against a "
        "bare loop without augmentation and checkpoints.",
        "",
        "| what | side, px | suite, s | other, s | other / suite | goal |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for what, architecture, side_px, suite_s, other_s, ratio in rows:
        goal = INPUT_GOAL if what == "input" else EPOCH_GOAL
        lines.append(f"| {what} {architecture} | {side_px} | {suite_s:.3f} | {other_s:.3f} | {ratio:.2f} | >= {goal} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
