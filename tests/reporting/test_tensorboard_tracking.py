from __future__ import annotations

import sys
from pathlib import Path

import pandas as pd
import pytest

from pneumobench.records.job_record import read_record
from pneumobench.records.run_folder import RunFolder
from pneumobench.reporting.final_metrics import final_metrics
from pneumobench.reporting.trackers import tracker_for
from pneumobench.suite.spec import LoggingSpec, Suite
from pneumobench.training.fit import fit
from tests.training.tiny_fold import tiny_architecture, tiny_data, tiny_images, tiny_spec

SUITE = Suite(name="tracked", logging=LoggingSpec(tensorboard=True))


def scalars(folder: Path) -> dict[str, list[tuple[int, float]]]:
    """Return what TensorBoard itself reads from a folder of events."""
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    read = accumulator.EventAccumulator(str(folder))
    read.Reload()
    return {tag: [(event.step, event.value) for event in read.Scalars(tag)] for tag in read.Tags()["scalars"]}


def test_curves_by_epoch_and_results_can_be_read_back(tmp_path: Path, run: RunFolder) -> None:
    tracker = tracker_for(SUITE, tmp_path / "runs")
    record = read_record(run.record_path("resnet18", 0))
    for _ in range(2):  # a job that is begun again has its epochs once
        with tracker.job(run, SUITE, "resnet18", 0) as history:
            fit(
                tiny_architecture(), tiny_data(tiny_images()), tiny_spec(epochs=2),
                folder=tmp_path / "job", seed=0, history=history,
            )  # fmt: skip
            tracker.finished(run, record)
    tracker.summary(run, SUITE)
    tracker.close()
    found = scalars(tmp_path / "runs" / "tensorboard" / "tracked" / "resnet18-fold-0")
    written = pd.read_csv(tmp_path / "job" / "history.csv")
    for name in ("learning_rate", "train_loss", "tune_loss", "tune_auc", "tune_accuracy"):
        assert [step for step, _ in found[name]] == [0, 1]
        assert [value for _, value in found[name]] == pytest.approx(written[name].tolist(), rel=1e-4)
    assert found["test_auc"][0][1] == pytest.approx(final_metrics(run, record)["test_auc"])


def test_a_missing_package_is_told_once_and_training_goes_on(
    tmp_path: Path, run: RunFolder, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "lightning.pytorch.loggers", None)
    tracker = tracker_for(SUITE, tmp_path)
    for fold in (0, 1):
        with tracker.job(run, SUITE, "resnet18", fold) as history:
            history(0, {"train_loss": 0.5})
    told = capsys.readouterr().err
    assert told.count("not tracked with TensorBoard") == 1
    assert "install pneumobench[tensorboard]" in told


def test_both_can_follow(tmp_path: Path) -> None:
    both = Suite(name="both", logging=LoggingSpec(wandb="offline", tensorboard=True))
    assert len(getattr(tracker_for(both, tmp_path), "trackers", ())) == 2
