"""What was tried on the official test folder of Kermany et al.: one row for each published run, whatever it scored.

python -m benchmark.evidence.official_test --write

Reads the runs in leaderboard/official-test/, which were made as the commands in the page say, and computes their scores
from their predictions. Thresholds are those of the validation part, which is taken from the train folder.
"""

from __future__ import annotations

import argparse
import json
import shlex
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

from benchmark.performance.measuring import markdown_table
from pneumobench.files import write_text
from pneumobench.leaderboard.board import Leaderboard, Row
from pneumobench.leaderboard.ranking import rank_run
from pneumobench.records.run_folder import RunFolder
from pneumobench.reporting.columns import interval_text, number

HOME: Final = Path(__file__).resolve().parent
RUNS: Final = HOME.parents[1] / "leaderboard" / "official-test"
PREAMBLE: Final = (
    "Trained on the official train folder, tested on the official test folder ({images} images of {patients} "
    "patients). Every run that was tried is here, best AUC first. Accuracy, recall and specificity: at the threshold "
    "that Youden's index chooses on the validation part, a tenth of the train folder by patient. The rows were looked "
    "at on the same test images while settings were being chosen, so the best of them is better than it would be on "
    "new images. The intervals are over patients and say nothing of that choice."
)


def tries(boards: Sequence[tuple[Leaderboard, str]]) -> Iterator[dict[str, Any]]:
    """Give a row for each network of each run: what it is and what it scores on the official test folder."""
    for board, command in boards:
        for row in board.rows:
            if row.kind == "network" and row.out_of_fold is not None:
                yield _row(board, row, command)


def _row(board: Leaderboard, row: Row, command: str) -> dict[str, Any]:
    scores = row.out_of_fold if board.protocol == "official" else row.official
    assert scores is not None, f"{board.suite}: no official test folder"
    return {
        "auc": scores.of_probability["auc"],
        "run": board.suite,
        "network": row.architecture,
        "weights": row.weights_origin,
        "px": board.image_side_px,
        "epochs": board.epochs,
        "AUC [95 %]": f"{number(scores.of_probability['auc'])} {interval_text(scores.auc_interval)}".strip(),
        "accuracy": number(scores.at_tuned.value("accuracy")),
        "recall": number(scores.at_tuned.value("recall")),
        "specificity": number(scores.at_tuned.value("specificity")),
        "accuracy at 0.5": number(scores.at_half.value("accuracy")),
        "command": command,
    }


def report(boards: Sequence[tuple[Leaderboard, str]]) -> str:
    """Return the page."""
    rows = sorted(tries(boards), key=lambda row: -row["auc"])
    shown = [{key: value for key, value in row.items() if key not in ("auc", "command")} for row in rows]
    first = boards[0][0]
    said = PREAMBLE.format(images=first.images, patients=first.patients)
    commands = [f"- `{row['run']}`: `{row['command']}`" for row in rows]
    return "\n".join(
        ["# Tries on the official test folder", "", f"`{_command()}`", "", said, "", *markdown_table(shown), "",
         "Commands:", "", *dict.fromkeys(commands), ""]
    )  # fmt: skip


def _command() -> str:
    return shlex.join(["python", "-m", "benchmark.evidence.official_test", "--write"])


def read_boards(runs: Path) -> list[tuple[Leaderboard, str]]:
    """Return the leaderboard of every published run of a folder, and the command that made it."""
    folders = sorted(path.parent for path in runs.glob("*/suite.yaml"))
    if not folders:
        raise SystemExit(f"{runs}: no published run, expected some: pneumobench publish RUN --to {runs}/NAME")
    return [(rank_run(folder), _command_of(folder)) for folder in folders]


def _command_of(folder: Path) -> str:
    plain = json.loads(RunFolder(folder).environment_json.read_text(encoding="utf-8"))
    return str(plain["command"])


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the page, and write it beside this file where that is asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=Path, default=RUNS, help="folder of published runs")
    parser.add_argument("--write", action="store_true", help="write the page beside this file")
    options = parser.parse_args(arguments)
    page = report(read_boards(options.runs))
    print(page)
    if options.write:
        write_text(HOME / "official_test.md", page)


if __name__ == "__main__":
    main()
