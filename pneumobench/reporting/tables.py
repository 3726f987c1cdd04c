"""The leaderboard as files for programs: everything as JSON, one row an architecture as CSV."""

from __future__ import annotations

import csv
import dataclasses
import io
import math
from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
import pandas as pd

from pneumobench.files import canonical_json
from pneumobench.leaderboard.board import Leaderboard, Row
from pneumobench.leaderboard.lung_attention import OUTCOMES
from pneumobench.leaderboard.scores import Scores
from pneumobench.metrics.comparison import AucDifference
from pneumobench.metrics.confusion import Confusion
from pneumobench.metrics.table import CALIBRATION_METRICS, COUNT_METRICS, RANK_METRICS
from pneumobench.reporting.class_columns import OFFICIAL_THREE_CLASSES, THREE_CLASSES
from pneumobench.reporting.columns import main_attention
from pneumobench.reporting.masked_regions import ABLATION_SCORES, NORMALS_CALLED
from pneumobench.reporting.uncertainty_columns import OFFICIAL_UNCERTAINTY, UNCERTAINTY

LEADERBOARD_FORMAT: Final = 3
# whose mean and deviation over folds stand in the CSV; the JSON has them of every metric
FOLD_SPREAD: Final = ("auc", "average_precision", "accuracy", "recall", "specificity", "mcc")
COUNTS: Final = ("tp", "fn", "fp", "tn")
DECIMALS: Final = 6  # of every fraction in the files: finer than any interval here, coarser than platform noise


def leaderboard_json(board: Leaderboard) -> str:
    """Return all that was computed, as strict JSON: fractions have 6 decimals, null = does not exist."""
    plain = {key: part for key, part in _plain(board).items() if key != "notes"}  # of this copy's files, not its scores
    for key in ("patients_unknown", "missing", "cost", "ranked_folds"):
        if not plain[key]:  # left out where there is nothing to say, so that older boards stay as they are
            del plain[key]
    return canonical_json({"format": LEADERBOARD_FORMAT, **plain})


