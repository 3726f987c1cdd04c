"""Which rule should choose the epoch whose weights are kept? Trainings of which every epoch is scored.

python -m benchmark.evidence.epoch_choice --data DATA --write

Trains networks on the folds of a suite. After every epoch the weights and their moving average are scored on the
validation part, by which a rule may choose, and on the test part, by which the rules are judged. A training that is
there (WORK/ARCHITECTURE-FOLD.csv) is not repeated.
"""

from __future__ import annotations

import argparse
import dataclasses
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import lightning
import numpy as np
import pandas as pd
from lightning.pytorch.callbacks import Callback
from rich.console import Console
from torch.optim.swa_utils import AveragedModel

from benchmark.performance.measuring import markdown_table
from pneumobench.architectures import Architecture
from pneumobench.datasets.datamodule import FoldDataModule
from pneumobench.files import write_text
from pneumobench.metrics import area_under_roc, brier_score
from pneumobench.records.run_folder import RunFolder
from pneumobench.runs.context import Bench, open_data
from pneumobench.runs.networks import build_network
from pneumobench.runs.train_job import fold_data
from pneumobench.suite.reader import load_suite
from pneumobench.suite.training import TrainingSpec
from pneumobench.training.averaging import warming_average
from pneumobench.training.fit import fit
from pneumobench.training.predictions import logit_of, probability_of, score

HOME: Final = Path(__file__).resolve().parent
NETWORKS: Final = (
    "test_resnet,test_efficientnet,test_byobnet,test_convnext2,test_mambaout,test_coatnet,test_vit,"
    "mobilenetv3_small_050"
)
DECAY: Final = 0.99  # of the moving average: over about the last hundred steps
RESAMPLES: Final = 10_000
# rule: weights (`plain` or `mean`), validation score that chooses among the epochs; None = the last epoch
RULES: Final[dict[str, tuple[str, str | None]]] = {
    "lowest tune loss": ("plain", "tune_loss"),
    "highest tune AUC": ("plain", "tune_auc"),
    "last epoch": ("plain", None),
    "moving average, lowest tune loss": ("mean", "tune_loss"),
    "moving average, highest tune AUC": ("mean", "tune_auc"),
    "moving average, last epoch": ("mean", None),
}
REFERENCE: Final = "lowest tune loss"


