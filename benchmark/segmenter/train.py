"""Train the lung segmenter that pneumobench ships, measure it, and write its model card.

    python benchmark/segmenter/train.py DATA

DATA holds the images of Kermany et al. 2018 (folders train/ and test/, or chest_xray/ with both) and a folder of drawn
lung masks that mirrors them. One tenth of the official train folder, whole patients, is held out; the official test
folder is a second held-out set. Weights, bounds of plausible lungs and the card go to pneumobench/lungs/weights/,
pictures of the worst ten held-out images to runs/segmenter/, which stays out of the repository.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import cv2
import numpy as np
import torch
import yaml
from measured import Measured, SegmenterTrial, measure
from model_card import model_card
from numpy.typing import NDArray

from pneumobench.attributions.overlays import encode_png
from pneumobench.datasets.audit import read_radiographs
from pneumobench.datasets.index import Index, problem_error
from pneumobench.datasets.pixel_cache import cached_images
from pneumobench.datasets.splits import make_folds
from pneumobench.errors import PneumobenchError, SettingsError
from pneumobench.files import write_text, written_whole
from pneumobench.lungs.lung_parts import SEGMENTED_SIDE_PX, WEIGHTS_FOLDER
from pneumobench.lungs.masks import LungMasks, lung_masks
from pneumobench.lungs.quality import bounds_of, read_bounds
from pneumobench.lungs.segmenter import (
    SEGMENTED_TOGETHER,
    LungUNet,
    load_network,
    save_network,
    segment_lungs,
    stored_weights,
    training_facts,
)
from pneumobench.lungs.segmenter_training import DrawnImages, train_segmenter
from pneumobench.suite.spec import DataSpec, FoldSpec, Suite

DESCRIPTIONS = Path(__file__).resolve().parent / "worst_films.yaml"
CARD_NAME = "README.md"
HELD_OUT_PARTS = 10  # one of them is held out
SHOWN_WORST = 10
PICTURE_SIDE_PX = 448  # twice the side of a mask, so that outlines can be told apart
BLUE, ORANGE = (30, 144, 255), (255, 140, 0)  # outlines of drawn and of segmented lungs


def options_of(arguments: list[str] | None = None) -> argparse.Namespace:
    """Return the parsed command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="folder of images and manual lung masks")
    parser.add_argument("--lung-masks", default="lung_masks", help="folder of manual masks, relative to DATA")
    parser.add_argument("--epochs", type=int, default=10, help="passes over the images")
    parser.add_argument("--seed", type=int, default=0, help="seed of the split, the weights, order and augmentation")
    parser.add_argument("--threads", type=int, default=2, help="CPU threads")
    parser.add_argument("--limit", type=int, help="a trial on about this many images of each folder; never shipped")
    parser.add_argument("--output", type=Path, help="folder of weights, bounds and card (default: inside the package)")
    parser.add_argument("--pictures", type=Path, default=Path("runs/segmenter"), help="folder of the worst ten images")
    parser.add_argument("--cache", type=Path, default=Path("runs/.cache"), help="folder of decoded images")
    parser.add_argument("--descriptions", type=Path, default=DESCRIPTIONS, help="YAML: image id: what is seen in it")
    parser.add_argument(
        "--card-only",
        action="store_true",
        help="train nothing: fit the bounds and measure the weights",
    )
    options = parser.parse_args(arguments)
    if options.output is None:
        options.output = options.pictures / "trial" if options.limit else WEIGHTS_FOLDER
    return options


@contextmanager
def computing(threads: int) -> Iterator[None]:
    """Compute with so many threads, and denormal numbers as zeros: Adam makes them and CPUs are slow at them."""
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    torch.set_flush_denormal(True)
    try:
        yield
    finally:
        torch.set_flush_denormal(False)
        torch.set_num_threads(before)


def run(options: argparse.Namespace) -> None:
    """Train, measure, and write everything."""
    data = DataSpec(source="kermany", root=str(options.data), lung_masks=options.lung_masks, limit_images=options.limit)
    index, problems = read_radiographs(Suite(data=data, seed=options.seed), options.cache)
    if problems:
        raise problem_error(index.root, problems)
    radiographs = cached_images(index, SEGMENTED_SIDE_PX, options.cache)
    masks = lung_masks(index, SEGMENTED_SIDE_PX, options.cache, tier="drawn")
    parts = make_folds(index, FoldSpec(count=HELD_OUT_PARTS), options.seed).positions(index, 0)
    learnt = with_mask(np.sort(np.concatenate([parts["train"], parts["tune"]])), masks)
    bounds_of(np.asarray(radiographs[learnt]), masks.of_rows(learnt)).write(options.output)
    if not options.card_only:
        train(options, radiographs, masks, learnt, with_mask(parts["test"], masks))
    bounds, network = read_bounds(options.output), load_network(options.output)
    measured = [
        measure(name, index, radiographs, masks, rows, network, bounds)
        for name, rows in (("held-out patients", parts["test"]), ("official test folder", parts["official_test"]))
        if len(with_mask(rows, masks))
    ]
    metadata = training_facts(options.output)
    trial = SegmenterTrial(
        metadata=metadata, bounds=bounds, measured=tuple(measured),
        parameters=sum(p.numel() for p in network.parameters()),
        pairing_iou=lowest_pairing_iou(options.data),
    )  # fmt: skip
    worst = measured[0].worst(SHOWN_WORST)
    card = model_card(trial, worst, descriptions_of(options.descriptions))
    write_text(options.output / CARD_NAME, card)
    draw_worst(options.pictures, measured[0], worst, index, radiographs, masks, network)
    print(card)
    print(f"written: {options.output}; pictures of the worst images: {options.pictures}")


