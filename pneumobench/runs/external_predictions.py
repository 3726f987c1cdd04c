"""The folder of one other source of images: whose predictions lie there, and what stays when more are asked."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from pneumobench.architectures import Architecture
from pneumobench.datasets.index import Index, read_index_table
from pneumobench.datasets.table_files import table_path, write_table_text
from pneumobench.errors import RecordError, SettingsError
from pneumobench.files import write_json
from pneumobench.leaderboard.external import EXTERNAL_COLUMNS
from pneumobench.records.external_record import FACTS, external_facts, external_table
from pneumobench.records.job_record import JobRecord
from pneumobench.records.provenance import software_versions
from pneumobench.records.tables import FLOAT_FORMAT
from pneumobench.suite.training import TrainingSpec
from pneumobench.texts import counted
from pneumobench.training.predictions import logit_of, probability_of, score_images


def external_predictions(
    architecture: Architecture, spec: TrainingSpec, index: Index, radiographs: NDArray[np.uint8], fold: int
) -> pd.DataFrame:
    """Return what a trained network says of external images: EXTERNAL_COLUMNS, in index order.

    Args:
        architecture: with its trained weights.
        spec: settings of its training.
        index: the images.
        radiographs: (N, side, side) uint8, as the network sees them.
        fold: fold of the network.
    """
    step = 2 * spec.batch_size
    batches = (
        torch.from_numpy(np.array(radiographs[at : at + step]))[:, None] for at in range(0, len(radiographs), step)
    )
    logit = logit_of(score_images(architecture, batches, spec)).astype(np.float64)
    columns = {"image_id": index.table["image_id"], "label": index.table["label"], "fold": fold, "logit": logit}
    return pd.DataFrame({**columns, "probability": probability_of(logit)})


def earlier_predictions(
    folder: Path, index: Index, asked: Sequence[JobRecord], records: Sequence[JobRecord]
) -> dict[str, pd.DataFrame]:
    """Return the predictions that lie in a folder and stay: those of networks that are not asked again.

    Args:
        folder: of the external data, inside the run.
        index: the images that are asked about now.
        asked: jobs that are scored now.
        records: all jobs of the run, whose weights predictions have to come from.

    Returns:
        The columns EXTERNAL_COLUMNS by architecture.

    Raises:
        SettingsError: the folder holds predictions on other images.
        RecordError: a table was changed, or was made by weights that the run no longer has.
    """
    if not (folder / FACTS).is_file():
        return {}
    facts = external_facts(folder)
    if facts["index"] != index.hash():
        raise SettingsError(
            f"{folder} holds predictions on other images ({_difference(folder, index)}): give these another --name, "
            f"or delete the folder."
        )
    again = {(record.architecture, record.fold) for record in asked}
    now = {(record.architecture, record.fold): record.hashes.get("weights") for record in records}
    kept = {}
    for name, sha256 in sorted(facts["predictions"].items()):
        path, text = external_table(folder, name, sha256)
        table = pd.read_csv(io.BytesIO(text))
        rest = table[[(name, int(fold)) not in again for fold in table["fold"]]]
        made_by = facts.get("weights", {}).get(name, {})
        for fold in rest["fold"].unique():
            if made_by.get(str(fold)) is None or made_by[str(fold)] != now.get((name, int(fold))):
                raise RecordError(
                    f"{path}: the predictions of fold {fold} are not known to come from the weights "
                    "that the run has now; evaluate all networks, or give another --name."
                )
        if len(rest):
            kept[name] = rest
    return kept


def write_predictions(
    folder: Path, name: str, index: Index, predictions: dict[str, pd.DataFrame], weights: dict[str, dict[str, str]]
) -> dict[str, pd.DataFrame]:
    """Write the predictions of every architecture with their facts, and return them as they can be read again."""
    hashes, written = {}, {}
    for architecture, table in predictions.items():
        ordered = table.sort_values("fold", kind="stable")[list(EXTERNAL_COLUMNS)]
        text = ordered.to_csv(index=False, float_format=FLOAT_FORMAT, lineterminator="\n")
        hashes[architecture] = write_table_text(table_path(folder / f"{architecture}.csv"), text)
        written[architecture] = pd.read_csv(io.StringIO(text), dtype={"image_id": str})
    index.write(folder / "index.csv")
    facts = {"name": name, "index": index.hash(), "predictions": hashes, "weights": weights}
    write_json(folder / FACTS, {**facts, "software": software_versions()})
    return written


def _difference(folder: Path, index: Index) -> str:
    try:
        before = read_index_table(folder / "index.csv")
    except (OSError, ValueError, KeyError, RecordError):
        return "other ones"
    old, new = set(before["sha256"]), set(index.table["sha256"])
    if old == new:
        return "the same images with other labels or patients"
    return f"{counted(len(old), 'image')} then, {counted(len(new), 'image')} now, {len(old & new)} in both"