class EveryEpoch(Callback):
    """Scores a network and its moving average on the validation and the test part after every epoch.

    Args:
        architecture: the network that is trained.
        data: the fold.
        spec: settings of the training.
    """

    def __init__(self, architecture: Architecture, data: FoldDataModule, spec: TrainingSpec) -> None:
        self.architecture, self.data, self.spec = architecture, data, spec
        self.mean = AveragedModel(architecture.module, avg_fn=warming_average(DECAY), use_buffers=True)
        self.rows: list[dict[str, Any]] = []

    def on_train_batch_end(self, *_: Any) -> None:
        """Average the weights."""
        self.mean.update_parameters(self.architecture.module)

    def on_train_epoch_end(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Score both."""
        del pl_module
        for weights, module in (("plain", self.architecture.module), ("mean", self.mean.module)):
            network = dataclasses.replace(self.architecture, module=module)
            row: dict[str, Any] = {"epoch": trainer.current_epoch, "weights": weights}
            for part in ("tune", "test"):
                found = score(network, self.data.scoring_dataloader(part), self.spec)
                probability = probability_of(logit_of(found.class_logits))
                label = self.data.images.label[found.rows]
                row[f"{part}_auc"] = area_under_roc(probability, label)
                row[f"{part}_brier"] = brier_score(probability, label)
                sure = np.where(label == 1, probability, 1 - probability)
                row[f"{part}_loss"] = float(-np.log(np.maximum(sure, 1e-12)).mean())
            self.rows.append(row)
        self.architecture.module.train()


def trained(bench: Bench, name: str, fold: int, work: Path) -> pd.DataFrame:
    """Return the scores of every epoch of one training, made now or before."""
    kept = work / f"{name}-{fold}.csv"
    if not kept.is_file():
        architecture = build_network(bench.suite, name)
        data = fold_data(bench.suite, bench.fold_images(fold))
        every = EveryEpoch(architecture, data, bench.suite.training)
        folder = work / f"{name}-{fold}"
        fit(architecture, data, bench.suite.training, folder=folder, seed=bench.suite.seed, callbacks=(every,))
        table = pd.DataFrame(every.rows).assign(architecture=name, fold=fold)
        write_text(kept, table.to_csv(index=False, float_format="%.6g", lineterminator="\n"))
    return pd.read_csv(kept)


def chosen(table: pd.DataFrame) -> Iterator[dict[str, Any]]:
    """Yield the epoch that each rule keeps of one training, with its scores."""
    for rule, (weights, by) in RULES.items():
        epochs = table[table["weights"] == weights].sort_values("epoch")
        if by is None:
            place = len(epochs) - 1
        else:  # the first of equal ones, as in a training
            scores = epochs[by].to_numpy()
            place = int(scores.argmin() if by == "tune_loss" else scores.argmax())
        yield {"rule": rule, **{str(key): value for key, value in epochs.iloc[place].items()}}


def interval(jobs: pd.Series[float], seed: int = 0) -> tuple[float, float]:
    """Return the 95 % bootstrap interval of the mean, drawing architectures: folds of one are not independent."""
    by_name = jobs.groupby(level="architecture").mean().to_numpy()
    drawn = np.random.default_rng(seed).integers(0, len(by_name), (RESAMPLES, len(by_name)))
    low, high = np.quantile(by_name[drawn].mean(axis=1), [0.025, 0.975]).tolist()
    return low, high


def table_rows(scores: pd.DataFrame) -> list[dict[str, str]]:
    """Return a row for each rule: its mean scores, and what it changes against REFERENCE, training by training."""
    jobs = scores.set_index(["architecture", "fold"])
    reference = jobs[jobs["rule"] == REFERENCE]
    rows = []
    for rule in RULES:
        mine = jobs[jobs["rule"] == rule]
        gain = mine["test_auc"] - reference["test_auc"]
        low, high = interval(gain)
        won, lost = int((gain > 0).sum()), int((gain < 0).sum())
        rows.append(
            {
                "rule": rule,
                "AUC": f"{mine['test_auc'].mean():.4f}",
                "gain [95 %]": "–" if rule == REFERENCE else f"{gain.mean():+.4f} [{low:+.4f}, {high:+.4f}]",
                "better / equal / worse": "–" if rule == REFERENCE else f"{won} / {len(gain) - won - lost} / {lost}",
                "Brier": f"{mine['test_brier'].mean():.4f}",
                "log loss": f"{mine['test_loss'].mean():.4f}",
                "mean epoch": f"{mine['epoch'].mean() + 1:.1f}",
            }
        )
    return rows


def report(scores: pd.DataFrame, command: str, bench: Bench) -> str:
    """Return the page of the study."""
    spec, data = bench.suite.training, bench.suite.data
    jobs = scores[["architecture", "fold"]].drop_duplicates()
    words = (
        f"{len(jobs)} trainings: {', '.join(dict.fromkeys(jobs['architecture']))}, each on {jobs['fold'].nunique()} "
        f"folds by patient of the official train folder of Kermany et al. at {data.image_side_px} px; random weights, "
        f"{spec.epochs} epochs with a {spec.schedule} schedule, precision {spec.precision}, otherwise the settings of "
        f"{bench.suite.name}. A rule sees the validation part and is judged on the test part of its fold. The moving "
        f"average of the weights has a decay of {DECAY} and a warm-up. Intervals draw architectures with replacement: "
        "folds of one are not independent."
    )
    return "\n".join(
        [
            "# What chooses the epoch whose weights are kept",
            "",
            f"`{command}`",
            "",
            words,
            "",
            *markdown_table(table_rows(scores)),
            "",
            "All epochs of all trainings are in `benchmark/evidence/epoch_choice.csv`.",
            "",
        ]
    )


def main(arguments: list[str] | None = None) -> None:
    """Train what is missing, then write the tables."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--data", required=True, help="folder of the images of Kermany et al.")
    parser.add_argument("--architectures", default=NETWORKS, help="names with commas")
    parser.add_argument("--folds", type=int, default=5, help="how many of the five")
    parser.add_argument("--epochs", type=int, default=8, help="epochs of each training")
    parser.add_argument("--work", type=Path, default=Path("runs/epoch-choice"), help="where trainings are kept")
    parser.add_argument("--write", action="store_true", help="write the report and all epochs beside this file")
    options = parser.parse_args(arguments)
    changes = {"data.root": options.data, "training.epochs": options.epochs, "training.precision": "32-true"}
    suite = load_suite("kermany-cpu", [word for key, value in changes.items() for word in (f"--{key}", str(value))])
    bench = open_data(suite, RunFolder(options.work / "opened"), cache=options.work / ".cache", console=Console())
    tables = []
    for fold in range(options.folds):
        for name in options.architectures.split(","):
            tables.append(trained(bench, name, fold, options.work))
            print(f"{name} fold {fold}: best test AUC {tables[-1]['test_auc'].max():.4f}", flush=True)
    scores = pd.DataFrame([row for table in tables for row in chosen(table)])
    words = ["python", "-m", "benchmark.evidence.epoch_choice", "--data", "DATA"]
    words += ["--architectures", options.architectures] if options.architectures != NETWORKS else []
    words += ["--folds", str(options.folds)] if options.folds != 5 else []
    words += ["--epochs", str(options.epochs)] if options.epochs != 8 else []
    page = report(scores, shlex.join([*words, "--write"]), bench)
    print(page)
    if options.write:
        write_text(HOME / "epoch_choice.md", page)
        whole = pd.concat(tables).sort_values(["architecture", "fold", "epoch", "weights"])
        write_text(HOME / "epoch_choice.csv", whole.to_csv(index=False, float_format="%.6g", lineterminator="\n"))


if __name__ == "__main__":
    main()
