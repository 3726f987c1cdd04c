"""environment.json of one other source of images: whose predictions on which images lie beside it."""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import pandas as pd

from pneumobench.datasets.table_files import table_bytes, table_path
from pneumobench.errors import RecordError
from pneumobench.suite.names import is_name

FACTS: Final = "environment.json"
VARIANTS: Final = "variants"  # folder beside the predictions on the images as they are
VARIANT_PREDICTIONS: Final = "predictions.csv"  # in that folder


def external_facts(folder: Path) -> dict[str, Any]:
    """Return whose predictions on which images lie in a folder: `index`, `predictions` and `weights` by architecture.

    Raises:
        RecordError: the file is damaged.
    """
    path = folder / FACTS
    try:
        facts: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        if isinstance(facts["index"], str) and all(map(is_name, facts["predictions"].keys())):
            return facts
        error = "other content"
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as caught:
        error = repr(caught)
    raise RecordError(f"{path}: found no facts of external data ({error}); delete {folder}.")


def external_table(folder: Path, name: str, sha256: str) -> tuple[Path, bytes]:
    """Return where the predictions of an architecture lie, and their text.

    Raises:
        RecordError: they are missing or were changed.
    """
    path = table_path(folder / f"{name}.csv")
    text = table_bytes(path) if path.is_file() else b""
    if hashlib.sha256(text).hexdigest() != sha256:
        raise RecordError(f"{path} is missing or was changed; delete {folder} and evaluate again.")
    return path, text


def variant_predictions(text: bytes, variants: Sequence[str]) -> dict[str, pd.DataFrame]:
    """Return the predictions of each variant, in this order, from the text of the file that holds all of them."""
    table = pd.read_csv(io.BytesIO(text), dtype={"image_id": str, "architecture": str, "variant": str})
    return {name: table[table["variant"] == name].drop(columns="variant").reset_index(drop=True) for name in variants}
