"""Images with a lung mask alone: what regions are made of, and compared with. Loads PyTorch only if it has to."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np

from pneumobench.datasets.index import Index
from pneumobench.errors import DataError
from pneumobench.lungs.tiers import lungs_required, mask_tier
from pneumobench.suite.spec import DataSpec
from pneumobench.texts import counted


def only_with_lungs(index: Index, data: DataSpec, cache_folder: Path) -> Index:
    """Return an index without the images that have no lung mask of the tier, where the settings ask for that.

    Masks of two tiers are never mixed: a network could tell them apart. What is left out is counted in the notes of
    the index, by class, for it need not be a random part.

    Args:
        index: the images.
        data: tier of the masks, and whether they are needed.
        cache_folder: where segmented lungs are kept.

    Raises:
        DataError: no image has a mask, or the weights of the segmenter are missing.
    """
    if not lungs_required(data):
        return index
    drawn = (index.table["lung_mask"] != "").to_numpy()
    tier = mask_tier(data, drawn_masks=bool(drawn.any()))
    if tier == "box":  # every image has it
        return index
    if tier == "drawn":
        having, kind = drawn, "drawn"
    else:
        from pneumobench.lungs.segmented import segmented_lungs  # loads PyTorch

        having, kind = np.zeros(len(index.table), dtype=bool), "plausible segmented"
        having[segmented_lungs(index, cache_folder).usable_rows()] = True
    if having.all():
        return index
    label = index.table["label"].to_numpy()[~having]
    found = (
        f"{counted(int((~having).sum()), 'image')} of {len(having):,} without a {kind} lung mask "
        f"({int((label == 0).sum()):,} normal, {int((label == 1).sum()):,} pneumonia)"
    )
    if not having.any():
        raise DataError(
            f"{index.root}: no image has a {kind} lung mask, which data.region and data.require_lung_mask need. Name "
            "drawn ones with data.lung_masks (or in the column lung_mask of the table), or set data.lung_mask_tier to "
            "segmented, or data.region to whole."
        )
    table = index.table[having].reset_index(drop=True)
    return dataclasses.replace(index, table=table, notes=(*index.notes, f"left out: {found}"))