def train(
    options: argparse.Namespace,
    radiographs: NDArray[np.uint8],
    masks: LungMasks,
    learnt: NDArray[np.int64],
    held_out: NDArray[np.int64],
) -> None:
    """Train and write the weights."""
    started = time.perf_counter()
    print(f"training on {len(learnt)} images for {options.epochs} epochs, {options.threads} threads", flush=True)

    def report(done: int, steps: int, loss: float) -> None:
        seconds = time.perf_counter() - started
        left = seconds / done * (steps - done)
        print(f"step {done}/{steps}  loss {loss:.4f}  {seconds / 60:.1f} min, {left / 60:.1f} min left", flush=True)

    drawn = DrawnImages(radiographs=np.asarray(radiographs[learnt]), masks=masks.of_rows(learnt))
    network = train_segmenter(drawn, epochs=options.epochs, seed=options.seed, report=report)
    minutes = (time.perf_counter() - started) / 60
    # what is shipped are the weights in half precision, so what they change is measured
    seen = np.asarray(radiographs[held_out[: 4 * SEGMENTED_TOGETHER]])
    before = segment_lungs(seen, network)
    network.load_state_dict(stored_weights(network))
    metadata = {
        "films": str(len(learnt)),  # the word of the shipped file
        "epochs": str(options.epochs),
        "seed": str(options.seed),
        "minutes": f"{minutes:.1f}",
        "threads": str(options.threads),
        "torch": torch.__version__,
        "changed": f"{np.mean(before != segment_lungs(seen, network)):.1e}",
    }
    save_network(network, options.output, metadata)


def with_mask(rows: NDArray[np.int64], masks: LungMasks) -> NDArray[np.int64]:
    """Return the rows that have a manual mask."""
    return rows[np.isin(rows, np.fromiter(masks.row_of, dtype=np.int64))]


def lowest_pairing_iou(data: Path) -> float | None:
    """Return the lowest agreement by which manifest.csv lets a mask belong to an image; None where none is stated."""
    import pandas as pd

    manifest = data / "manifest.csv"
    if not manifest.is_file():
        return None
    table = pd.read_csv(manifest)
    return float(table["mask_check_iou"].min()) if "mask_check_iou" in table else None


def descriptions_of(path: Path) -> dict[str, str]:
    """Return the hand-written descriptions of images by image id; none where the file is missing."""
    if not path.is_file():
        return {}
    plain = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
    if not isinstance(plain, dict) or not all(isinstance(text, str) for text in plain.values()):
        raise SettingsError(f"{path}: expected lines IMAGE_ID: one line of text.")
    return plain


def draw_worst(
    folder: Path,
    measured: Measured,
    worst: list[int],
    index: Index,
    radiographs: NDArray[np.uint8],
    masks: LungMasks,
    network: LungUNet,
) -> None:
    """Write one picture an image: drawn outline blue, segmented outline orange; worst first."""
    for number, position in enumerate(worst):
        row = measured.rows[position : position + 1]
        picture = cv2.cvtColor(np.asarray(radiographs[row[0]]), cv2.COLOR_GRAY2RGB)
        picture = cv2.resize(picture, (PICTURE_SIDE_PX, PICTURE_SIDE_PX), interpolation=cv2.INTER_CUBIC)
        for mask, colour in (
            (masks.of_rows(row)[0], BLUE),
            (segment_lungs(np.asarray(radiographs[row]), network)[0], ORANGE),
        ):
            large = cv2.resize(
                mask.astype(np.uint8), (PICTURE_SIDE_PX, PICTURE_SIDE_PX), interpolation=cv2.INTER_LINEAR
            )
            outlines = cv2.findContours(large, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)[0]
            cv2.drawContours(picture, outlines, -1, colour, 1)
        name = Path(str(index.table["image_id"].iloc[row[0]])).stem
        with written_whole(folder / f"{number:02d}-{name}.png") as temporary:
            temporary.write_bytes(encode_png(np.asarray(picture, dtype=np.uint8)))


def main() -> int:
    """Run the command line; a user's error is one message."""
    try:
        options = options_of()
        with computing(options.threads):
            run(options)
    except PneumobenchError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
