from __future__ import annotations

import builtins
import contextlib
import dataclasses
import importlib.util
import json
import os
import sys
import tempfile
import threading
import time
import types
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import wandb
from sklearn.metrics import matthews_corrcoef, recall_score, roc_auc_score

from pneumobench.cli.main import main
from pneumobench.errors import RecordError, SettingsError
from pneumobench.files import write_text
from pneumobench.metrics.confusion import confusion_of
from pneumobench.metrics.table import METRICS
from pneumobench.records.job_record import read_record
from pneumobench.records.loaded_run import gather
from pneumobench.records.run_folder import RunFolder
from pneumobench.reporting import trackers, wandb_runs, wandb_tracking
from pneumobench.reporting.final_metrics import final_metrics
from pneumobench.reporting.leaderboard import write_leaderboard
from pneumobench.reporting.trackers import tracker_for
from pneumobench.reporting.tracking import History, NoTracking, nothing
from pneumobench.reporting.wandb_publishing import publish_to_wandb
from pneumobench.reporting.wandb_runs import WandbRuns, job_run, suite_config
from pneumobench.reporting.wandb_tracking import WandbTracking
from pneumobench.suite.architectures import ArchitectureSpec
from pneumobench.suite.spec import DataSpec, LoggingSpec, Suite
from pneumobench.training.fit import FitResult, fit
from tests.reporting.offline_runs import offline_runs
from tests.training.tiny_fold import tiny_architecture, tiny_data, tiny_images, tiny_spec

CANARY_ROOT = "/canary-hospital/children"
IMAGE_NAMES = (b"PNEUMONIA/", b"NORMAL/")  # every image_id of the fake run has one of them
HANG_SECONDS = 60.0  # of a fake service; far longer than a starved machine needs for what is tested
PATIENCE_SECONDS = 300.0  # for the real service, which is not what is timed
HISTORY = "every job's curves are in its history.csv"


def make_suite(mode: str, **logging: Any) -> Suite:
    return Suite(
        name="tracked",
        data=DataSpec(source="csv", root=CANARY_ROOT, csv="canary.csv", lung_masks="canary-masks"),
        architectures=ArchitectureSpec(names=("resnet18",), plugins=("canary_plugin.py",), weights="/canary/weights"),
        logging=LoggingSpec(wandb=mode, wandb_project="lungs", **logging),  # type: ignore[arg-type]
    )


def tracking_for(suite: Suite, folder: Path) -> WandbTracking:
    tracking = tracker_for(suite, folder)
    assert isinstance(tracking, WandbTracking)
    return tracking


def train(history: History, folder: Path, epochs: int = 1) -> FitResult:
    return fit(
        tiny_architecture(), tiny_data(tiny_images()), tiny_spec(epochs=epochs),
        folder=folder, seed=0, history=history,
    )  # fmt: skip


