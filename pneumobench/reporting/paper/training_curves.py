"""Training curves of every fold: losses, and the AUC of the validation part."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pandas as pd

from pneumobench.leaderboard.board import Leaderboard, Row
from pneumobench.records.run_folder import RunFolder
from pneumobench.reporting.area_figure import COLOURS, area_axis, least_loss, losses_of
from pneumobench.reporting.paper.style import (
    SMALL_PT,
    Drawn,
    LeftOut,
    complete_networks,
    fitting,
    panel_title,
    panels,
    shown_name,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# column of history.csv, words, colour, dashes
TRAINING: Final = ("train_loss", "training loss", COLOURS[1], (0, (4, 1.5)))
VALIDATION: Final = ("tune_loss", "validation loss", COLOURS[0], "-")
AREA: Final = ("tune_auc", "validation AUC", COLOURS[0], "-")
# of each power of ten, ever finer until there are enough
LOSS_STEPS: Final = (
    (1.0,),
    (1.0, 3.0),
    (1.0, 2.0, 5.0),
    (1.0, 1.5, 2.0, 3.0, 4.0, 5.0, 6.0, 8.0),
    tuple(np.arange(1, 10, 0.2).round(1).tolist()),
)
TICKS_WANTED: Final = 3
OF_AUGMENTED: Final = (
    "The training loss is that of augmented images while weights changed, so it need not lie below the other. "
)
Line = tuple[str, str, str, Any]


@dataclass(frozen=True, kw_only=True, eq=False)
class _History:
    """One fold: a row for each epoch, and the epoch whose weights were kept, from 0."""

    table: pd.DataFrame
    kept: int | None


def training_curves(board: Leaderboard, folder: RunFolder) -> Iterator[Drawn | LeftOut]:
    """Draw losses and validation AUC of each network that completed all folds."""
    kept = {(r.architecture, r.fold): r.training.get("best_epoch") for r in folder.records()}
    found: dict[str, list[_History]] = {}
    rows: list[Row] = []
    for row in complete_networks(board):
        histories = []
        for fold in sorted(row.folds):
            path, best = folder.history_path(row.architecture, fold), kept.get((row.architecture, fold))
            if path.is_file():
                histories.append(_History(table=pd.read_csv(path), kept=best if isinstance(best, int) else None))
        if max((len(one.table) for one in histories), default=0) == 1:
            yield LeftOut(what=f"training curves of {shown_name(row)}", why="one epoch is no curve")
        elif histories:
            rows.append(row)
            found[row.architecture] = histories
        else:
            why = "it was frozen, not trained" if board.epochs == 0 else "the run has no history.csv of it"
            yield LeftOut(what=f"training curves of {shown_name(row)}", why=why)
    if not rows:
        return
    shown, left_out = fitting(tuple(rows), "the training curves")
    yield from left_out
    yield _losses(board, shown, found)
    yield _areas(board, shown, found)


def _losses(board: Leaderboard, rows: Sequence[Row], found: dict[str, list[_History]]) -> Drawn:
    figure, axes = panels(len(rows), line_in=1.5)
    for one, row in zip(axes, rows, strict=True):
        for line in (TRAINING, VALIDATION):
            _folds(one, found[row.architecture], line, marked=line is VALIDATION)
        panel_title(one, shown_name(row), len(rows))
    axes[0].set_yscale("log")
    low, high = axes[0].get_ylim()
    ticks = _loss_ticks(low, high)
    for one in axes:
        one.yaxis.set_ticks(ticks, [f"{tick:g}" for tick in ticks])
        one.yaxis.set_ticks([], minor=True)
        one.grid(axis="y")
    _finish(figure, axes, found, "loss (logarithmic)")
    return Drawn(name="training-loss", title="Losses over epochs", figure=figure, caption=_caption(board, OF_AUGMENTED))


def _loss_ticks(low: float, high: float) -> list[float]:
    """Return the coarsest ticks of which enough lie on an axis."""
    ticks: list[float] = []
    for steps in LOSS_STEPS:
        ticks = [step * 10.0**power for power in range(-6, 4) for step in steps if low <= step * 10.0**power <= high]
        if len(ticks) >= TICKS_WANTED:
            break
    return ticks


def _areas(board: Leaderboard, rows: Sequence[Row], found: dict[str, list[_History]]) -> Drawn:
    figure, axes = panels(len(rows), line_in=1.5)
    areas = np.concatenate(
        [one.table["tune_auc"].to_numpy(np.float64) for row in rows for one in found[row.architecture]]
    )
    areas = areas[~np.isnan(areas)]
    least = least_loss(areas)
    losses = losses_of(areas, least=least) if areas.size else np.array([0.5, 0.1])
    for one, row in zip(axes, rows, strict=True):
        _folds(one, found[row.architecture], AREA, marked=True, least=least)
        panel_title(one, shown_name(row), len(rows))
    perfect = least if bool((areas >= 1).any()) else None
    for one in axes:
        area_axis(one.yaxis, one, losses, "", least=perfect, gap=0.12)
        one.grid(axis="y")
    _finish(figure, axes, found, "validation AUC")
    caption = _caption(board, "The axis is logarithmic towards 1. ")
    return Drawn(name="training-auc", title="Validation AUC over epochs", figure=figure, caption=caption)


def _folds(axes: Axes, histories: Sequence[_History], line: Line, *, marked: bool, least: float | None = None) -> None:
    column, words, colour, dashes = line
    columns = []
    for one in histories:
        y = one.table[column].to_numpy(np.float64)
        y = y if least is None else losses_of(y, least=least)
        axes.plot(_epochs(y), y, color=colour, linestyle=dashes, linewidth=0.5, alpha=0.45)
        if marked and one.kept is not None:
            axes.plot(
                [one.kept + 1], [y[one.kept]], marker="o", markersize=2.6, color=colour, markerfacecolor="white",
                markeredgewidth=0.7, zorder=3,
            )  # fmt: skip
        columns.append(one.table[column].to_numpy(np.float64))
    reached = min(map(len, columns))
    mean = np.mean([values[:reached] for values in columns], axis=0)
    mean = mean if least is None else losses_of(mean, least=least)
    axes.plot(_epochs(mean), mean, color=colour, linestyle=dashes, linewidth=1.4, label=f"{words}, mean")


def _epochs(values: np.ndarray[tuple[int, ...], np.dtype[np.float64]]) -> range:
    return range(1, len(values) + 1)


def _finish(figure: Figure, axes: Sequence[Axes], found: dict[str, list[_History]], label: str) -> None:
    from matplotlib.lines import Line2D
    from matplotlib.ticker import MaxNLocator

    longest = max(len(one.table) for histories in found.values() for one in histories)
    axes[0].set_xlim(1 - 0.04 * longest, longest + 0.04 * longest)
    for one in axes:
        one.xaxis.set_major_locator(MaxNLocator(5, integer=True))
        one.tick_params(labelsize=SMALL_PT)
    figure.supxlabel("epoch")
    figure.supylabel(label)
    handles, _ = axes[0].get_legend_handles_labels()
    fold = Line2D([], [], color=COLOURS[0], linewidth=0.5, alpha=0.6, label="one fold")
    kept = Line2D([], [], color=COLOURS[0], marker="o", markersize=2.6, markerfacecolor="white", linestyle="none",
                  label="epoch kept")  # fmt: skip
    figure.legend(
        handles=[*handles, fold, kept], loc="outside upper center", ncols=4 if figure.get_figwidth() > 5 else 2
    )


def _caption(board: Leaderboard, what: str) -> str:
    return (
        f"One thin line for each of {board.folds} folds and their mean, as long as all folds ran. Circles: the epoch "
        f"whose weights were kept, chosen on the validation part. {what}All panels have the same axes. "
        "The validation part chooses epochs, thresholds and temperatures: its AUC is no result, and tends to be too "
        "high."
    )
