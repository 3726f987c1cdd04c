"""The folder of one other source of images: whose predictions lie there, and what stays when more are asked."""

from __future__ import annotations

import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from pneumobench.datasets.index import Index, read_index_table
from pneumobench.errors import RecordError, SettingsError
from pneumobench.files import sha256_of_text, write_json, write_text
from pneumobench.leaderboard.external import EXTERNAL_COLUMNS
from pneumobench.records.job_record import JobRecord
from pneumobench.records.provenance import software_versions
from pneumobench.records.tables import FLOAT_FORMAT
from pneumobench.texts import counted

FACTS = "environment.json"


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
    path = folder / FACTS
    if not path.is_file():
        return {}
    try:
        facts: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        before, hashes = str(facts["index"]), dict(facts["predictions"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise RecordError(f"{path}: found no facts of external data ({error!r}); delete {folder}.") from error
    if before != index.hash():
        raise SettingsError(
            f"{folder} holds predictions on other images ({_difference(folder, index)}): give these another --name, "
            f"or delete the folder."
        )
    again = {(record.architecture, record.fold) for record in asked}
    now = {(record.architecture, record.fold): record.hashes.get("weights") for record in records}
    kept = {}
    for name, sha256 in sorted(hashes.items()):
        text = (folder / f"{name}.csv").read_text(encoding="utf-8") if (folder / f"{name}.csv").is_file() else ""
        if sha256_of_text(text) != sha256:
            raise RecordError(
                f"{folder / f'{name}.csv'} is missing or was changed; delete {folder} and evaluate again."
            )
        table = pd.read_csv(io.StringIO(text))
        rest = table[[(name, int(fold)) not in again for fold in table["fold"]]]
        made_by = facts.get("weights", {}).get(name, {})
        for fold in rest["fold"].unique():
            if made_by.get(str(fold)) is None or made_by[str(fold)] != now.get((name, int(fold))):
                raise RecordError(
                    f"{folder / f'{name}.csv'}: the predictions of fold {fold} are not known to come from the weights "
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
        write_text(folder / f"{architecture}.csv", text)
        hashes[architecture] = sha256_of_text(text)
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
