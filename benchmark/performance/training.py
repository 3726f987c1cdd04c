"""Seconds of training batches, of a step and of a whole epoch, against what they replace and against a bare loop.

python -m benchmark.performance.training [--architectures A,B] [--side 64,224] [--write]

Input: one epoch of augmented batches of the suite, against decoding, resizing and augmenting the files image by image
with albumentations. Epoch: the second of two of the suite's `fit` (order, augmentation, step, validation, checkpoint,
history), against that of a bare PyTorch loop over the same images, without augmentation, with the same network, batch,
precision, optimiser and clipping, and the same validation part. Step: the steps within these epochs, from the batch at
hand to the changed weights. Sides take turns, and another one is first every time.
"""

from __future__ import annotations

import argparse
import shlex
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import cv2
import numpy as np
import torch
from lightning.pytorch.callbacks import Callback
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from benchmark.performance.measuring import Turns, best_device, device_name, take_turns, wait_for_device
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
from pneumobench.training.devices import memory_format
from pneumobench.training.fit import fit
from pneumobench.training.keeping import quiet_lightning

GOALS: Final = {"input": 20.0, "step": 0.97, "epoch": 0.93}
RECIPE, ONE_BY_ONE = AugmentationSpec(), AugmentationSpec(executor="albumentations")
Row = tuple[str, str, int, float, float, float]  # what, architecture, side, seconds of both, other / suite