@pytest.fixture(autouse=True)
def no_account(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A user without any W&B key or setting, whose program was called with the data folder on the command line."""
    variables = {name for name in os.environ if name.startswith("WANDB_")}
    for name in variables | {"WANDB_ERROR_REPORTING", "WANDB_DATA_DIR", "WANDB_CACHE_DIR", "WANDB_SERVICE"}:
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("NETRC", str(tmp_path / "home" / "no-netrc"))
    monkeypatch.setattr(sys, "argv", ["pneumobench", "run", "kermany", "--data", CANARY_ROOT])


@pytest.fixture
def real_wandb(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The real package, whose service is ended afterwards, with time enough on a starved machine."""
    monkeypatch.setattr(wandb_tracking, "LAST_WAIT_SECONDS", PATIENCE_SECONDS)
    monkeypatch.setattr(wandb_runs, "INIT_SECONDS", PATIENCE_SECONDS)
    yield
    wandb.teardown()


class FakeRun:
    """A W&B run that remembers what it was told, and fails or hangs in one method."""

    def __init__(self, fault: Callable[[str], None]) -> None:
        self.fault, self.told, self.exit_codes = fault, list[dict[str, Any]](), list[int]()
        self.summary = types.SimpleNamespace(update=lambda _: fault("summary"), get=lambda _: None)
        self.offline, self.artifacts = True, list[str]()

    def define_metric(self, *args: Any, **kwargs: Any) -> None:
        self.fault("define_metric")

    def log(self, told: dict[str, Any], step: int | None = None) -> None:
        self.fault("log")
        self.told.append(told)

    def log_artifact(self, artifact: Any) -> None:
        self.artifacts.append(artifact.name)

    use_artifact = log_artifact

    def finish(self, exit_code: int) -> None:
        self.exit_codes.append(exit_code)
        self.fault("finish")


class FakeService:
    """What replaces the calls that reach W&B's service: no process is started, nothing is sent."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.runs: list[FakeRun] = []
        self.inits: list[dict[str, Any]] = []
        self.logins: list[dict[str, Any]] = []
        self.torn_down = threading.Event()
        self.faults: dict[str, Callable[[], None]] = {}
        monkeypatch.setattr(wandb, "setup", lambda settings: self._reach("setup"))
        monkeypatch.setattr(wandb, "login", self.login)
        monkeypatch.setattr(wandb, "init", self.init)
        monkeypatch.setattr(wandb, "teardown", self.torn_down.set)

    def _reach(self, place: str) -> None:
        self.faults.get(place, lambda: None)()

    def login(self, **options: Any) -> bool:
        self.logins.append(options)
        self._reach("login")
        return True

    def init(self, **options: Any) -> FakeRun:
        self.inits.append(options)
        self._reach("init")
        self.runs.append(FakeRun(self._reach))
        return self.runs[-1]


@pytest.fixture
def service(monkeypatch: pytest.MonkeyPatch) -> FakeService:
    return FakeService(monkeypatch)


def raises(error: BaseException) -> Callable[[], None]:
    def fault() -> None:
        raise error

    return fault


def test_off_tracks_nothing_and_needs_no_wandb(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "wandb", None)  # any import of it fails
    spec = importlib.util.spec_from_file_location("second_copy", trackers.__file__)
    assert spec is not None
    assert spec.loader is not None
    second_copy = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(second_copy)

    tracker = second_copy.tracker_for(make_suite("off"), tmp_path)

    assert isinstance(tracker, NoTracking)
    with tracker.job(RunFolder(tmp_path), make_suite("off"), "resnet18", 0) as history:
        history(0, {"train_loss": 0.5})
    assert list(tmp_path.iterdir()) == []


def test_missing_package_is_told_and_training_goes_on(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "wandb", None)
    tracking = tracking_for(make_suite("offline"), tmp_path)
    with tracking.job(RunFolder(tmp_path), make_suite("offline"), "resnet18", 0) as history:
        history(0, {"train_loss": 0.5})
    tracking.summary(RunFolder(tmp_path), make_suite("offline"))
    tracking.close()
    told = capsys.readouterr().err.strip().splitlines()
    assert len(told) == 1
    assert "the package wandb cannot be imported" in told[0]
    assert HISTORY in told[0]


def test_offline_suite_is_one_run_a_job_and_a_summary(
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    run: RunFolder,
    real_wandb: None,
    capsys: pytest.CaptureFixture[str],
) -> None:
    opened: list[Any] = []
    init = wandb.init

    def remembered(**options: Any) -> Any:
        opened.append(init(**options))
        return opened[-1]

    monkeypatch.setattr(wandb, "init", remembered)
    suite = make_suite("offline", wandb_heat_maps=True)
    tracking = tracking_for(suite, tmp_path / "runs")
    for fold in (0, 1):
        with tracking.job(RunFolder(tmp_path), suite, "resnet18", fold) as history:
            assert train(history, tmp_path / f"fold-{fold}", epochs=2).epochs_run == 2
            tracking.finished(run, read_record(run.record_path("resnet18", fold)))
    write_text(run.leaderboard / "leaderboard.csv", "architecture,auc,plugin\nresnet18,0.98,\nmine,0.9,a paper\n")
    tracking.summary(run, suite)
    tracking.close()

    assert capsys.readouterr() == ("", "")
    assert [job.name for job in opened] == ["resnet18 / fold 0", "resnet18 / fold 1", "leaderboard"]
    assert [job.job_type for job in opened] == ["resnet18", "resnet18", "leaderboard"]
    assert {(job.project, job.group) for job in opened} == {("lungs", "tracked")}
    assert dict(opened[1].config) == suite_config(suite, "resnet18", 1)
    folders = sorted((tmp_path / "runs" / "wandb").glob("offline-run-*"))
    assert {folder.name.rpartition("-")[2] for folder in folders} == {job.id for job in opened}
    by_id = {folder.name.rpartition("-")[2]: folder for folder in folders}
    sent_runs = offline_runs(tmp_path / "runs" / "wandb")
    for fold, job in enumerate(opened[:2]):
        found = sent_runs[f"resnet18 / fold {fold}"]
        assert found.tags == ["tracked", "binary", "split patient", "weights folder"]
        assert found.metrics["*"] == "epoch"
        # the record says how many epochs its own training had; the results stand behind them
        assert [found.history[epoch]["epoch"] for epoch in (0, 1)] == [0, 1]
        assert {"learning_rate", "train_loss", "tune_loss", "tune_auc"} <= set(found.history[1])
        results = found.history[max(found.history)]
        for name in ("test_auc", "test_auc_low", "test_auc_high", "test_lar_box", "cost_parameters"):
            assert results[name] == found.summary[name], name
        assert results["test_auc_low"] < results["test_auc"] <= results["test_auc_high"]
        for chart in ("roc", "precision_recall", "confusion"):
            assert any(name.startswith(chart) for name in results), chart
        rows = json.loads(next(by_id[job.id].rglob("predictions*.table.json")).read_text())
        assert rows["columns"] == ["row", "label", "etiology", "probability"]
        images, weights = (found.artifacts[name] for name in ("tracked-images", f"tracked-resnet18-fold-{fold}"))
        assert (images["type"], weights["type"]) == ("dataset", "model")
        assert weights["images"] == "tracked-images"
        assert images["index"] == weights["hashes"]["index"]
        assert b"pneumonia found" in (by_id[job.id] / f"run-{job.id}.wandb").read_bytes()
        assert len(list(by_id[job.id].glob("files/media/images/heat_maps*.png"))) == 4
    table = json.loads(next(by_id[opened[2].id].rglob("leaderboard*.table.json")).read_text())
    assert table["data"] == [["resnet18", 0.98, None], ["mine", 0.9, "a paper"]]

    written = [path for path in (tmp_path / "runs" / "wandb").rglob("*") if path.is_file()]
    assert len(written) > 10
    for path in written:
        content = path.read_bytes()
        assert not [name for name in IMAGE_NAMES if name in content], path
        assert b"canary" not in content, path
        # what is sent names the staged table, which `wandb sync` has to find
        assert str(tmp_path).encode() not in content or path.suffix == ".wandb", path
    for job in opened:
        sent = (by_id[job.id] / f"run-{job.id}.wandb").read_bytes()
        assert os.uname().nodename.encode() + b'"' not in sent
        assert sys.executable.encode() not in sent


@pytest.mark.long
def test_the_command_line_leaves_only_without_our_settings(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, real_wandb: None
) -> None:
    def leaks(runs_folder: Path, seconds: float) -> bool:
        """Keep a run open until its files name the data folder, at most for `seconds`."""
        suite = make_suite("offline")
        tracking = tracking_for(suite, runs_folder)
        with tracking.job(RunFolder(runs_folder), suite, "resnet18", 0):
            end = time.monotonic() + seconds
            while time.monotonic() < end and not canaries(runs_folder):
                time.sleep(0.05)
        tracking._leave(PATIENCE_SECONDS)
        return bool(canaries(runs_folder))

    def canaries(folder: Path) -> list[Path]:
        return [path for path in (folder / "wandb").rglob("*") if path.is_file() and b"canary" in path.read_bytes()]

    with monkeypatch.context() as patch:
        settings = wandb.Settings(mode="offline", silent=True, console="off")
        patch.setattr(WandbRuns, "settings", lambda self: settings)
        started = time.monotonic()
        assert leaks(tmp_path / "open", PATIENCE_SECONDS)
    assert not leaks(tmp_path / "closed", 1.2 * (time.monotonic() - started))


@pytest.mark.parametrize(
    ("source", "asked_for", "sent"), [("phantoms", False, True), ("csv", False, False), ("csv", True, True)]
)
def test_heat_maps_of_real_images_stay_unless_asked_for(
    source: str, asked_for: bool, sent: bool, run: RunFolder, tmp_path: Path, service: FakeService
) -> None:
    suite = make_suite("offline", wandb_heat_maps=asked_for)
    suite = dataclasses.replace(suite, data=dataclasses.replace(suite.data, source=source))
    tracking = tracking_for(suite, tmp_path / "runs")
    with tracking.job(RunFolder(tmp_path), suite, "resnet18", 0):
        tracking.finished(run, read_record(run.record_path("resnet18", 0)))
    tracking._leave(HANG_SECONDS)
    images = [image for told in service.runs[0].told for image in told.get("heat_maps", [])]
    assert len(images) == (4 if sent else 0)
    for image in images:
        assert image._caption.split(", probability ")[0] in {
            "missed pneumonia", "false alarm", "pneumonia found", "normal, called normal"
        }  # fmt: skip
        assert 0 <= float(image._caption.split(", probability ")[1]) <= 1


def test_no_key_is_told_without_a_prompt_and_training_goes_on(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, real_wandb: None, capsys: pytest.CaptureFixture[str]
) -> None:
    asked: list[str] = []
    closed = (tmp_path / "stdin").open("w+")
    closed.close()
    monkeypatch.setattr(sys, "stdin", closed)
    monkeypatch.setattr(builtins, "input", lambda *text: asked.append("input"))
    monkeypatch.setattr("wandb.errors.term.can_use_terminput", lambda: True)
    monkeypatch.setattr("wandb.sdk.lib.wbauth.prompt.prompt_and_save_api_key", lambda **options: asked.append("menu"))
    suite = make_suite("online")
    tracking = tracking_for(suite, tmp_path / "runs")
    for fold in (0, 1):
        with tracking.job(RunFolder(tmp_path), suite, "resnet18", fold) as history:
            assert train(history, tmp_path / f"fold-{fold}").epochs_run == 1
    tracking.summary(RunFolder(tmp_path), suite)
    tracking.close()
    told = capsys.readouterr()
    assert told.out == ""
    assert len(told.err.strip().splitlines()) == 1
    assert "no API key found; run `wandb login`, set WANDB_API_KEY, or stay offline" in told.err
    assert asked == []
    assert list((tmp_path / "runs" / "wandb").glob("*run-*")) == []


def test_online_with_a_key_logs_in_without_a_prompt(tmp_path: Path, service: FakeService) -> None:
    suite = make_suite("online")
    tracking = tracking_for(suite, tmp_path)
    with tracking.job(RunFolder(tmp_path), suite, "resnet18", 3) as history:
        history(7, {"train_loss": 0.5, "epoch": 7.0})
    tracking._leave(HANG_SECONDS)
    assert service.logins == [{"prompt": False, "verify": False}]
    assert service.inits[0]["mode"] == "online"
    assert service.inits[0]["settings"].init_timeout + service.inits[0]["settings"].finish_timeout <= 30
    assert service.runs[0].told == [{"train_loss": 0.5, "epoch": 7}]
    assert service.runs[0].exit_codes == [0]


@pytest.mark.parametrize("place", ["setup", "login", "init", "define_metric", "log", "summary", "finish"])
@pytest.mark.parametrize("error", [ConnectionError("the service\nis down"), SystemExit(1)], ids=["error", "exit"])
def test_a_fault_of_wandb_ends_tracking_only(
    place: str,
    error: BaseException,
    run: RunFolder,
    tmp_path: Path,
    service: FakeService,
    capsys: pytest.CaptureFixture[str],
) -> None:
    service.faults[place] = raises(error)
    suite = make_suite("online")
    tracking = tracking_for(suite, tmp_path / "runs")
    with tracking.job(RunFolder(tmp_path), suite, "resnet18", 0) as history:
        for epoch in range(3):
            history(epoch, {"train_loss": 0.5})
        tracking.finished(run, read_record(run.record_path("resnet18", 0)))
    tracking._leave(HANG_SECONDS)
    with tracking.job(RunFolder(tmp_path), suite, "resnet18", 1) as history:
        history(0, {"train_loss": 0.5})  # nothing is tried again
    tracking.summary(run, suite)
    tracking.close()

    told = capsys.readouterr().err.strip().splitlines()
    assert len(told) == 1
    assert ("ConnectionError: the service is down" if isinstance(error, ConnectionError) else "SystemExit: 1") in told[
        0
    ]
    assert HISTORY in told[0]
    assert len(service.inits) <= 1
    assert all(len(tracked.exit_codes) == 1 for tracked in service.runs)  # an open run is closed, once


def test_a_logger_that_fails_does_not_change_the_training(
    tmp_path: Path, service: FakeService, capsys: pytest.CaptureFixture[str]
) -> None:
    alone = train(nothing, tmp_path / "alone", epochs=2)
    service.faults["log"] = raises(RuntimeError("quota"))
    suite = make_suite("online")
    tracking = tracking_for(suite, tmp_path / "runs")
    with tracking.job(RunFolder(tmp_path), suite, "resnet18", 0) as history:
        tracked = train(history, tmp_path / "tracked", epochs=2)
    tracking._leave(HANG_SECONDS)
    assert "RuntimeError: quota" in capsys.readouterr().err
    untimed = [dataclasses.replace(found, seconds=0, step_seconds=0) for found in (tracked, alone)]
    assert untimed[0] == untimed[1]
    for name in ("history.csv", "weights.safetensors"):
        assert (tmp_path / "tracked" / name).read_bytes() == (tmp_path / "alone" / name).read_bytes()


@pytest.mark.parametrize("place", ["init", "log", "finish"])
def test_a_service_that_hangs_costs_one_short_wait(
    place: str,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    service: FakeService,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert wandb_tracking.LAST_WAIT_SECONDS <= 20
    monkeypatch.setattr(wandb_tracking, "LAST_WAIT_SECONDS", 0.3)
    never = threading.Event()
    service.faults[place] = lambda: (never.wait(HANG_SECONDS), None)[1]
    suite = make_suite("online")
    tracking = tracking_for(suite, tmp_path)
    started = time.monotonic()
    for fold in range(5):
        with tracking.job(RunFolder(tmp_path), suite, "resnet18", fold) as history:
            for epoch in range(200):
                history(epoch, {"train_loss": 0.5})
    assert time.monotonic() - started < HANG_SECONDS / 3
    tracking.summary(RunFolder(tmp_path), suite)
    tracking.close()
    assert 0.3 <= time.monotonic() - started < HANG_SECONDS / 2
    told = capsys.readouterr().err.strip().splitlines()
    assert len(told) == 1
    assert "no answer within 0 s; `wandb sync` can send what is in" in told[0]
    assert service.torn_down.wait(5)  # W&B's hook at the exit of the process waits no longer
    never.set()


@pytest.mark.parametrize("error", [RuntimeError("out of memory"), KeyboardInterrupt()], ids=["fault", "interrupt"])
def test_an_error_of_the_training_fails_the_run_and_passes_through(
    error: BaseException, tmp_path: Path, service: FakeService, capsys: pytest.CaptureFixture[str]
) -> None:
    suite = make_suite("offline")
    tracking = tracking_for(suite, tmp_path)
    with pytest.raises(type(error)) as caught, tracking.job(RunFolder(tmp_path), suite, "resnet18", 0):
        raise error
    assert caught.value is error
    tracking._leave(HANG_SECONDS)
    assert service.runs[0].exit_codes == [1]
    assert capsys.readouterr().err == ""
    with tracking.job(RunFolder(tmp_path), suite, "resnet18", 1):
        pass
    tracking._leave(HANG_SECONDS)
    assert service.runs[1].exit_codes == [0]


def test_an_unwritable_folder_is_told_and_nothing_goes_elsewhere(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, service: FakeService, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    (tmp_path / "temporary").mkdir()
    write_text(tmp_path / "runs", "a file where the folder should be")
    suite = make_suite("offline")
    tracking = tracking_for(suite, tmp_path / "runs")
    with tracking.job(RunFolder(tmp_path), suite, "resnet18", 0) as history:
        history(0, {"train_loss": 0.5})
    tracking.summary(RunFolder(tmp_path), suite)
    tracking.close()
    told = capsys.readouterr().err
    assert f"cannot write {tmp_path / 'runs' / 'wandb'} (" in told
    assert told.count("warning:") == 1
    assert service.inits == []
    assert list((tmp_path / "temporary").iterdir()) == []


def test_run_identity_is_never_shared_by_the_environment(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, service: FakeService
) -> None:
    monkeypatch.setenv("WANDB_RUN_ID", "fixed")
    suite = make_suite("offline")
    tracking = tracking_for(suite, tmp_path)
    for fold in range(3):
        with tracking.job(RunFolder(tmp_path), suite, "resnet18", fold):
            pass
    tracking._leave(HANG_SECONDS)
    assert len({options["id"] for options in service.inits} - {"fixed"}) == 3
    assert {options["dir"] for options in service.inits} == {str(tmp_path)}


def test_a_job_that_was_killed_goes_on_in_the_same_run(tmp_path: Path, real_wandb: None) -> None:
    suite, folder = make_suite("offline"), RunFolder(tmp_path)

    def killed(epoch: int, row: dict[str, float]) -> None:
        if epoch == 1:
            raise KeyboardInterrupt

    for report in (killed, nothing):  # each start is a process of its own, with a tracking of its own
        tracking = tracking_for(suite, tmp_path / "runs")
        with contextlib.suppress(KeyboardInterrupt), tracking.job(folder, suite, "resnet18", 0) as history:
            fit(
                tiny_architecture(), tiny_data(tiny_images()), tiny_spec(epochs=4),
                folder=tmp_path / "job", seed=0, epoch_report=report, history=history,
            )  # fmt: skip
        tracking._leave(PATIENCE_SECONDS)
    (found,) = offline_runs(tmp_path / "runs" / "wandb").values()
    assert [row["epoch"] for row in found.history.values()] == [0, 1, 2, 3]
    written = pd.read_csv(tmp_path / "job" / "history.csv")
    for name in ("learning_rate", "train_loss", "tune_auc"):
        assert [row[name] for row in found.history.values()] == pytest.approx(written[name].tolist(), rel=1e-5)


def test_a_finished_run_is_sent_later_and_again_without_doubles(
    run: RunFolder, tmp_path: Path, real_wandb: None, capsys: pytest.CaptureFixture[str]
) -> None:
    write_leaderboard(run.path)
    sent = []
    for _ in range(2):
        assert main(["wandb", str(run.path), "--offline", "--files", str(tmp_path / "w"), "--project", "lungs"]) == 0
        sent.append(offline_runs(tmp_path / "w" / "wandb"))  # refuses two runs of one name
    assert "sent: resnet18 / fold 0" in capsys.readouterr().out
    completed = [record for record in gather(run.path).records if record.completed]
    names = {f"{record.architecture} / fold {record.fold}" for record in completed}
    assert set(sent[0]) == set(sent[1]) == {*names, "leaderboard"}
    assert {name: one.id for name, one in sent[0].items()} == {name: one.id for name, one in sent[1].items()}
    for record in completed:
        one = sent[1][f"{record.architecture} / fold {record.fold}"]
        assert one.summary["test_auc"] == pytest.approx(final_metrics(run, record)["test_auc"])
    # tracking such a job would have made the same run
    assert job_run(run, gather(run.path).suite, "resnet18", 0).id == sent[0]["resnet18 / fold 0"].id


def test_what_cannot_be_sent_is_a_clear_error(run: RunFolder, tmp_path: Path, service: FakeService) -> None:
    with pytest.raises(RecordError, match="expected the folder of a run"):
        publish_to_wandb(tmp_path, mode="offline")
    service.faults["init"] = raises(wandb.Error("no room\nleft"))
    with pytest.raises(SettingsError, match="not sent to Weights & Biases: no room left"):
        publish_to_wandb(run.path, mode="online", files=tmp_path)


def test_config_has_every_setting_but_no_path() -> None:
    suite = make_suite("online")
    config = suite_config(suite, "resnet18", 4)
    assert "canary" not in json.dumps(config)
    assert config["architectures"] == {"names": ["resnet18"], "weights": "folder"}
    assert config["training"] == suite.plain()["training"]
    assert config["data"]["source"] == "csv"
    assert config["training_hash"] == suite.training_hash()
    assert config["job"] == {"architecture": "resnet18", "fold": 4}
    assert suite_config(Suite(), "resnet18", 0)["architectures"]["weights"] == "none"


def test_final_metrics_agree_with_scikit_learn_on_the_test_part(run: RunFolder) -> None:
    record = read_record(run.record_path("resnet18", 0))
    metrics = final_metrics(run, record)
    table = pd.read_csv(run.predictions_path("resnet18", 0))
    test = table[table["split"] == "test"]
    called = test["probability"] >= 0.5
    attention = pd.read_csv(run.attention_path("resnet18", 0))
    assert len(test) < len(table)
    assert metrics["test_auc"] == pytest.approx(roc_auc_score(test["label"], test["probability"]))
    assert metrics["test_accuracy"] == pytest.approx(np.mean(test["label"] == called))
    assert metrics["test_mcc"] == pytest.approx(matthews_corrcoef(test["label"], called))
    assert metrics["test_recall"] == pytest.approx(recall_score(test["label"], called))
    assert metrics["test_specificity"] == pytest.approx(recall_score(1 - test["label"], ~called))
    decided = confusion_of(called, test["label"])
    undefined = {name for name, value in decided.values().items() if np.isnan(value)}
    assert {f"test_{name}" for name in METRICS if name not in undefined} <= set(metrics)
    pneumonia = attention[attention["label"] == 1]
    as_chance = pneumonia["lar"].fillna(pneumonia["lung_area"])  # a map without positive attention
    assert metrics["test_lar_box"] == pytest.approx(as_chance.mean())
    assert metrics["cost_parameters"] == 11_170_753
    without = final_metrics(run, dataclasses.replace(record, explanation=None, cost=None))
    assert set(metrics) - set(without) == {name for name in metrics if name.startswith(("test_lar", "cost_"))}
