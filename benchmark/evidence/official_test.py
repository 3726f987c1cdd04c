"""What was tried on the official test folder of Kermany et al.: one row for each published run, whatever it scored.

python -m benchmark.evidence.official_test --write

Reads the runs in leaderboard/official-test/, which were made as the commands in the page say, and computes their scores
from their predictions. Thresholds are those of the validation part, which is taken from the train folder. The pages of
the runs themselves are not kept: `pneumobench leaderboard RUN` writes each.
"""

from __future__ import annotations

import argparse
import json
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd

from benchmark.performance.measuring import markdown_table
from pneumobench.files import write_text
from pneumobench.leaderboard.ensembles import ensemble_predictions
from pneumobench.leaderboard.scores import Scores, fold_model, out_of_fold_scores
from pneumobench.records.loaded_run import GatheredRun, gather
from pneumobench.reporting.columns import interval_text, number
from pneumobench.suite.names import CONTROL_PREFIX
from pneumobench.suite.spec import DataSpec

HOME: Final = Path(__file__).resolve().parent
RUNS: Final = HOME.parents[1] / "leaderboard" / "official-test"
CROPS: Final = {"none": "whole image", "fixed": "fixed crop", "adaptive": "lungs' box"}
PREAMBLE: Final = (
    "Trained on the official train folder, tested on the official test folder ({images} images of {patients} "
    "patients). {shared} of these patient names stand in the train folder too, with {shared_ill} of the {ill} "
    "images of pneumonia and {shared_normal} of the {normal} normal ones; whether they are the same children is not"
    " known. Every finished run of the suite kermany-official is here, best AUC first; other published runs score "
    "this folder too. Accuracy, recall and specificity: at the threshold that Youden's index chooses on the "
    "validation part, a tenth of the train folder by patient. The rows were looked at on the same test images while"
    " settings were being chosen, so the best of them is better than it would be on new images. The intervals are "
    "over patients and say nothing of that choice. A mean is that of the probabilities of all runs in the table "
    "that see whole images, or the lungs' box, whatever each scored; its threshold is chosen as theirs. Where a "
    "region is removed, images without plausible lungs are left out. What a lungs' box is, and why it matters here:"
    " [how lungs are framed](../../leaderboard/framing/README.md)."
)


@dataclass(frozen=True, kw_only=True)
class Try:
    """A network of a published run on the official split, or a mean of several.

    Args:
        run: name of the run, or what a mean is of.
        network: name of the architecture.
        weights: where its initial weights came from.
        sees: what of an image it sees.
        px: side of the square.
        epochs: passes over the training part.
        predictions: of its one fold.
        command: what made the run; empty for a mean.
    """

    run: str
    network: str
    weights: str
    sees: str
    px: str
    epochs: str
    predictions: pd.DataFrame
    command: str = ""


def seen(data: DataSpec) -> str:
    """Return what of an image a network sees, and how gray levels are normalised where that is not fixed."""
    region = "" if data.region == "whole" else f", {data.region.replace('_', ' ')}"
    return CROPS[data.crop] + region + (", own gray statistics" if data.pixel_statistics == "image" else "")


def tries(runs: Sequence[GatheredRun]) -> Iterator[Try]:
    """Give every network of runs, then the means."""
    by_crop: dict[str, list[Try]] = {}
    for run in runs:
        if run.folds.protocol != "official":
            raise SystemExit(f"{run.folder.path}: folds.protocol is {run.folds.protocol}, expected official.")
        command = str(json.loads(run.folder.environment_json.read_text(encoding="utf-8"))["command"])
        for record in run.records:
            if record.completed and not record.architecture.startswith(CONTROL_PREFIX):
                one = Try(
                    run=run.suite.name,
                    network=record.architecture,
                    weights=record.weights_origin,
                    sees=seen(run.suite.data),
                    px=str(run.suite.data.image_side_px),
                    epochs=str(run.suite.training.epochs),
                    predictions=run.predictions[record.architecture, record.fold],
                    command=command,
                )
                yield one
                if run.suite.data.region == "whole":
                    by_crop.setdefault(CROPS[run.suite.data.crop], []).append(one)
    yield from (mean_of(crop, members) for crop, members in by_crop.items() if len(members) > 1)


def mean_of(crop: str, members: Sequence[Try]) -> Try:
    """Return the mean of the probabilities of several networks with equal weights."""
    tables: Mapping[str, Mapping[int, pd.DataFrame]] = {
        f"{one.run} {one.network}": {0: one.predictions} for one in members
    }
    share = np.full(len(tables), 1 / len(tables))
    return Try(
        run=f"mean of {len(tables)} runs",
        network="",
        weights="",
        sees=crop,
        px="",
        epochs="",
        predictions=ensemble_predictions(tables, {0: share})[0],
    )


def scored(one: Try, group: pd.Series[int]) -> Scores:
    """Score the test folder, with the threshold of the validation part."""
    return out_of_fold_scores([fold_model(0, one.predictions)], group)


def _row(one: Try, scores: Scores) -> dict[str, Any]:
    return {
        "run": one.run,
        "network": one.network,
        "weights": one.weights,
        "sees": one.sees,
        "px": one.px,
        "epochs": one.epochs,
        "images": scores.images,
        "AUC [95 %]": f"{number(scores.auc)} {interval_text(scores.auc_interval)}".strip(),
        "accuracy": number(scores.at_tuned.value("accuracy")),
        "recall": number(scores.at_tuned.value("recall")),
        "specificity": number(scores.at_tuned.value("specificity")),
        "accuracy at 0.5": number(scores.at_half.value("accuracy")),
    }


def report(runs: Sequence[GatheredRun]) -> str:
    """Return the page."""
    index = runs[0].index
    found = [(one, scored(one, index["group"])) for one in tries(runs)]
    found.sort(key=lambda pair: -pair[1].auc)
    tested = index.loc[runs[0].folds.tested()]
    trained = index["patient"].drop(tested.index).unique()
    also, ill = tested["patient"].isin(trained), tested["label"] == 1
    said = PREAMBLE.format(
        images=len(tested), patients=tested["patient"].nunique(), shared=tested["patient"][also].nunique(),
        shared_ill=(also & ill).sum(), ill=ill.sum(), shared_normal=(also & ~ill).sum(), normal=(~ill).sum(),
    )  # fmt: skip
    commands = [f"- `{one.run}`: `{one.command}`" for one, _ in found if one.command]
    return "\n".join(
        ["# Tries on the official test folder", "", f"`{_command()}`", "", said, "",
         *markdown_table([_row(*pair) for pair in found]), "", "Commands:", "", *dict.fromkeys(commands), ""]
    )  # fmt: skip


def _command() -> str:
    return shlex.join(["python", "-m", "benchmark.evidence.official_test", "--write"])


def read_runs(runs: Path) -> list[GatheredRun]:
    """Return every published run of a folder."""
    folders = sorted(path.parent for path in runs.glob("*/suite.yaml"))
    if not folders:
        raise SystemExit(f"{runs}: no published run, expected some: pneumobench publish RUN --to {runs}/NAME")
    return [gather(folder) for folder in folders]


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the page, and write it beside this file where that is asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=Path, default=RUNS, help="folder of published runs")
    parser.add_argument("--write", action="store_true", help="write the page beside this file")
    options = parser.parse_args(arguments)
    page = report(read_runs(options.runs))
    print(page)
    if options.write:
        write_text(HOME / "official_test.md", page)


if __name__ == "__main__":
    main()
