"""How alike are images of different patients, and which changes of an image does the audit find?

python -m benchmark.evidence.near_duplicates --data DATA --weights FOLDER --write

Every image is compared with every other: the closest pairs of different classes and of different patients bound what
chance makes alike. Then images are changed as people change them, and compared with what they were. FOLDER holds the
ImageNet weights that benchmark/weights/efficientnet_lite.py writes; without it no network is asked.
"""

from __future__ import annotations

import argparse
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import cv2
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from benchmark.performance.measuring import markdown_table
from pneumobench.datasets.audit import read_radiographs
from pneumobench.datasets.duplicates import duplicates_table, near_counts, near_duplicates
from pneumobench.datasets.index import PICTURE, Index
from pneumobench.datasets.look_alikes import (
    NEAR_CORRELATION,
    NEAR_HASH_DISTANCE,
    look_alikes,
    steady_hash,
    thumbnail,
    unit_patterns,
)
from pneumobench.datasets.perceptual_hash import HASH_SIDE
from pneumobench.files import write_text
from pneumobench.radiographs.formats import read_gray
from pneumobench.suite.spec import DataSpec, Suite

Gray = NDArray[np.uint8]
Floats = NDArray[np.float32]
HOME: Final = Path(__file__).resolve().parent
BITS: Final = HASH_SIDE**2
NETWORK: Final = "tf_efficientnet_lite0"
NETWORK_SIDE_PX: Final = 128
TRIED_DISTANCES: Final = (16, 24, 28, 32, 36, 40, 44, 48)
CLOSEST: Final = 25  # pairs that are listed for each measure
CHANGED: Final = 500
SEED: Final = 0


def jpeg(film: Gray, quality: int) -> Gray:
    """Save as JPEG and read again."""
    coded = cv2.imencode(".jpg", film, [cv2.IMWRITE_JPEG_QUALITY, quality])[1]
    return np.asarray(cv2.imdecode(coded, cv2.IMREAD_GRAYSCALE), dtype=np.uint8)


def resized(film: Gray, factor: float) -> Gray:
    """Make smaller or larger."""
    how = cv2.INTER_AREA if factor < 1 else cv2.INTER_CUBIC
    return np.asarray(cv2.resize(film, None, fx=factor, fy=factor, interpolation=how), dtype=np.uint8)


def levels(film: Gray, factor: float, add: float, gamma: float = 1.0) -> Gray:
    """Change contrast, brightness and gamma; what leaves 0 to 255 is cut."""
    changed = 255 * (film / 255.0) ** gamma * factor + add
    return np.asarray(np.clip(changed, 0, 255), dtype=np.uint8)


def cut(film: Gray, share: float) -> Gray:
    """Cut a share of rows and of columns away, at edges that depend on the image."""
    height, width = film.shape
    rng = np.random.default_rng(int(film.sum()))
    rows, columns = round(height * share), round(width * share)
    top, left = rng.integers(0, rows + 1), rng.integers(0, columns + 1)
    return film[top : height - rows + top, left : width - columns + left]


def turned(film: Gray, degrees: float) -> Gray:
    """Turn about the middle; corners become black."""
    height, width = film.shape
    matrix = cv2.getRotationMatrix2D(((width - 1) / 2, (height - 1) / 2), degrees, 1)
    return np.asarray(cv2.warpAffine(film, matrix, (width, height)), dtype=np.uint8)


CHANGES: Final[dict[str, Callable[[Gray], Gray]]] = {
    "JPEG, quality 90": lambda film: jpeg(film, 90),
    "JPEG, quality 50": lambda film: jpeg(film, 50),
    "JPEG, quality 10": lambda film: jpeg(film, 10),
    "half the side": lambda film: resized(film, 0.5),
    "twice the side": lambda film: resized(film, 2),
    "30 gray levels brighter": lambda film: levels(film, 1, 30),
    "30 gray levels darker": lambda film: levels(film, 1, -30),
    "contrast x 1.3": lambda film: levels(film, 1.3, -38),
    "gamma 1.5": lambda film: levels(film, 1, 0, 1.5),
    "local histogram equalisation (CLAHE)": lambda film: np.asarray(cv2.createCLAHE(2.0, (8, 8)).apply(film), np.uint8),
    "blur, 2 px": lambda film: np.asarray(cv2.GaussianBlur(film, (0, 0), 2), np.uint8),
    "mirrored": lambda film: np.ascontiguousarray(film[:, ::-1]),
    "inverted": lambda film: np.asarray(255 - film, np.uint8),
    "1 % of rows and columns cut away": lambda film: cut(film, 0.01),
    "2 % of rows and columns cut away": lambda film: cut(film, 0.02),
    "5 % of rows and columns cut away": lambda film: cut(film, 0.05),
    "10 % of rows and columns cut away": lambda film: cut(film, 0.10),
    "turned by 1°": lambda film: turned(film, 1),
    "turned by 2°": lambda film: turned(film, 2),
    "turned by 5°": lambda film: turned(film, 5),
}  # fmt: skip


