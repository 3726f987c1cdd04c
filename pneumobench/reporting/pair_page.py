"""A page that sets two rows of a leaderboard side by side: which images one of them gets right and the other wrong."""

from __future__ import annotations

import base64
import math
from typing import Final

import numpy as np

from pneumobench.leaderboard.board import Leaderboard, Row
from pneumobench.leaderboard.pairs import Difference, comparable, row_pairs
from pneumobench.records.run_folder import RunFolder
from pneumobench.reporting import words
from pneumobench.reporting.page import own_script, page_environment
from pneumobench.reporting.plots import Axes, Plot

PAIR_PAGE: Final = "side-by-side.html"
MOST_ROWS: Final = 36  # best first: all their pairs and probabilities stand in the page, which stays below 1 MB
STEPS: Final = 10_000  # that a probability is cut into, downwards, so that no decision at 0.5 moves
SIDE: Final = 420.0
SHOWN: Final = (0.001, 0.01, 0.1, 0.5, 0.9, 0.99, 0.999)
FARTHEST: Final = math.log(STEPS)  # logit at the ends of the axes


def rows_set_beside(board: Leaderboard) -> list[Row]:
    """Return the rows that scored all images, at most MOST_ROWS of them; none where there is but one."""
    rows = comparable(board.rows)[:MOST_ROWS]
    return rows if len(rows) > 1 else []


def pair_page(board: Leaderboard, folder: RunFolder) -> str | None:
    """Return the page; None where fewer than two rows scored all images.

    Args:
        board: the leaderboard.
        folder: the run, whose index is read.
    """
    rows = rows_set_beside(board)
    if not rows:
        return None
    index, _ = folder.index_and_folds()
    of_image = index.table.set_index("image_id")
    images = rows[0].predictions["image_id"]
    pairs = row_pairs(rows, of_image["group"])
    return (
        page_environment()
        .get_template("side_by_side.html.j2")
        .render(
            **own_script("side_by_side.js"),
            board=board,
            words=words,
            left_out=len(comparable(board.rows)) - len(rows),
            axes=_axes(),
            facts={
                "images": images.tolist(),
                "kinds": sorted(set(of_image["subtype"])),
                "kind": np.searchsorted(sorted(set(of_image["subtype"])), of_image.loc[images, "subtype"]).tolist(),
                "pneumonia": rows[0].predictions["label"].tolist(),
                "rows": [
                    {
                        "name": row.architecture,
                        "auc": row.out_of_fold.auc if row.out_of_fold else None,
                        "probability": _packed(row.predictions["probability"].to_numpy(np.float64)),
                    }
                    for row in rows
                ],
                "pairs": [[_numbers(pair.auc), _numbers(pair.accuracy)] for pair in pairs],
                "steps": STEPS,
                "side": SIDE,
            },
        )
    )


def _packed(probability: np.ndarray[tuple[int], np.dtype[np.float64]]) -> str:
    """Return probabilities as base64 of little-endian 16-bit numbers, from 0 to STEPS."""
    return base64.b64encode(np.floor(probability * STEPS).astype("<u2").tobytes()).decode("ascii")


def _numbers(difference: Difference) -> list[float | None]:
    found = (difference.value, difference.low, difference.high, difference.p_value)
    return [None if math.isnan(value) else float(f"{value:.6g}") for value in found]


def _axes() -> Plot:
    """Return an empty square whose axes are the logits of two probabilities."""
    axes = Axes(x=(-FARTHEST, FARTHEST), y=(-FARTHEST, FARTHEST), width=SIDE, height=SIDE)
    marks = [(math.log(value / (1 - value)), f"{value:g}") for value in SHOWN]
    ends = np.array([-FARTHEST, FARTHEST])
    return Plot(
        title="Each point is one image; both axes are the probability of pneumonia",
        x_label="",
        y_label="",
        x_ticks=tuple(axes.x_tick(*mark) for mark in marks),
        y_ticks=tuple(axes.y_tick(*mark) for mark in marks),
        lines=(),
        diagonal=axes.points(ends, ends),
        width=SIDE,
        height=SIDE,
    )
