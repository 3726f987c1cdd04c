"""Folder of a comparison -> its table, computed from the runs that it names: README.md and comparison.csv."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from rich.table import Table

from pneumobench.datasets.folds import Folds
from pneumobench.errors import RecordError
from pneumobench.files import write_text
from pneumobench.leaderboard.board import Leaderboard
from pneumobench.leaderboard.learning_curve import LearningCurve, learning_curves
from pneumobench.leaderboard.provenance import WEIGHTS_KEY
from pneumobench.leaderboard.ranking import rank
from pneumobench.leaderboard.seed_noise import seed_noise
from pneumobench.leaderboard.variant_effect import VariantEffect, variant_effects
from pneumobench.lungs.tiers import mask_tier
from pneumobench.records.checksums import renew_checksums
from pneumobench.records.comparison import ComparisonRecord, read_comparison
from pneumobench.records.loaded_run import GatheredRun, gather
from pneumobench.reporting.comparison_figure import comparison_figure
from pneumobench.reporting.settings_difference import difference_lines, settings_difference
from pneumobench.reporting.variant_table import (
    curve_lines,
    seed_lines,
    variant_csv,
    variant_lines,
    variant_table,
    words_of,
)
from pneumobench.reporting.variant_words import INTERVAL_WORDS, TOO_FEW_SIZES_WORDS
from pneumobench.reporting.words import (
    data_words,
    mask_words,
    ranked_folds_words,
    shared_patients_words,
    weights_notice,
)
from pneumobench.texts import markdown_text

PAGE: Final = "README.md"
TABLE: Final = "comparison.csv"
FIGURE: Final = "comparison.svg"


@dataclass(frozen=True, kw_only=True)
class ComparisonTexts:
    """What a comparison shows, and the text of each of its files by name: README.md, comparison.csv, comparison.svg."""

    effects: tuple[VariantEffect, ...]
    shown: Table
    files: dict[str, str]


@dataclass(frozen=True, kw_only=True)
class ComparisonPaths:
    """What was written, and what it shows.

    Args:
        page: the table with its meaning.
        csv: the numbers.
        effects: a row for each architecture and value.
        shown: the table as a terminal prints it.
    """

    page: Path
    csv: Path
    effects: tuple[VariantEffect, ...]
    shown: Table


def write_comparison(folder: Path, *, check_weights: bool = False) -> ComparisonPaths:
    """Compute a comparison from its runs, and write README.md, its table and its figure beside comparison.json.

    The same runs give the same bytes.

    Args:
        folder: of the comparison, with comparison.json.
        check_weights: compare the SHA-256 of weights too.

    Raises:
        RecordError: comparison.json or a run is missing or damaged, or the runs are of different images.
        LeakError: a patient is on two sides of a fold of a run.
        SettingsError: the folder cannot be written.
    """
    record = read_comparison(folder)
    runs = {value: gather(folder / name, check_weights=check_weights) for value, name in record.runs.items()}
    made = comparison_texts(record, runs)
    for name, text in made.files.items():
        write_text(folder / name, text)
    renew_checksums(folder, [folder / name for name in made.files])
    return ComparisonPaths(page=folder / PAGE, csv=folder / TABLE, effects=made.effects, shown=made.shown)


def comparison_texts(record: ComparisonRecord, runs: Mapping[str, GatheredRun]) -> ComparisonTexts:
    """Compute a comparison from its runs, which were read and checked, by value.

    Raises:
        RecordError: the runs are of different images.
    """
    reference = runs[record.reference]
    for run in runs.values():
        if run.records[0].hashes["index"] != reference.records[0].hashes["index"]:
            raise RecordError(
                f"{run.folder.path}: found other images than those of {reference.folder.path} (index.csv), expected "
                "the same for all values that are compared: run the comparison again."
            )
    boards = {value: rank(run) for value, run in runs.items()}
    expected = ranked_folds_words(boards[record.reference]) or "all folds"
    for value, board in boards.items():
        if (found := ranked_folds_words(board) or "all folds") != expected:
            raise RecordError(
                f"{runs[value].folder.path.resolve()}: found {found}, expected {expected} as in "
                f"{reference.folder.path.resolve()}: run the missing folds first."
            )
    effects = variant_effects(boards, record.reference, reference.index["group"])
    words = words_of(record.axis, record.setting)
    meant = [f"- `{value}`: {words.values[value]}" for value in record.runs if value in words.values]
    lines = [f"# {words.title}", "", *_notices(boards), "", words.meaning, ""]
    lines += [*meant, "", INTERVAL_WORDS, ""] if meant else [INTERVAL_WORDS, ""]
    if record.axis == "regions":
        tier = mask_words(_mask_tier(reference), boards[record.reference].source)
        lines += [f"Lung masks: {tier}. Images without one are left out.", ""]
    shown = markdown_text(data_words(boards[record.reference]))
    shared = shared_patients_words(boards[record.reference])
    lines += [f"With {words.heading} `{record.reference}`: {shown}{shared}", ""]
    lines += _weights_lines(boards)
    lines += [f"`{record.command}`", ""] if record.command else []
    lines += [f"![{words.title}]({FIGURE})", "", *variant_lines(effects, words, record.reference)]
    images = {value: _training_images(run.folds) for value, run in runs.items()}
    curves = learning_curves(effects, images) if record.axis == "subsets" else ()
    lines += _further(record, effects, curves)
    if record.axis == "runs":
        lines += [*_left_out(boards, effects), *difference_lines(settings_difference(runs, boards))]
    drawn = comparison_figure(
        effects, words.heading, images=images if record.axis == "subsets" else None, curves=curves
    )  # fmt: skip
    files = {FIGURE: drawn, TABLE: variant_csv(effects, words.heading), PAGE: "\n".join(lines) + "\n"}
    return ComparisonTexts(effects=effects, shown=variant_table(effects, words, record.reference), files=files)


def _notices(boards: Mapping[str, Leaderboard]) -> list[str]:
    """Say which weights the networks began with, of each value where that differs."""
    notices = {value: weights_notice(board) for value, board in boards.items()}
    if len(set(notices.values())) == 1:
        return [f"> **{next(iter(notices.values()))}**"]
    lines = [f"> {markdown_text(value)}: **{notice}**" for value, notice in notices.items()]
    return [line for pair in zip(lines, [">"] * len(lines), strict=True) for line in pair][:-1]


def _left_out(boards: Mapping[str, Leaderboard], effects: Sequence[VariantEffect]) -> list[str]:
    """Return the networks of each run that stand in no row: incomplete, or not in the run that is compared with."""
    compared = {(effect.value, effect.architecture) for effect in effects}
    missing = [
        f"- {markdown_text(value)}: {markdown_text(row.architecture)} ({row.status})"
        for value, board in boards.items()
        for row in board.networks
        if (value, row.architecture) not in compared
    ]
    if not missing:
        return []
    return ["", "Left out, since not complete in the first run and in another:", "", *missing]


def _weights_lines(boards: Mapping[str, Leaderboard]) -> list[str]:
    """Return where pretrained weights come from, once for each architecture."""
    seen = dict.fromkeys(
        f"- {markdown_text(key)}: {markdown_text(value)}"
        for board in boards.values()
        for key, values in board.provenance.software.items()
        if key.startswith(WEIGHTS_KEY)
        for value in values
    )
    return [*seen, ""] if seen else []


def _mask_tier(run: GatheredRun) -> str:
    """Return where the masks of all regions come from."""
    masked = dataclasses.replace(run.suite.data, require_lung_mask=True)
    return mask_tier(masked, drawn_masks=bool((run.index["lung_mask"] != "").any()))


def _further(
    record: ComparisonRecord, effects: tuple[VariantEffect, ...], curves: tuple[LearningCurve, ...]
) -> list[str]:
    """Return what seeds and numbers of training images add to the table."""
    if record.axis == "seeds":
        return ["", *seed_lines(*seed_noise(effects))]
    if record.axis == "subsets":
        return ["", *(curve_lines(curves) if curves else [TOO_FEW_SIZES_WORDS])]
    return []


def _training_images(folds: Folds) -> float:
    """Return the images of training and validation part, mean over folds."""
    left_out = folds.left_out or ((),) * folds.count
    inside = len(folds.test_fold)
    tested = [sum(fold == number for fold in folds.test_fold.values()) for number in range(folds.count)]
    return float(np.mean([inside - tested[fold] - len(left_out[fold]) for fold in range(folds.count)]))