def patterns_of(films: list[Gray]) -> Floats:
    """Return thumbnails (N, 256) of length 1, whose products are correlations."""
    return unit_patterns(np.stack([thumbnail(film) for film in films]).astype(np.float64)).astype(np.float32)


def hashes_of(films: list[Gray]) -> Gray:
    """Return perceptual hashes (N, 32)."""
    return np.stack([steady_hash(film) for film in films])


def signs_of(hashes: Gray) -> Floats:
    """Return hashes as vectors (N, 256) of length 1, whose products fall by 2 / 256 for every bit that differs."""
    return (np.unpackbits(hashes, axis=1).astype(np.float32) * 2 - 1) / np.float32(HASH_SIDE)


def features_of(films: list[Gray], weights: Path) -> Floats:
    """Return features (N, 1280) of a network with ImageNet weights, of length 1."""
    import timm
    import torch
    from safetensors.torch import load_file

    network = timm.create_model(NETWORK, num_classes=0).eval()
    network.load_state_dict(load_file(weights / f"{NETWORK}.safetensors"), strict=False)
    found = []
    with torch.inference_mode():
        for start in range(0, len(films), 64):
            side = (NETWORK_SIDE_PX, NETWORK_SIDE_PX)
            small = [cv2.resize(film, side, interpolation=cv2.INTER_AREA) for film in films[start : start + 64]]
            gray = torch.from_numpy(np.stack(small)).float()[:, None].expand(-1, 3, -1, -1)
            found.append(network(gray / 127.5 - 1).numpy())
    features = np.concatenate(found)
    return np.asarray(features / np.linalg.norm(features, axis=1, keepdims=True), dtype=np.float32)


class Closest:
    """Products of all pairs of vectors: the largest between classes and between patients.

    Args:
        vectors: (N, features) of length 1.
        index: the images.
    """

    def __init__(self, vectors: Floats, index: Index) -> None:
        table = index.table
        label = table["label"].to_numpy()
        patient, picture = (pd.factorize(table[name])[0] for name in ("patient", PICTURE))
        self.pairs = {"two classes": 0, "two patients": 0}
        kept: dict[str, list[tuple[NDArray[np.int64], NDArray[np.int64], Floats]]] = {kind: [] for kind in self.pairs}
        for start in range(0, len(vectors), 512):
            stop = min(start + 512, len(vectors))
            product = vectors[start:stop] @ vectors.T
            later = np.arange(start, stop)[:, None] < np.arange(len(vectors))[None]
            other = later & (picture[start:stop, None] != picture[None])
            for kind, wanted in (
                ("two classes", other & (label[start:stop, None] != label[None])),
                ("two patients", other & (patient[start:stop, None] != patient[None])),
            ):
                self.pairs[kind] += int(wanted.sum())
                rows, columns = np.nonzero(wanted)
                values = product[rows, columns]
                some = np.argsort(-values, kind="stable")[:2000]
                kept[kind].append((rows[some] + start, columns[some], values[some]))
        self.found = {}
        for kind, parts in kept.items():
            one, other_row, value = (np.concatenate(column) for column in zip(*parts, strict=True))
            order = np.argsort(-value, kind="stable")
            self.found[kind] = (one[order], other_row[order], value[order])

    def values(self, kind: str) -> Floats:
        """Return the products of the closest pairs, largest first."""
        return self.found[kind][2]

    def listed(self, index: Index, measure: str, value: Callable[[float], str]) -> list[dict[str, str]]:
        """Return the closest pairs of different patients by name."""
        names, labels = index.table["image_id"], index.table["label"]
        one, other, found = self.found["two patients"]
        return [
            {
                "measure": measure,
                "value": value(float(found[place])),
                "image_1": names.iloc[one[place]],
                "image_2": names.iloc[other[place]],
                "two_labels": str(int(labels.iloc[one[place]] != labels.iloc[other[place]])),
            }
            for place in range(min(CLOSEST, len(found)))
        ]


