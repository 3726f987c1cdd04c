"""Seconds of a training from image files, against timm's own data pipeline, optimiser and loss.

python -m benchmark.performance.timm_train [--architecture resnet18] [--side 64] [--write]

The same folder of PNG files of four times the side, network, side, batch, epochs, precision (float32) and threads. The
suite decodes once, then trains with `fit`: augmentation, validation, checkpoints, history. timm's side is put together
from its package as its script train.py does it, which the package does not hold: create_dataset, create_loader with its
usual training transforms (crop, flip, colour jitter) and loader processes, create_optimizer_v2, binary cross-entropy,
validation after each epoch. Both start from files, the suite with an empty cache.
"""

from __future__ import annotations

import argparse
import shlex
import shutil
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from timm.data import create_dataset, create_loader  # type: ignore[attr-defined]
from timm.loss import BinaryCrossEntropy  # type: ignore[attr-defined]
from timm.optim import create_optimizer_v2  # type: ignore[attr-defined]
from timm.utils import accuracy  # type: ignore[attr-defined]

from benchmark.performance.measuring import best_device, device_name, take_turns
from pneumobench.architectures import build_architecture
from pneumobench.datasets.audit import read_radiographs
from pneumobench.datasets.datamodule import FoldDataModule, FoldImages
from pneumobench.datasets.pixel_cache import cached_images
from pneumobench.files import write_text
from pneumobench.radiographs.augmentation import augmentation
from pneumobench.records.provenance import software_versions
from pneumobench.suite.phantoms import PhantomSpec
from pneumobench.suite.spec import DataSpec, Suite
from pneumobench.suite.training import AugmentationSpec, TrainingSpec
from pneumobench.training.fit import fit
from pneumobench.training.keeping import quiet_lightning

CLASSES: Final = ("NORMAL", "PNEUMONIA")


def main() -> None:
    """Measure, print, and write the report if asked to."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--architecture", default="resnet18")
    parser.add_argument("--images", type=int, default=384, help="images of the training part; a quarter for validation")
    parser.add_argument("--side", type=int, default=64, help="side of the images in pixels")
    parser.add_argument("--batch", type=int, default=32, help="images a step")
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--workers", type=int, default=2, help="loader processes of timm's side")
    parser.add_argument("--repeats", type=int, default=3, help="times that each side is measured")
    parser.add_argument("--write", action="store_true", help="write the report to timm_train.md beside this file")
    options = parser.parse_args()
    quiet_lightning()
    with tempfile.TemporaryDirectory() as folder:
        turns = take_turns(_sides(Path(folder), options), options.repeats)
    versions = software_versions()
    command = shlex.join(["python", "-m", "benchmark.performance.timm_train", *sys.argv[1:]])
    lines = [
        "# Training from files, against timm's own pipeline",
        "",
        f"`{command}`: {options.architecture}, {options.images} images, {options.side} px, {options.epochs} epochs; "
        f"{device_name(best_device())}, {torch.get_num_threads()} threads; torch {versions['torch']}, timm "
        f"{versions['timm']}, commit {versions['commit'][:7]}; median of {options.repeats} turns.",
        "",
        "| side | seconds | timm / suite |",
        "| --- | --- | --- |",
        f"| suite | {turns.median('suite'):.1f} | {turns.ratio('timm', 'suite'):.2f} |",
        f"| timm, {options.workers} loader processes | {turns.median('timm'):.1f} | |",
    ]
    report = "\n".join(lines) + "\n"
    print(report)
    if options.write:
        write_text(Path(__file__).resolve().with_suffix(".md"), report)


def _sides(folder: Path, options: argparse.Namespace) -> dict[str, Callable[[], None]]:
    """Draw the images, sort them into class folders for timm, and return both trainings."""
    count = options.images
    phantoms = PhantomSpec(patients=count + count // 4, official_test_patients=0, side_px=4 * options.side)
    suite = Suite(data=DataSpec(phantoms=phantoms))
    index, _ = read_radiographs(suite, folder)
    table, rows = index.table, np.arange(count + count // 4, dtype=np.int64)
    for row in rows:
        place = folder / "classes" / ("train" if row < count else "validation") / CLASSES[int(table["label"].iloc[row])]
        place.mkdir(parents=True, exist_ok=True)
        shutil.copy2(index.root / str(table["image_id"].iloc[row]), place / f"{row}.png")
    device = best_device()
    spec = TrainingSpec(
        epochs=options.epochs, batch_size=options.batch, precision="32-true", accelerator=device.type,
        memory_format="contiguous",
    )  # fmt: skip

    def ours() -> None:
        with tempfile.TemporaryDirectory(dir=folder) as cache:
            radiographs = cached_images(index, options.side, Path(cache))
            images = FoldImages(
                radiographs=radiographs,
                label=table["label"].to_numpy(np.int64),
                positions={"train": rows[:count], "tune": rows[count:], "test": rows[:0], "official_test": rows[:0]},
            )
            changes = augmentation(AugmentationSpec(), 0, count=len(table))
            data = FoldDataModule(images, augmentation=changes, batch_size=options.batch, seed=0)
            architecture = build_architecture(options.architecture, in_channels=1, image_side_px=options.side)
            fit(architecture, data, spec, folder=Path(cache) / "job", seed=0)

    def timms() -> None:
        torch.use_deterministic_algorithms(False)  # Lightning leaves what a training had asked for
        architecture = build_architecture(options.architecture, in_channels=1, image_side_px=options.side)
        network = architecture.module.to(device)
        train, validation = (_loader(folder / "classes", part, device, options) for part in ("train", "validation"))
        optimizer = create_optimizer_v2(network, opt="adamw", lr=spec.learning_rate, weight_decay=spec.weight_decay)
        loss_of = BinaryCrossEntropy()
        for _ in range(options.epochs):
            network.train()
            for radiographs, target in train:
                loss = loss_of(network(radiographs.to(device)), target[:, None].float().to(device))
                optimizer.zero_grad()
                loss.backward()
                torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
                optimizer.step()
            network.eval()
            with torch.inference_mode():
                for radiographs, target in validation:
                    logit = network(radiographs.to(device))
                    accuracy(torch.cat([-logit, logit], dim=1), target.to(device), topk=(1,))  # type: ignore[no-untyped-call]

    return {"suite": ours, "timm": timms}


def _loader(folder: Path, part: str, device: torch.device, options: argparse.Namespace) -> Any:
    training = part == "train"
    dataset = create_dataset("", root=str(folder), split=part, is_training=training, input_img_mode="L")
    return create_loader(
        dataset, input_size=(1, options.side, options.side), batch_size=options.batch, is_training=training,
        mean=(0.449,), std=(0.226,), num_workers=options.workers, use_prefetcher=False, device=device,
        persistent_workers=options.workers > 0,
    )  # fmt: skip


if __name__ == "__main__":
    main()