def leaderboard_csv(board: Leaderboard) -> str:
    """Return one row an architecture, best first: fractions have 6 decimals, empty = does not exist."""
    buffer = io.StringIO()
    rows = [_flat(row, three_classes=board.task == "three_class") for row in board.rows]
    writer = csv.DictWriter(buffer, fieldnames=list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return buffer.getvalue()


def _plain(value: Any) -> Any:
    """Turn dataclasses, tuples and numbers into JSON; tables of predictions stay in their own files."""
    if isinstance(value, Confusion):
        return {name: _plain(number) for name, number in {**dataclasses.asdict(value), **value.values()}.items()}
    if isinstance(value, Scores):
        return _plain_scores(value)
    if isinstance(value, AucDifference):  # a small p-value is not 0
        p_values = {name: float(f"{getattr(value, name):.{DECIMALS}g}") for name in ("p_value", "p_holm")}
        return {key: _plain(part) for key, part in dataclasses.asdict(value).items()} | p_values
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        parts = {item.name: getattr(value, item.name) for item in dataclasses.fields(value)}
        return {key: _plain(part) for key, part in parts.items() if not isinstance(part, pd.DataFrame)}
    if isinstance(value, Mapping):
        return {str(key): _plain(part) for key, part in value.items()}
    if isinstance(value, str) or value is None or isinstance(value, bool):
        return value
    if isinstance(value, Sequence):
        return [_plain(part) for part in value]
    if isinstance(value, int | np.integer):
        return int(value)
    if isinstance(value, float | np.floating):
        return None if math.isnan(value) else round(float(value), DECIMALS)
    if isinstance(value, np.bool_):
        return bool(value)
    raise AssertionError(f"no JSON for {type(value)}")


def _plain_scores(scores: Scores) -> dict[str, Any]:
    """Return scores with every metric under its own name, and those after temperature scaling beside them."""
    parts = {item.name: getattr(scores, item.name) for item in dataclasses.fields(scores)}
    metrics = parts.pop("of_probability") | {f"{name}_tempered": v for name, v in parts.pop("tempered").items()}
    return {key: _plain(part) for key, part in (parts | metrics).items()}


def _flat(row: Row, *, three_classes: bool) -> dict[str, Any]:
    """Return the cells of one architecture; every row has the same keys in the same order."""
    flat: dict[str, Any] = {
        "rank": row.rank,
        "architecture": row.architecture,
        "weights_origin": row.weights_origin,
        "plugin": row.plugin,
        "kind": row.kind,
        "clears_controls": row.clears_controls,
        "state": row.state,
        "status": row.status,
        "in_top_group": row.in_top_group,
        **_flat_scores("", row.out_of_fold),
    }
    for name in FOLD_SPREAD:
        found = row.fold_spread.get(name)
        flat[f"fold_{name}_mean"] = found.mean if found else None
        flat[f"fold_{name}_sd"] = found.sd if found else None
    flat |= _flat_scores("official_", row.official)
    for column in (*THREE_CLASSES, *OFFICIAL_THREE_CLASSES) if three_classes else ():
        flat[column.key] = column.value(row)
        if column.interval:
            interval = column.interval(row)
            flat[f"{column.key}_low"] = interval.low if interval else None
            flat[f"{column.key}_high"] = interval.high if interval else None
    for column in (*UNCERTAINTY, *OFFICIAL_UNCERTAINTY):
        flat[column.key] = column.value(row)
    attention = main_attention(row)
    flat["attention_method"] = attention.method if attention else None
    flat["attention_mask_tier"] = attention.mask_tier if attention else None
    flat["attention_grid"] = f"{row.grid[0]}x{row.grid[1]}" if row.grid else None
    flat["attention_images"] = attention.pneumonia.images if attention else None
    flat["attention_degenerate"] = attention.pneumonia.degenerate if attention else None
    flat["attention_chance"] = attention.pneumonia.chance if attention else None
    for name in ("lar", "lar_adjusted"):
        interval = getattr(attention, f"{name}_interval") if attention else None
        flat[name] = getattr(attention.pneumonia, name) if attention else None
        flat[f"{name}_low"] = interval.low if interval else None
        flat[f"{name}_high"] = interval.high if interval else None
        for outcome in OUTCOMES:
            flat[f"{name}_{outcome}"] = getattr(attention.by_outcome[outcome], name) if attention else None
    for column in (*ABLATION_SCORES, *NORMALS_CALLED):
        flat[column.key] = column.value(row)
    for name in (
        "parameters",
        "trainable_parameters",
        "flops_per_image",
        "step_seconds",
        "training_seconds",
        "inference_images_per_second",
        "peak_memory_mib",
    ):
        flat[name] = getattr(row.cost, name) if row.cost else None
    return {key: _cell(value) for key, value in flat.items()}


def _flat_scores(prefix: str, scores: Scores | None) -> dict[str, Any]:
    cells: dict[str, Any] = {name: getattr(scores, name) if scores else None for name in ("images", "pneumonia_images")}
    interval = scores.auc_interval if scores else None
    for name in RANK_METRICS:
        cells[name] = scores.value(name) if scores else None
        if name == "auc":
            cells |= {"auc_low": interval.low if interval else None, "auc_high": interval.high if interval else None}
            if not prefix:
                cells["auc_pooled"] = scores.auc_pooled if scores else None
    for suffix, point in (("", scores and scores.at_half), ("_tuned", scores and scores.at_tuned)):
        cells |= {f"{name}{suffix}": getattr(point, name) if point else None for name in COUNTS}
        cells |= {f"{name}{suffix}": point.value(name) if point else None for name in COUNT_METRICS}
    for name in CALIBRATION_METRICS:
        cells[name] = scores.value(name) if scores else None
        cells[f"{name}_tempered"] = scores.tempered[name] if scores else None
    return {prefix + name: value for name, value in cells.items()}


def _cell(value: Any) -> Any:
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:.{DECIMALS}f}" if isinstance(value, float) else value
