"""The predictions of a finished run, whole architectures only, for what is asked of them afterwards."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from pneumobench.datasets.index import Index
from pneumobench.datasets.sources import list_radiographs
from pneumobench.errors import SettingsError
from pneumobench.leaderboard.scores import fold_model, official_predictions, out_of_fold_predictions
from pneumobench.records.loaded_run import GatheredRun, gather, open_suite


@dataclass(frozen=True, kw_only=True)
class RunPredictions:
    """The predictions of all architectures of a run that are complete.

    Args:
        run: the checked content of its folder.
        kinds: network or control by name, networks first.
        out_of_fold: by name image_id, label, logit, probability, tempered and fold, sorted by image_id.
        official: by name image_id, label and probability (mean of the folds' models) on the official test folder;
            empty tables without one.
    """

    run: GatheredRun
    kinds: dict[str, str]
    out_of_fold: dict[str, pd.DataFrame]
    official: dict[str, pd.DataFrame]

    @property
    def group(self) -> pd.Series[int]:
        """Patient group by image_id."""
        return self.run.index["group"]

    def index(self, root: Path) -> Index:
        """Return the index of the run over a data folder."""
        return Index(root=root, table=self.run.index.reset_index())


def image_root(path: Path, data: str | None) -> Path:
    """Return the folder that the image_ids of a run are relative to.

    Args:
        path: folder of the run.
        data: takes the place of the data folder in its suite.

    Raises:
        DataError: no data are there.
        SettingsError: the folder is not a run.
    """
    _, suite = open_suite(path)
    if data is not None:
        suite = dataclasses.replace(suite, data=dataclasses.replace(suite.data, root=data))
    return list_radiographs(suite, path.parent / ".cache")[0]


def run_predictions(path: Path) -> RunPredictions:
    """Read and check a run, published or not, and take the architectures that completed all folds.

    Raises:
        RecordError: a file was changed, or jobs do not belong together.
        SettingsError: no architecture is complete.
    """
    return predictions_of(gather(path))


def predictions_of(run: GatheredRun) -> RunPredictions:
    """Take the architectures that completed all folds of a run that was read and checked.

    Raises:
        SettingsError: no architecture is complete.
    """
    models = {
        name: [fold_model(record.fold, run.predictions[name, record.fold]) for record in records]
        for name in run.architectures
        if len(records := [record for record in run.records_of(name) if record.completed]) == run.folds.count
    }
    if not models:
        raise SettingsError(
            f"{run.folder.path}: found no architecture that completed all {run.folds.count} folds, whose out-of-fold "
            "predictions are needed. Finish the run first: `pneumobench run`."
        )
    control = {record.architecture: record.is_control for record in run.records}
    names = sorted(models, key=lambda name: (control[name], name))
    return RunPredictions(
        run=run,
        kinds={name: "control" if control[name] else "network" for name in names},
        out_of_fold={name: out_of_fold_predictions(models[name]) for name in names},
        official={name: official_predictions(models[name]) for name in names},
    )
