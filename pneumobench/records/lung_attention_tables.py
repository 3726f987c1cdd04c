"""Tables of lung attention against record, split and suite: the right images, all of them, and numbers that agree."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

import numpy as np
import pandas as pd

from pneumobench.lungs.tiers import mask_tier
from pneumobench.records.belonging import refuse
from pneumobench.records.explanation_record import ABLATION, Explanations
from pneumobench.records.job_record import JobRecord
from pneumobench.records.manifest import EXPLANATION_FILE
from pneumobench.records.run_folder import RunFolder
from pneumobench.suite.spec import Suite

ADJUSTED_ERROR: Final = 1e-6  # ratio, area and adjusted ratio are written with nine digits


def require_attention(
    folder: RunFolder,
    suite: Suite,
    record: JobRecord,
    attention: pd.DataFrame,
    predictions: pd.DataFrame,
    index: pd.DataFrame,
) -> None:
    """Check the lung attention of a job: its images, labels, masks and method, and that the columns agree.

    Raises:
        RecordError: the table is not that of the job.
    """
    path, said = folder.attention_path(record.architecture, record.fold), record.explanation
    if (said is None) != ("attention" not in record.hashes):
        there = "a hash of attention.csv" if said is None else "facts of heat maps"
        refuse(folder.record_path(record.architecture, record.fold), f"{there} alone", "both or none of them")
    if said is None:
        return
    tested = predictions[predictions["split"] == "test"].set_index("image_id")["label"]
    _require_rows(path, attention, tested, method=said.method, tier=said.mask_tier)
    tier = mask_tier(suite.data, drawn_masks=bool((index["lung_mask"] != "").any()))
    if said.mask_tier != tier:
        refuse(path, f"masks of tier {said.mask_tier}", f"{tier} (data of suite.yaml, and masks of index.csv)")
    empty = int(attention["lar"].isna().sum())
    for found, expected, words in (
        (len(attention), said.images, "images"),
        (empty, said.degenerate, "degenerate maps"),
    ):
        if found != expected:
            refuse(path, f"{found} {words}", f"{expected} (explanation in record.json)")
    usable = _usable(tier, tested, index)
    if usable is None:
        return
    asked = suite.explanation.images_per_fold
    if foreign := set(attention["image_id"]) - usable:
        refuse(path, f"{len(foreign)} images without a {tier} mask (e.g. {min(foreign)})", "images with one")
    if len(attention) != (count := len(usable) if asked is None else min(asked, len(usable))):
        refuse(path, f"{len(attention)} images", f"{count} (masks of fold {record.fold} and suite.yaml)")


def _usable(tier: str, tested: pd.Series[int], index: pd.DataFrame) -> set[str] | None:
    """Return the tested images that have a mask of the tier; None where the disk does not say which."""
    if tier == "segmented":
        return None
    return set(tested.index if tier == "box" else tested.index[index["lung_mask"].reindex(tested.index) != ""])


def require_explanations(
    folder: RunFolder,
    record: JobRecord,
    found: Explanations,
    attention: pd.DataFrame,
    predictions: pd.DataFrame,
    index: pd.DataFrame,
) -> None:
    """Check the explanations of a job as its lung attention.

    Raises:
        RecordError: a table is not of this job, or holds other images than explanation.json and attention.csv say.
    """
    home = folder.explanations_folder(record.architecture, record.fold)
    asked = found.record
    tested = predictions[predictions["split"] == "test"].set_index("image_id")["label"]
    if record.explanation is not None and asked.mask_tier != record.explanation.mask_tier:
        refuse(home / EXPLANATION_FILE, f"masks of tier {asked.mask_tier}", f"{record.explanation.mask_tier}")
    if asked.seed != record.seed:
        refuse(home / EXPLANATION_FILE, f"seed {asked.seed}", f"{record.seed} (record.json)")
    for name, metadata in asked.methods.items():
        if (metadata.not_available is None) != (name in found.methods):
            wanted = "no table, as it is not available" if metadata.not_available else "its table"
            refuse(
                home / EXPLANATION_FILE, f"maps by {name} {'with' if name in found.methods else 'without'} one", wanted
            )
    for name, table in found.methods.items():
        path = folder.explanation_path(record.architecture, record.fold, name)
        if name not in asked.methods:
            refuse(path, f"maps by {name}", f"methods of {EXPLANATION_FILE}")
        _require_rows(path, table, tested, method=name, tier=asked.mask_tier)
        if len(table) != asked.methods[name].images:
            refuse(path, f"{len(table)} images", f"{asked.methods[name].images} ({EXPLANATION_FILE})")
    whole = found.ablation.drop_duplicates("image_id")
    if not len(whole):
        return
    path = folder.explanation_path(record.architecture, record.fold, ABLATION)
    _require_labels(path, whole, tested)
    expected = _usable(asked.mask_tier, tested, index)
    missing = (set(attention["image_id"]) if expected is None else expected) - set(whole["image_id"])
    if missing:
        words = f"{len(missing)} images missing (e.g. {min(missing)})"
        refuse(path, words, "every tested image with a lung mask")


def require_same_images(
    folder: RunFolder, records: Sequence[JobRecord], attention: Mapping[tuple[str, int], pd.DataFrame]
) -> None:
    """Check that all networks of a fold were explained on the same images: the draw does not depend on them.

    Raises:
        RecordError: one was explained on others, or on none though its other folds were.
    """
    first: dict[int, tuple[str, set[str]]] = {}
    having = {record.architecture for record in records if record.completed and record.explanation is not None}
    explained = {record.fold for record in records if record.completed and record.explanation is not None}
    for record in records:
        if not record.completed or record.architecture not in having:
            continue
        path = folder.record_path(record.architecture, record.fold)
        if record.explanation is None:
            if record.fold in explained:
                refuse(path, "no heat maps", f"some, as in the other folds of {record.architecture}")
            continue
        images = set(attention[record.architecture, record.fold]["image_id"])
        name, others = first.setdefault(record.fold, (record.architecture, images))
        if images != others:
            path = folder.attention_path(record.architecture, record.fold)
            refuse(path, f"{len(images - others)} images that {name} was not explained on", "the same images")


def _require_rows(path: Path, table: pd.DataFrame, tested: pd.Series[int], *, method: str, tier: str) -> None:
    _require_labels(path, table, tested)
    for column, expected in (("method", method), ("mask_tier", tier)):
        if len(other := table.loc[table[column] != expected, column]):
            refuse(path, f"{column} {other.iloc[0]} ({len(other)} rows)", f"{expected} (the record beside it)")
    ratio, area, adjusted = (table[name].to_numpy(np.float64) for name in ("lar", "lung_area", "lar_adjusted"))
    defined = ~np.isnan(ratio) & (area > 0) & (area < 1)
    wrong = np.isnan(adjusted) == defined
    wrong |= defined & (np.abs(adjusted * (1 - area) - (ratio - area)) > ADJUSTED_ERROR)
    if wrong.any():
        row = int(np.flatnonzero(wrong)[0])
        right = (ratio[row] - area[row]) / (1 - area[row]) if defined[row] else np.nan
        refuse(
            path,
            f"lar_adjusted {adjusted[row]:.6g} beside lar {ratio[row]:.6g} and lung_area {area[row]:.6g} "
            f"({int(wrong.sum())} such rows)",
            f"(lar - lung_area) / (1 - lung_area) = {right:.6g}",
        )


def _require_labels(path: Path, table: pd.DataFrame, tested: pd.Series[int]) -> None:
    if foreign := sorted(set(table["image_id"]) - set(tested.index)):
        refuse(path, f"{len(foreign)} images (e.g. {foreign[0]}) outside the test part", "images tested in this fold")
    wrong = table.loc[table["label"].to_numpy() != tested.loc[table["image_id"]].to_numpy(), "image_id"]
    if len(wrong):
        refuse(path, f"{len(wrong)} labels (e.g. of {wrong.iloc[0]}) that differ from index.csv", "the same")
