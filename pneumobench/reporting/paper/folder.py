"""Run folder -> figures and tables for papers, each file written whole; the same run gives the same bytes."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pandas as pd

from pneumobench.errors import SettingsError
from pneumobench.files import cannot_write, write_text, written_whole
from pneumobench.leaderboard.board import Leaderboard
from pneumobench.leaderboard.ranking import rank_run
from pneumobench.metrics.thresholds import MAIN_RULE, THRESHOLD_RULES
from pneumobench.records.comparison import is_comparison
from pneumobench.records.loaded_run import open_suite
from pneumobench.records.run_folder import RunFolder
from pneumobench.reporting.compared import TOP_GROUP_WORDS, controls_words, folds_words
from pneumobench.reporting.main_tables import Cells, cells, official_cells, pair_cells, ranking_cells
from pneumobench.reporting.map_words import attention_words
from pneumobench.reporting.paper.calibration import reliability
from pneumobench.reporting.paper.confusions import confusions
from pneumobench.reporting.paper.curves import curves
from pneumobench.reporting.paper.decision_table import decision_cells
from pneumobench.reporting.paper.forest import forest
from pneumobench.reporting.paper.latex import latex_table
from pneumobench.reporting.paper.origin import Origin, origin_of
from pneumobench.reporting.paper.style import FORMATS, Drawn, LeftOut, complete_networks, figure_bytes, paper_style
from pneumobench.reporting.paper.training_curves import training_curves
from pneumobench.reporting.words import data_words, leak_notice, separate_test_words, tested_words, weights_notice
from pneumobench.texts import counted, markdown_text

CAPTIONS: Final = "captions.md"


@dataclass(frozen=True, kw_only=True)
class PaperFiles:
    """What was written for a paper.

    Args:
        folder: where.
        captions: the page of all captions.
        files: every file, sorted.
        left_out: what the run has no data for.
        board: the leaderboard whose numbers they are.
    """

    folder: Path
    captions: Path
    files: tuple[Path, ...]
    left_out: tuple[LeftOut, ...]
    board: Leaderboard


@dataclass(frozen=True, kw_only=True)
class _Table:
    name: str
    title: str
    caption: str
    cells: Cells


def write_paper_files(run_folder: Path, to: Path | None = None) -> PaperFiles:
    """Draw the figures of a finished run, published or not, and write them with its tables.

    Figures are PDF, SVG and PNG, tables LaTeX and Markdown; captions stand in one page. All is computed before the
    first file is written.

    Args:
        run_folder: the run.
        to: folder of the files; None = `figures/` in the run.

    Raises:
        SettingsError: the folder is no run, jobs of the run have not been run, no network completed all folds, or the
            files cannot be written.
        RecordError: a file of the run was changed, or jobs do not belong together.
        LeakError: a patient is on two sides of a fold.
    """
    if is_comparison(run_folder):
        raise SettingsError(
            f"{run_folder}: found a comparison, which has its figure (comparison.svg). Name the folder of one of its "
            "runs."
        )
    folder, _ = open_suite(run_folder)
    target = folder.figures if to is None else to
    _require_writable(target)
    board = rank_run(run_folder)
    _require_finished(run_folder, board)
    index, _ = folder.index_and_folds()
    origin = origin_of(board, folder)
    group = index.table.assign(image_id=index.table["image_id"].astype(str)).set_index("image_id")["group"]
    files: dict[str, bytes | str] = {}
    drawn: list[Drawn] = []
    left_out: list[LeftOut] = []
    with paper_style():
        for one in _figures(board, folder, group):
            if isinstance(one, LeftOut):
                left_out.append(one)
                continue
            drawn.append(one)
            for kind in FORMATS:
                metadata = origin.metadata(kind, f"{one.title}, {board.suite}")
                files[f"{one.name}.{kind}"] = figure_bytes(one.figure, kind, metadata)
    tables, missing = _tables(board, group)
    left_out += missing
    for table in tables:
        comments = [f"{table.title}, {board.suite}", table.caption, *origin.lines()]
        files[f"{table.name}.tex"] = latex_table(table.cells, comments)
        said = "\n".join(f"<!-- {line.replace('--', '- -')} -->" for line in comments)
        files[f"{table.name}.md"] = f"{said}\n\n{table.cells.markdown()}\n"
    files[CAPTIONS] = _captions(board, origin, drawn, tables, left_out)
    for name, content in files.items():
        if isinstance(content, str):
            write_text(target / name, content)
        else:
            with written_whole(target / name) as temporary:
                temporary.write_bytes(content)
    return PaperFiles(
        folder=target,
        captions=target / CAPTIONS,
        files=tuple(target / name for name in sorted(files)),
        left_out=tuple(left_out),
        board=board,
    )


def _require_writable(target: Path) -> None:
    """Refuse a folder that cannot be written before minutes are spent on drawing."""
    try:
        target.mkdir(parents=True, exist_ok=True)
        if not os.access(target, os.W_OK | os.X_OK):
            raise PermissionError(13, "Permission denied")
    except OSError as error:
        words = str(cannot_write(target, error)).replace("--output", "--to")
        raise SettingsError(words) from error


def _require_finished(path: Path, board: Leaderboard) -> None:
    """Refuse a run in which jobs are to come; those that failed are a result."""
    if board.ranked_folds or not complete_networks(board):
        raise SettingsError(
            f"{path}: found no network that completed all {board.folds} folds, whose predictions are needed. "
            "Finish the run, and run what failed again: `pneumobench run SUITE --retry-failed`."
        )
    failed = {(job.architecture, job.fold) for job in board.failures}
    to_come = [
        f"{row.architecture} ({row.status})"
        for row in board.rows
        if len(row.folds) + sum(row.architecture == name for name, _ in failed) < board.folds
    ]
    if to_come:
        raise SettingsError(
            f"{path}: found {counted(len(to_come), 'architecture')} whose jobs have not all been run: "
            f"{', '.join(to_come)}. Figures for a paper are of finished runs: finish it first, `pneumobench run SUITE`."
        )


def _figures(board: Leaderboard, folder: RunFolder, group: pd.Series[int]) -> Iterator[Drawn | LeftOut]:
    yield from forest(board)
    yield from curves(board, group)
    yield from reliability(board)
    yield from confusions(board)
    yield from training_curves(board, folder)


def _tables(board: Leaderboard, group: pd.Series[int]) -> tuple[list[_Table], list[LeftOut]]:
    tested = " ".join(filter(None, (tested_words(board), folds_words(board))))
    marks = f"*: top group, {TOP_GROUP_WORDS} {controls_words(board)} {attention_words(board)}"
    intervals = "In brackets: 95 % intervals over patients."
    rule = THRESHOLD_RULES[MAIN_RULE].words
    found = [
        _Table(
            name="ranking",
            title="Ranking",
            caption=f"{tested} Threshold 0.5. {intervals} {weights_notice(board)} {marks}",
            cells=_short(board, ranking_cells(board)),
        ),
        _Table(
            name="decisions",
            title="Decisions at probability 0.5",
            caption=f"{tested_words(board)} {intervals}",
            cells=decision_cells(board, group, "half"),
        ),
        _Table(
            name="decisions-tuned",
            title="Decisions at the threshold from the validation part",
            caption=f"{tested_words(board)} Each fold has its own threshold ({rule}). {intervals}",
            cells=decision_cells(board, group, "tuned"),
        ),
    ]
    left_out = []
    if board.differences:
        caption = (
            "Differences in AUC of all pairs of complete networks, within folds, on the same patients, with 95 % "
            "intervals that are not corrected for many pairs; p of a two-sided paired test by patient, and corrected "
            "(Holm) for all pairs."
        )
        found.append(_Table(name="pairs", title="Pairs of networks", caption=caption, cells=pair_cells(board)))
    else:
        left_out.append(LeftOut(what="the table of pairs", why="one network alone has none"))
    if any(row.official for row in board.rows):
        caption = (
            f"{separate_test_words(board)} Threshold 0.5. The last column is the mean AUC of the single models, ± "
            "standard deviation."
        )
        found.append(_Table(name="official", title="Official test", caption=caption, cells=official_cells(board)))
    else:
        left_out.append(LeftOut(what="the table of the official test", why="the run has no official test folder"))
    return found, left_out


def _short(board: Leaderboard, table: Cells) -> Cells:
    """Leave out of the ranking what is the same in all of its rows, and stands in its caption."""
    same = set()
    if all(row.state == "complete" for row in board.rows):
        same.add("status")
    if len({row.weights_origin for row in board.networks}) == 1:
        same.add("weights")
    kept = [place for place, heading in enumerate(table.head) if heading not in same]
    return cells([table.head[place] for place in kept], [[row[place] for place in kept] for row in table.rows])


def _captions(
    board: Leaderboard, origin: Origin, drawn: Sequence[Drawn], tables: Sequence[_Table], left_out: Sequence[LeftOut]
) -> str:
    notices = [notice for notice in (weights_notice(board), leak_notice(board)) if notice]
    parts = [
        f"# Figures and tables: {markdown_text(board.suite)}",
        *(f"> **{markdown_text(notice)}**" for notice in notices),
        markdown_text(data_words(board)),
        "Captions to start from. Widths are final: place files without scaling them.",
    ]
    for figure in drawn:
        width, height = figure.figure.get_size_inches()
        files = ", ".join(f"[{kind}]({figure.name}.{kind})" for kind in FORMATS)
        parts += [
            f"## {figure.name}",
            f"**{markdown_text(figure.title)}.** {markdown_text(figure.caption)}",
            f"{width:.1f} × {height:.1f} in: {files}",
        ]
    for table in tables:
        parts += [
            f"## {table.name}",
            f"**{markdown_text(table.title)}.** {markdown_text(table.caption)}",
            f"{counted(len(table.cells.rows), 'row')}: [tex]({table.name}.tex), [md]({table.name}.md)",
        ]
    if left_out:
        parts += ["## Left out", "\n".join(f"- {markdown_text(f'{one.what}: {one.why}')}" for one in left_out)]
    parts += ["## Origin", "\n".join(f"- {markdown_text(line)}" for line in origin.lines())]
    return "\n\n".join(parts) + "\n"