def main() -> None:
    """Measure, print, and write the report if asked to."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--architectures", default="resnet18", help="names with commas (default: resnet18)")
    parser.add_argument("--steps", type=int, default=6, help="steps of an epoch")
    parser.add_argument("--side", default="64", help="sides of the images in pixels, with commas")
    parser.add_argument("--batch", type=int, default=32, help="images a step")
    parser.add_argument("--repeats", type=int, default=5, help="times that each side is measured")
    parser.add_argument("--write", action="store_true", help="add the report to training.md beside this file")
    options = parser.parse_args()
    quiet_lightning()
    device = best_device()
    rows: list[Row] = []
    for side_px in map(int, options.side.split(",")):
        with tempfile.TemporaryDirectory() as folder:
            index, images = _images(options.steps * options.batch, side_px, Path(folder))
            turns = take_turns(_input_sides(index, images, options.batch), options.repeats)
            rows.append(("input", "", side_px, *_figures(turns)))
            print(rows[-1], file=sys.stderr, flush=True)
            for name in options.architectures.split(","):
                steps: dict[str, list[float]] = {"suite": [], "other": []}
                sides = _epoch_sides(name, images, options.batch, device, Path(folder), steps)
                epochs = take_turns(sides, options.repeats)
                counted = {side: seconds[1:] for side, seconds in steps.items()}  # the first turn is not measured
                for what, found in (("step", Turns(seconds=counted)), ("epoch", epochs)):
                    rows.append((what, name, side_px, *_figures(found)))
                    print(rows[-1], file=sys.stderr, flush=True)
    report = _report(rows, options, device)
    print(report)
    if options.write:
        file = Path(__file__).resolve().with_suffix(".md")
        earlier = file.read_text(encoding="utf-8") if file.is_file() else "# Training batches, steps and epochs\n"
        write_text(file, f"{earlier}\n{report}")


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


class EpochClock(Callback):
    """Notes when the parts of the second epoch begin; the first one pays for what only the first costs."""

    def __init__(self) -> None:
        self.moments: dict[str, float] = {}

    def _note(self, trainer: Any, what: str) -> None:
        if trainer.current_epoch == 1 or what == "end":
            wait_for_device()
            self.moments[what] = time.perf_counter()

    def on_train_epoch_start(self, trainer: Any, pl_module: Any) -> None:
        """Training begins."""
        self._note(trainer, "train")

    def on_validation_start(self, trainer: Any, pl_module: Any) -> None:
        """Validation begins."""
        self._note(trainer, "validation")

    def on_validation_end(self, trainer: Any, pl_module: Any) -> None:
        """Validation is over: what follows writes the checkpoint."""
        self._note(trainer, "checkpoint")

    def on_train_end(self, trainer: Any, pl_module: Any) -> None:
        """All is over."""
        self._note(trainer, "end")

    def seconds(self, what: str, until: str) -> float:
        """Return the time between two moments."""
        return self.moments[until] - self.moments[what]


class StepClock(EpochClock):
    """Notes the steps of the second epoch too."""

    def __init__(self) -> None:
        super().__init__()
        self.steps: list[float] = []
        self._begun = 0.0

    def on_train_batch_start(self, trainer: Any, pl_module: Any, batch: Any, batch_idx: int) -> None:
        """A step begins; its images are there."""
        wait_for_device()
        self._begun = time.perf_counter()

    def on_train_batch_end(self, trainer: Any, pl_module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        """A step is over."""
        if trainer.current_epoch == 1:
            wait_for_device()
            self.steps.append(time.perf_counter() - self._begun)


def _epoch_sides(
    name: str, images: FoldImages, batch: int, device: torch.device, folder: Path, steps: dict[str, list[float]]
) -> dict[str, Callable[[], float]]:
    """Return sides that train two epochs and return the seconds of the second; `steps` gets the median step of each."""
    side_px, turn = images.radiographs.shape[-1], iter(range(10**6))
    on_cuda = device.type == "cuda"
    spec = TrainingSpec(
        epochs=2, batch_size=batch, precision="bf16-mixed" if on_cuda else "32-true", accelerator=device.type,
        memory_format="channels_last" if on_cuda else "contiguous",
    )  # fmt: skip

    def suite() -> float:
        architecture = build_architecture(name, in_channels=1, image_side_px=side_px)
        changes = augmentation(RECIPE, 0, count=len(images.label))
        data = FoldDataModule(images, augmentation=changes, batch_size=batch, seed=0)
        watch = StepClock()
        fit(architecture, data, spec, folder=folder / f"{name}-{next(turn)}", seed=0, callbacks=(watch,))
        steps["suite"].append(float(np.median(watch.steps)))
        return watch.seconds("train", "end")

    def bare() -> float:
        torch.use_deterministic_algorithms(False)  # Lightning leaves what a training had asked for
        architecture = build_architecture(name, in_channels=1, image_side_px=side_px)
        network = architecture.module.to(device).to(memory_format=memory_format(spec))
        step = bare_step(architecture, device, spec.learning_rate)
        pixels = torch.from_numpy(np.array(images.radiographs))[:, None].to(device)
        target = torch.tensor(images.label).float().to(device)
        taken: list[float] = []
        for _ in range(spec.epochs):
            taken.clear()
            wait_for_device()
            begun = time.perf_counter()
            network.train()
            order = torch.from_numpy(np.random.permutation(images.positions["train"])).to(device)
            for rows in torch.split(order, batch):
                some, labels = pixels[rows], target[rows]
                wait_for_device()
                started = time.perf_counter()
                step(some, labels)
                wait_for_device()
                taken.append(time.perf_counter() - started)
            network.eval()
            with torch.inference_mode(), half_precision(device):
                for rows in torch.split(torch.from_numpy(images.positions["tune"]).to(device), 2 * batch):
                    architecture.class_logits(pixels[rows])
            wait_for_device()
            seconds = time.perf_counter() - begun
        steps["other"].append(float(np.median(taken)))
        return seconds

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


def _report(rows: list[Row], options: argparse.Namespace, device: torch.device) -> str:
    """Return a section of the report as Markdown."""
    versions, images = software_versions(), options.steps * options.batch
    command = shlex.join(["python", "-m", "benchmark.performance.training", *sys.argv[1:]])
    lines = [
        f"`{command}`: {images} synthetic radiographs and {images // 4} of validation, batches of {options.batch}, "
        f"median of {options.repeats} turns; {device_name(device)}, {torch.get_num_threads()} threads; torch "
        f"{versions['torch']}, commit {versions['commit'][:7]}.",
        "",
        "| what | side, px | suite, s | other, s | other / suite | goal |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for what, architecture, side_px, suite_s, other_s, ratio in rows:
        goal = f">= {GOALS[what]:g}"
        lines.append(f"| {what} {architecture} | {side_px} | {suite_s:.4f} | {other_s:.4f} | {ratio:.3f} | {goal} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
