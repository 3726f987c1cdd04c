"""Images that show one picture or look alike, in pairs: whose they are, and which parts of a split they lie in."""

from __future__ import annotations

import io
from typing import Any, Final

import numpy as np
import pandas as pd

from pneumobench.datasets.folds import Folds
from pneumobench.datasets.index import Index, content_of
from pneumobench.datasets.look_alikes import NEAR_KEPT

SHOWN_PAIRS: Final = 10
# flags of a pair: words of the audit
PAIR_FLAGS: Final = {
    "across_patients": "two patients",
    "with_two_labels": "two labels",
    "across_train_and_test": "train and test",
    "across_folds": "two folds",
}
TABLE_COLUMNS: Final = (
    "image_1", "image_2", "kind", "correlation", "hash_distance", "change",
    "across_patients", "with_two_labels", "across_train_and_test",
)  # fmt: skip


def near_duplicates(index: Index, folds: Folds | None = None) -> list[dict[str, Any]]:
    """Return pairs that look alike: those across parts first, then of two labels, then across patients.

    Args:
        index: the images.
        folds: how they are split; None = not yet, and `across_folds` is not said.
    """
    known = index.table.set_index("image_id")
    learnt, tested = _sides(index, folds)
    pairs: list[dict[str, Any]] = []
    for pair in index.identity.near:
        if not all(image in known.index for image in pair.image_ids):
            continue
        flags = _flags(known, pair.image_ids)
        if folds is not None:
            one, other = pair.image_ids
            flags["across_folds"] = bool((learnt[one] & tested[other]).any() or (learnt[other] & tested[one]).any())
        pairs.append(
            {
                "images": list(pair.image_ids),
                "correlation": pair.correlation,
                "hash_distance": pair.hash_distance,
                "change": pair.change,
                **flags,
            }
        )
    worst = ("across_train_and_test", "across_folds", "with_two_labels", "across_patients")
    pairs.sort(key=lambda pair: (*(not pair.get(flag, False) for flag in worst), -pair["correlation"], pair["images"]))
    return pairs


def near_counts(pairs: list[dict[str, Any]]) -> dict[str, int]:
    """Return how many pairs there are, and how many carry each flag that is said of them.

    >>> near_counts([{"across_patients": True, "with_two_labels": False}])
    {'pairs': 1, 'across_patients': 1, 'with_two_labels': 0}
    """
    said = [flag for flag in PAIR_FLAGS if not pairs or flag in pairs[0]]
    return {"pairs": len(pairs), **{flag: sum(pair.get(flag, False) for pair in pairs) for flag in said}}


def near_lines(pairs: list[dict[str, Any]]) -> list[str]:
    """Return the pairs as lines for a terminal."""
    counts = near_counts(pairs)
    more = " or more" if len(pairs) >= NEAR_KEPT else ""
    return [
        f"near duplicates: {len(pairs)} pairs{more}, across patients: {counts['across_patients']}, with two labels: "
        f"{counts['with_two_labels']}, across train and test: {counts['across_train_and_test']}",
        *(
            f"    {' = '.join(pair['images'])} ("
            + ", ".join(
                [
                    f"correlation {pair['correlation']:.3f}",
                    f"hashes differ in {pair['hash_distance']} of 256 bits",
                    *([pair["change"]] if pair["change"] else []),
                    *(words for flag, words in PAIR_FLAGS.items() if pair.get(flag, False)),
                ]
            )
            + ")"
            for pair in pairs[:SHOWN_PAIRS]
        ),
        *([f"    and {len(pairs) - SHOWN_PAIRS} more in the report"] if len(pairs) > SHOWN_PAIRS else []),
    ]


def duplicates_table(index: Index) -> str:
    """Return all pairs as CSV: images that show one picture, each with the first that shows it, then those that look
    alike. Flags are 1 and 0; names of images are all that it tells of a patient.
    """  # fmt: skip
    known = index.table.set_index("image_id")
    rows: list[dict[str, Any]] = []
    for _, part in known.groupby(content_of(known), sort=False):
        first = part.index[0]
        for image in part.index[1:]:
            bytes_too = part.loc[first, "sha256"] == part.loc[image, "sha256"]
            rows.append(
                {
                    "image_1": first,
                    "image_2": image,
                    "kind": "same bytes" if bytes_too else "same picture",
                    **_flags(known, (first, image)),
                }
            )
    for pair in near_duplicates(index):
        one, other = pair["images"]
        rows.append({"image_1": one, "image_2": other, "kind": "looks alike", **pair})
    table = pd.DataFrame(rows, columns=list(TABLE_COLUMNS))
    for flag in TABLE_COLUMNS[-3:]:
        table[flag] = table[flag].astype(int)
    table["hash_distance"] = table["hash_distance"].astype("Int64")
    buffer = io.StringIO()
    table.to_csv(buffer, index=False, lineterminator="\n")
    return buffer.getvalue()


def _flags(known: pd.DataFrame, images: tuple[str, str]) -> dict[str, bool]:
    both = known.loc[list(images)]
    return {
        "across_patients": bool(both["patient"].nunique() > 1),
        "with_two_labels": bool(both["label"].nunique() > 1),
        "across_train_and_test": bool(both["split"].nunique() > 1),
    }


def _sides(index: Index, folds: Folds | None) -> tuple[pd.Series[Any], pd.Series[Any]]:
    """Return by image in which folds it is learnt from (training or validation part), and in which it is tested."""
    count, images = 0 if folds is None else folds.count, len(index.table)
    learnt, tested = np.zeros((images, count), dtype=bool), np.zeros((images, count), dtype=bool)
    for fold in range(count):
        assert folds is not None
        for part, rows in folds.positions(index, fold).items():
            (learnt if part in ("train", "tune") else tested)[rows, fold] = True
    names = index.table["image_id"]
    return pd.Series(list(learnt), index=names, dtype=object), pd.Series(list(tested), index=names, dtype=object)
