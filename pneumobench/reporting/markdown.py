"""The leaderboard as a README.md that can be read where it is stored."""

from __future__ import annotations

from collections.abc import Sequence

from pneumobench.leaderboard.board import Leaderboard, Row
from pneumobench.leaderboard.lung_attention import OUTCOMES
from pneumobench.reporting.class_columns import OFFICIAL_THREE_CLASSES, THREE_CLASS_WORDS, THREE_CLASSES
from pneumobench.reporting.columns import (
    COST,
    LUNG_ATTENTION,
    NOTHING,
    OUT_OF_FOLD_FULL,
    OUT_OF_FOLD_TUNED,
    Column,
    interval_text,
    main_attention,
    number,
    p_value_text,
)
from pneumobench.reporting.compared import (
    AGAINST_CONTROL_WORDS,
    TOP_GROUP_WORDS,
    control_differences,
    control_name,
    controls_words,
    ensemble_gain,
    ensemble_weights,
    ensemble_words,
    folds_words,
)
from pneumobench.reporting.cost_table import cost_facts, cost_markdown, cost_meaning, quiet_words
from pneumobench.reporting.finding import finding, finding_details
from pneumobench.reporting.main_tables import cells, official_cells, ranking_cells, with_interval
from pneumobench.reporting.map_words import (
    LUNG_ATTENTION_WORDS,
    METHOD_COLUMNS,
    METHODS_WORDS,
    attention_words,
    verdict_words,
)
from pneumobench.reporting.masked_regions import HEADINGS, masking_lines
from pneumobench.reporting.uncertainty_columns import OFFICIAL_UNCERTAINTY, UNCERTAINTY, UNCERTAINTY_WORDS
from pneumobench.reporting.words import (
    ABLATION_WORDS,
    data_words,
    leak_notice,
    mask_words,
    separate_test,
    shared_patients_words,
    tested_words,
    weights_notice,
)
from pneumobench.suite.spec import CLASSES
from pneumobench.texts import markdown_text


def leaderboard_markdown(board: Leaderboard, *, command: str) -> str:
    """Return the essential tables, what their columns mean, and how to make them again.

    Args:
        board: the leaderboard.
        command: the literal command that made the run.
    """
    parts = [
        f"# Leaderboard: {markdown_text(board.suite)}",
        f"**{markdown_text(finding(board))}.**",
        *(["\n".join(f"- {markdown_text(one)}" for one in details)] if (details := finding_details(board)) else []),
        f"> **{markdown_text(weights_notice(board))}**",
        *([f"> **{markdown_text(leak_notice(board))}**"] if leak_notice(board) else []),
        markdown_text(data_words(board)),
        "Every number is recomputed from `predictions.csv` and `record.json` of each job.",
        "## Out of fold",
        " ".join(filter(None, (tested_words(board), folds_words(board), "Threshold 0.5."))),
        ranking_cells(board).markdown(),
        f"`*` = top group: {TOP_GROUP_WORDS} {controls_words(board)} {attention_words(board)}".strip(),
    ]
    if board.missing:
        parts += ["Missing in this run:", "\n".join(f"- {markdown_text(part)}" for part in board.missing)]
    if any(row.out_of_fold for row in board.rows):
        parts += [
            "## Every metric, out of fold",
            "At threshold 0.5:",
            _metrics(board, OUT_OF_FOLD_FULL),
            "At the threshold chosen on each fold's validation part; calibration before and after temperature scaling:",
            _metrics(board, OUT_OF_FOLD_TUNED),
        ]
    if any(row.official for row in board.rows):
        parts += [
            f"## {separate_test(board)}",
            f"Mean probability of the {board.models} folds' models; none of them saw this folder. Threshold "
            "0.5. The last column is the mean AUC of the single models, ± standard deviation."
            + (f" {markdown_text(shared)}" if (shared := shared_patients_words(board)) else ""),
            official_cells(board).markdown(),
        ]
    if board.against_control:
        parts += ["## Against the best shortcut baseline", AGAINST_CONTROL_WORDS, _against_control(board)]
    if board.ensembles:
        parts += ["## Ensembles", ensemble_words(board), _ensembles(board)]
    if any(row.three_classes for row in board.rows):
        parts += ["## Normal, bacterial, viral", THREE_CLASS_WORDS, _columns(board.rows, THREE_CLASSES)]
        if any(row.official_three_classes for row in board.rows):
            parts += [f"{separate_test(board)}:", _columns(board.rows, OFFICIAL_THREE_CLASSES)]
        parts += ["Images by class and by what they were called, out of fold:", _confusions(board)]
    if any(row.uncertainty for row in board.rows):
        parts += ["## What is left to a reader", UNCERTAINTY_WORDS, _columns(board.rows, UNCERTAINTY)]
        if any(row.official_uncertainty for row in board.rows):
            parts += [f"{separate_test(board)}:", _columns(board.rows, OFFICIAL_UNCERTAINTY)]
    if any(row.attention for row in board.rows):
        parts += ["## Lung attention", LUNG_ATTENTION_WORDS, _attention(board)]
    if any(row.ablation for row in board.rows):
        parts += [
            "## Masked regions, at test time",
            ABLATION_WORDS,
            _table(HEADINGS, masking_lines(board.rows, board.source)),
        ]
    if any(row.methods for row in board.rows):
        parts += ["## Checks of the heat maps", METHODS_WORDS, _methods(board)]
    parts += ["## Cost", f"From the records of the jobs. {_hardware_words(board)}", _cost(board)]
    if board.cost is not None:
        parts += [
            "Measured in a pass of its own over all architectures:",
            *(markdown_text(line) for line in (quiet_words(board.cost), cost_meaning(board.cost))),
            f"{markdown_text(cost_facts(board.cost))} `{board.cost.command}`",
            "\n".join(cost_markdown(board.cost)),
        ]
    if board.failures:
        failed = [[job.architecture, str(job.fold), job.status, job.reason] for job in board.failures]
        parts += [
            "## Jobs that did not complete",
            _table(["architecture", "fold", "status", "reason"], failed),
        ]
    three = THREE_CLASSES if any(row.three_classes for row in board.rows) else ()
    legend = [*OUT_OF_FOLD_FULL, *LUNG_ATTENTION, *three, *UNCERTAINTY, *COST]
    parts += [
        "## Columns",
        "\n".join(f"- **{column.heading}**: {column.meaning}." for column in legend),
        "## Make it again",
        f"```bash\n{command}\n```",
        "The tables alone, from the records and predictions of a run folder:",
        "```bash\npneumobench leaderboard RUN_FOLDER\n```",
        "## Provenance",
        "\n".join(f"- {line}" for line in provenance_lines(board)),
    ]
    return "\n\n".join(parts) + "\n"


