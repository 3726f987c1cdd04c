"""A page for one architecture: what its leaderboard row is made of, and what another threshold would do."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

import numpy as np
import pandas as pd
from markupsafe import Markup

from pneumobench.leaderboard.board import Leaderboard, Row
from pneumobench.leaderboard.lung_attention import OUTCOMES
from pneumobench.leaderboard.scores import DEFAULT_THRESHOLD
from pneumobench.metrics.thresholds import THRESHOLD_RULES
from pneumobench.records.run_folder import RunFolder
from pneumobench.reporting import architecture_figures as drawn
from pneumobench.reporting import map_words, masked_regions, uncertainty_columns, words
from pneumobench.reporting.page import own_script, page_environment
from pneumobench.reporting.pair_page import PAIR_PAGE, rows_set_beside

STEPS: Final = np.linspace(-8.0, 8.0, 161)  # logits of the thresholds that the slider has
WORST: Final = 15  # errors that are listed of each kind
FOLDER: Final = "architectures"


def page_name(architecture: str) -> str:
    """Return the file name of an architecture's page; names of architectures are plain.

    >>> page_name("resnet18")
    'resnet18.html'
    """
    return f"{architecture}.html"


def architecture_pages(board: Leaderboard, folder: RunFolder) -> dict[str, str]:
    """Return the page of each network that completed a fold, by file name.

    Args:
        board: the leaderboard.
        folder: the run, whose index and histories are read.
    """
    index, _ = folder.index_and_folds()
    set_beside = {row.architecture for row in rows_set_beside(board)}
    of_image = index.table.set_index("image_id")
    pages = {}
    for row in board.networks:
        if row.out_of_fold is None or row.predictions["label"].nunique() < 2:
            continue
        histories = {
            fold: pd.read_csv(path)
            for fold in row.folds
            if (path := folder.history_path(row.architecture, fold)).is_file()
        }
        pages[page_name(row.architecture)] = _page(
            board, row, of_image, histories, beside=row.architecture in set_beside
        )
    return pages


def _page(
    board: Leaderboard, row: Row, of_image: pd.DataFrame, histories: Mapping[int, pd.DataFrame], *, beside: bool
) -> str:
    group, subtype = of_image["group"], of_image["subtype"]
    return (
        page_environment()
        .get_template("architecture.html.j2")
        .render(
            **own_script("architecture.js"),
            board=board,
            row=row,
            words=words,
            masked=masked_regions,
            map_words=map_words,
            beside=PAIR_PAGE if beside else None,
            rules=THRESHOLD_RULES,
            outcomes=OUTCOMES,
            curves=(drawn.roc_plot(row, group), drawn.precision_plot(row, group)),
            trust=(drawn.reliability_plot(row), drawn.risk_plot(row), drawn.score_plot(row, subtype)),
            unsure=uncertainty_columns,
            histories=drawn.history_plots(histories),
            parts=drawn.PARTS,
            counts=Markup(json.dumps(_counts(row), separators=(",", ":"))),  # numbers and our own words alone
            errors=_errors(row, subtype),
        )
    )


def _counts(row: Row) -> dict[str, Any]:
    """Return decisions at every threshold of the slider, over all folds with one threshold, and where rules stand."""
    probability, label = row.predictions["probability"].to_numpy(np.float64), row.predictions["label"].to_numpy() == 1
    marks = {"0.5": DEFAULT_THRESHOLD}
    marks |= {THRESHOLD_RULES[rule].words: point.threshold for rule, point in row.points.items()}
    marks = {name: value for name, value in marks.items() if not np.isnan(value)}
    found = np.unique(np.append(1 / (1 + np.exp(-STEPS)), list(marks.values())))
    called = [np.sort(probability[chosen]) for chosen in (label, ~label)]
    true, false = (len(part) - np.searchsorted(part, found, side="left") for part in called)
    return {
        "thresholds": [float(f"{value:.6g}") for value in found],
        "tp": true.tolist(),
        "fp": false.tolist(),
        "positives": int(label.sum()),
        "negatives": int((~label).sum()),
        "marks": {name: int(np.searchsorted(found, value)) for name, value in marks.items()},
    }


def _errors(row: Row, subtype: pd.Series[str]) -> dict[str, list[dict[str, Any]]]:
    """Return the worst errors at probability 0.5, missed pneumonia and false alarms."""
    table = row.predictions.assign(subtype=subtype.loc[row.predictions["image_id"]].to_numpy())
    missed = table[(table["label"] == 1) & (table["probability"] < DEFAULT_THRESHOLD)]
    alarms = table[(table["label"] == 0) & (table["probability"] >= DEFAULT_THRESHOLD)]
    parts = {
        "missed pneumonia": missed.sort_values(["probability", "image_id"]),
        "false alarms": alarms.sort_values(["probability", "image_id"], ascending=[False, True]),
    }
    return {
        f"{name}, {len(part):,} in all": [
            {str(key): value for key, value in one.items()} for one in part.head(WORST).to_dict("records")
        ]
        for name, part in parts.items()
    }
