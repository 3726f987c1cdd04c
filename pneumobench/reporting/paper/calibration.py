"""Reliability diagrams: what probabilities of each network came to, before and after temperature scaling."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import numpy as np

from pneumobench.leaderboard.board import Leaderboard, Row
from pneumobench.metrics.calibration import ECE_BINS, reliability_bins
from pneumobench.reporting.area_figure import COLOURS
from pneumobench.reporting.columns import number
from pneumobench.reporting.paper.style import (
    PALE,
    SMALL_PT,
    Drawn,
    LeftOut,
    complete_networks,
    fitting,
    panel_title,
    panels,
    shown_name,
)
from pneumobench.reporting.words import tested_words
from pneumobench.texts import counted

Drawing = tuple[str, str, dict[str, Any]]
# column of the predictions, words, and how it is drawn
BEFORE: Final[Drawing] = (
    "probability",
    "as trained",
    {"color": PALE, "marker": "s", "markerfacecolor": "white", "linestyle": ":"},
)
AFTER: Final[Drawing] = (
    "tempered",
    "after temperature scaling",
    {"color": COLOURS[0], "marker": "o", "linestyle": "-"},
)


def reliability(board: Leaderboard) -> Iterator[Drawn | LeftOut]:
    """Draw a panel for each network that completed all folds."""
    networks, left_out = fitting(complete_networks(board), "the reliability diagrams")
    yield from left_out
    figure, axes = panels(len(networks), line_in=1.75)
    for one, row in zip(axes, networks, strict=True):
        one.plot([0, 1], [0, 1], color=PALE, linewidth=0.6, zorder=0)
        for column, words, style in (BEFORE, AFTER):
            bins = reliability_bins(row.predictions[column].to_numpy(np.float64), row.predictions["label"] == 1)
            one.plot(
                bins.probability, bins.share, label=words, linewidth=0.8, markersize=2.8, markeredgewidth=0.7,
                clip_on=False, **style,
            )  # fmt: skip
        one.set_xlim(-0.02, 1.02)
        one.set_ylim(-0.02, 1.02)
        one.set_xticks([0, 0.5, 1], ["0", "0.5", "1"])
        one.set_yticks([0, 0.5, 1], ["0", "0.5", "1"])
        one.grid()
        one.text(0.98, 0.04, _errors(row), transform=one.transAxes, ha="right", va="bottom", fontsize=SMALL_PT)
        panel_title(one, shown_name(row), len(networks))
    figure.supxlabel("mean probability of a bin")
    figure.supylabel("share with pneumonia")
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside upper center", ncols=2)
    yield Drawn(name="reliability", title="Reliability before and after temperature scaling", figure=figure,
                caption=_caption(board))  # fmt: skip


def _errors(row: Row) -> str:
    assert row.out_of_fold is not None
    before, after = row.out_of_fold.value("ece"), row.out_of_fold.tempered["ece"]
    return f"ECE {number(before)}\n→ {number(after)}"


def _caption(board: Leaderboard) -> str:
    return (
        f"{counted(board.images, 'image')}. {tested_words(board)} Images of all folds together are put into {ECE_BINS} "
        "bins of equally many by their probability, those of the expected calibration error (ECE); equal "
        "probabilities share a bin. On the diagonal, probabilities are right on average. Hollow: as trained. Filled: "
        "logits divided by one temperature for each fold, fitted on its validation part. Temperature scaling changes "
        "no order, so no AUC. Bins have no intervals here; few images a bin lie off the diagonal by chance alone, and "
        "calibration holds for the share of pneumonia of this data set."
    )