def provenance_lines(board: Leaderboard) -> list[str]:
    """Return one line for each hash, version and fact of the machine."""
    found = board.provenance
    lines = [f"SHA-256 of {key}: `{value}`" for key, value in found.hashes.items()]
    for table in (found.software, found.hardware):
        lines += [f"{markdown_text(key)}: {markdown_text(', '.join(values))}" for key, values in table.items()]
    first, last = (markdown_text(one) for one in (found.first_record, found.last_record))
    return [*lines, f"records written between {first} and {last}"]


def _hardware_words(board: Leaderboard) -> str:
    hardware = board.provenance.hardware
    shown = [f"{key} {' / '.join(hardware[key])}" for key in ("device", "accelerator", "precision") if key in hardware]
    return markdown_text("Measured on " + ", ".join(shown) + ".") if shown else "Hardware not recorded."


def _metrics(board: Leaderboard, columns: Sequence[Column]) -> str:
    rows = [
        [row.architecture, *[with_interval(column, row) for column in columns]]
        for row in board.rows
        if row.out_of_fold is not None
    ]
    return _table(["architecture", *[column.heading for column in columns]], rows)


def _ensembles(board: Leaderboard) -> str:
    rows = []
    for ensemble in board.ensembles:
        gain, low, high = ensemble_gain(ensemble)
        shown = f"{number(gain, 4)} [{number(low, 4)}, {number(high, 4)}]"
        rows.append([ensemble.name, ensemble_weights(ensemble), shown, p_value_text(ensemble.against_best.p_value)])
    return _table(["ensemble", "weights (mean over folds)", "gain in AUC", "p"], rows)


def _against_control(board: Leaderboard) -> str:
    rows = [
        [name, f"{number(gain, 4)} [{number(low, 4)}, {number(high, 4)}]", p_value_text(pair.p_holm)]
        for name, pair, gain, low, high in control_differences(board)
    ]
    return _table(["architecture", f"AUC minus that of {control_name(board)}", "p, Holm"], rows)


def _columns(rows: Sequence[Row], columns: Sequence[Column]) -> str:
    """Return a table of the rows that have the first of these columns."""
    shown = [row for row in rows if columns[0].value(row) is not None]
    cells = [[row.architecture, *[with_interval(column, row) for column in columns]] for row in shown]
    return _table(["architecture", *[column.heading for column in columns]], cells)


def _confusions(board: Leaderboard) -> str:
    rows = []
    for row in board.rows:
        if row.three_classes is not None:
            for name, counts in zip(CLASSES, row.three_classes.confusion, strict=True):
                rows.append([row.architecture, name, *map(str, counts)])
    return _table(["architecture", "class", *[f"called {name}" for name in CLASSES]], rows)


def _attention(board: Leaderboard) -> str:
    rows = []
    for row in board.rows:
        found = main_attention(row)
        if found is None:
            continue
        rows.append(
            [
                row.architecture,
                mask_words(found.mask_tier, board.source),
                f"{row.grid[0]} × {row.grid[1]}" if row.grid else NOTHING,
                str(found.pneumonia.images),
                number(found.pneumonia.lar),
                number(found.pneumonia.chance),
                " ".join([number(found.pneumonia.lar_adjusted), interval_text(found.lar_adjusted_interval)]).strip(),
                *[number(found.by_outcome[outcome].lar_adjusted) for outcome in OUTCOMES],
                f"{found.pneumonia.degenerate}",
            ]
        )
    outcomes = [f"adj. {outcome.upper()}" for outcome in OUTCOMES]
    head = ["architecture", "masks", "grid", "images", "LAR", "chance", "LAR adj.", *outcomes, "degenerate"]
    return _table(head, rows)


def _methods(board: Leaderboard) -> str:
    rows = [
        [row.architecture, found.method, *[column.text(found) for column in METHOD_COLUMNS], verdict_words(found)]
        for row in board.rows
        for found in row.methods
    ]
    headings = [column.heading for column in METHOD_COLUMNS]
    return _table(["architecture", "method", *headings, "verdict"], rows)


def _cost(board: Leaderboard) -> str:
    rows = [[row.architecture, *[with_interval(column, row) for column in COST]] for row in board.rows if row.cost]
    return _table(["architecture", *[column.heading for column in COST]], rows)


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    return cells(head, rows).markdown()