def distance_of(product: Any) -> Any:
    """Return the differing bits of hashes from the product of their signs."""
    return np.rint((1 - np.asarray(product, dtype=np.float64)) * BITS / 2).astype(int)


def found_by_audit(films: list[Gray], changed: list[Gray]) -> float:
    """Return the share of changed images that the audit pairs with what they were, as one picture or as alike."""
    both = [*films, *changed]
    found = look_alikes([thumbnail(film) for film in both], list(hashes_of(both)))
    shown = np.arange(len(both))
    shown[found.same[:, 1]] = found.same[:, 0]  # the first image of the same picture; two originals may be one
    pairs = {(shown[one], shown[other]) for one, other in [*found.near.tolist(), *found.near[:, ::-1].tolist()]}
    before, after = shown[: len(films)], shown[len(films) :]
    return float(np.mean([one == other or (one, other) in pairs for one, other in zip(before, after, strict=True)]))


def main(arguments: list[str] | None = None) -> None:
    """Compare, change, print, and write if asked to."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--data", required=True, help="folder of the images of Kermany et al.")
    parser.add_argument("--weights", type=Path, help="folder with ImageNet weights of EfficientNet-Lite")
    parser.add_argument("--changed", type=int, default=CHANGED, help="images that are changed, drawn at random")
    parser.add_argument("--write", action="store_true", help="write the report and the tables beside this file")
    options = parser.parse_args(arguments)
    index, _ = read_radiographs(Suite(data=DataSpec(source="kermany", root=options.data)))
    films = [read_gray(index.root / image) for image in index.table["image_id"]]
    hashes = hashes_of(films)
    vectors: dict[str, Floats] = {"correlation": patterns_of(films), "hash": signs_of(hashes)}
    if options.weights is not None:
        vectors["network"] = features_of(films, options.weights)
    closest = {measure: Closest(found, index) for measure, found in vectors.items()}
    rows = np.sort(np.random.default_rng(SEED).choice(len(films), min(options.changed, len(films)), replace=False))
    detected, by_distance = [], {}
    for name, change in CHANGES.items():
        before = [films[row] for row in rows]
        after = [change(film) for film in before]
        correlation = (patterns_of(after) * vectors["correlation"][rows]).sum(axis=1)
        distance = distance_of((signs_of(hashes_of(after)) * vectors["hash"][rows]).sum(axis=1))
        by_distance[name] = distance
        row = {
            "change": name,
            f"thumbnails correlate by {NEAR_CORRELATION}": _share(correlation >= NEAR_CORRELATION - 1e-6),
            f"hashes differ in at most {NEAR_HASH_DISTANCE} bits": _share(distance <= NEAR_HASH_DISTANCE),
            "**audit**": _short(found_by_audit(before, after)),
            "median correlation": f"{np.median(correlation):.4f}",
            "median bits": f"{np.median(distance):.0f}",
        }
        if options.weights is not None:
            features = features_of(after, options.weights)
            own = (features * vectors["network"][rows]).sum(axis=1)
            row["features closer than any two patients'"] = _share(own > closest["network"].values("two patients")[0])
            row["nearest by features"] = _share(own >= (features @ vectors["network"].T).max(axis=1) - 1e-6)
        detected.append(row)
        print(*row.values(), flush=True)
    words = ["python", "-m", "benchmark.evidence.near_duplicates", "--data", "DATA"]
    words += ["--weights", "FOLDER"] if options.weights is not None else []
    words += ["--changed", str(options.changed)] if options.changed != CHANGED else []
    page = report(index, closest, detected, by_distance, shlex.join([*words, "--write"]), len(rows))
    print(page)
    if options.write:
        listed = closest["correlation"].listed(index, "correlation", lambda value: f"{value:.4f}")
        listed += closest["hash"].listed(index, "differing bits of 256", lambda value: str(distance_of(value)))
        table = pd.DataFrame(listed).to_csv(index=False, lineterminator="\n")
        write_text(HOME / "near_duplicates.md", page)
        write_text(HOME / "near_duplicates_closest.csv", table)
        write_text(HOME / "near_duplicates_kermany.csv", duplicates_table(index))


def report(
    index: Index,
    closest: dict[str, Closest],
    detected: list[dict[str, str]],
    by_distance: dict[str, NDArray[np.int64]],
    command: str,
    changed: int,
) -> str:
    """Return the page of the study."""
    counts = near_counts(near_duplicates(index))
    same = index.table[PICTURE].duplicated(keep=False)
    groups = index.table[same].groupby(PICTURE)
    network = "network" in closest
    lines = [
        "# Near duplicates",
        "",
        f"`{command}`",
        "",
        f"{len(index.table):,} images of Kermany et al. (224 x 224 px), each compared with every other. The audit "
        f"calls two images near duplicates where their 16 x 16 thumbnails correlate by {NEAR_CORRELATION} or more, "
        "as they are, turned by quarters, mirrored or inverted, or where their perceptual hashes (pHash, 256 bits, by "
        f"imagehash) differ in at most {NEAR_HASH_DISTANCE} bits.",
        "",
        "## What it finds on these images",
        "",
        f"{groups.ngroups} groups of images with the same pixels ({int(same.sum())} images; across patients: "
        f"{int((groups['patient'].nunique() > 1).sum())}, with two labels: {int((groups['label'].nunique() > 1).sum())}"
        f", across train and test: {int((groups['split'].nunique() > 1).sum())}). Near duplicates beyond these: "
        f"{counts['pairs']} pairs. All pairs: `near_duplicates_kermany.csv`.",
        "",
        "## How alike different images are",
        "",
        "The closest pairs that are not one picture. Nobody published who the patients are, so pairs of different "
        "patients by name may be of one child; a pair of different classes that is one radiograph would be an error of "
        f"a label. The {CLOSEST} closest pairs by each measure: "
        "`near_duplicates_closest.csv`.",
        "",
        *markdown_table(_null_rows(closest)),
        "",
        "## Which changes are found",
        "",
        f"{changed} images drawn at random (seed {SEED}), each changed and compared with what it was: share that is "
        "found. The audit joins both measures and all ways to turn, mirror and invert."
        + (
            f" The last two columns ask a network instead, {NETWORK} with ImageNet weights at {NETWORK_SIDE_PX} px: "
            "whether the features of the changed image lie closer to those of the original than those of any two "
            "patients lie, and whether the original is its nearest neighbour among all images."
            if network
            else ""
        ),
        "",
        *markdown_table(detected),
        "",
        "## Why this many bits",
        "",
        "Pairs of images that are not one picture, and share of changed images found, by the largest number of bits in "
        "which hashes may differ:",
        "",
        *markdown_table(_distance_rows(closest["hash"], by_distance)),
        "",
    ]
    return "\n".join(lines)


def _null_rows(closest: dict[str, Closest]) -> list[dict[str, str]]:
    shown: dict[str, tuple[str, Callable[[Any], str]]] = {
        "correlation": ("correlation of thumbnails", lambda value: f"{float(value):.4f}"),
        "hash": ("differing bits of 256", lambda value: str(distance_of(value))),
        "network": (f"cosine of features, {NETWORK}", lambda value: f"{float(value):.4f}"),
    }
    return [
        {
            "measure": shown[measure][0],
            "pairs of": kind,
            "number of pairs": f"{found.pairs[kind]:,}",
            **{
                heading: shown[measure][1](found.values(kind)[place - 1])
                for heading, place in (("closest", 1), ("10th", 10), ("100th", 100), ("1000th", 1000))
                if place <= len(found.values(kind))
            },
        }
        for measure, found in closest.items()
        for kind in found.pairs
    ]


def _distance_rows(closest: Closest, by_distance: dict[str, NDArray[np.int64]]) -> list[dict[str, str]]:
    shown = [name for name, found in by_distance.items() if 0.02 < (found <= TRIED_DISTANCES[-1]).mean() < 1]
    return [
        {
            "at most": f"**{most}**" if most == NEAR_HASH_DISTANCE else str(most),
            **{kind: str(int((distance_of(closest.values(kind)) <= most).sum())) for kind in closest.pairs},
            **{name: _share(by_distance[name] <= most) for name in shown},
        }
        for most in TRIED_DISTANCES
    ]


def _share(found: Any) -> str:
    return _short(float(np.mean(found)))


def _short(share: float) -> str:
    return f"{share:.3f}"


if __name__ == "__main__":
    main()
