"""Weights & Biases: a run for each job and one for the leaderboard, on a thread no training waits for."""

from __future__ import annotations

import contextlib
import json
import os
import tempfile
import threading
import uuid
from argparse import Namespace
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from queue import SimpleQueue
from typing import Any, Final, Literal

import pandas as pd
from lightning.pytorch.loggers import Logger, WandbLogger
from rich.console import Console

from pneumobench.datasets.layouts import LAYOUTS
from pneumobench.records.job_record import JobRecord
from pneumobench.records.run_folder import RunFolder
from pneumobench.reporting.final_metrics import final_metrics
from pneumobench.reporting.overlays import FILE_PATTERN, OUTCOME_WORDS
from pneumobench.reporting.tracking import NoTracking, Tracker
from pneumobench.suite.spec import Suite
from pneumobench.suite.weights import is_folder

LAST_WAIT_SECONDS: Final = 15.0  # all that a suite ever waits for W&B, once, after its last job
INTERRUPTED_WAIT_SECONDS: Final = 1.0  # the same after Ctrl-C, which has to end the process within 5 s
INIT_SECONDS: Final = 15.0  # meanwhile the training goes on, and what it logs is queued
STEP: Final = "trainer/global_step"  # the x axis that Lightning's logger sends with every point
REASON_LENGTH_MAX: Final = 300


def tracker_for(suite: Suite, runs_folder: Path) -> Tracker:
    """Return the tracker that `logging.wandb` asks for; its files go into `wandb` below `runs_folder`."""
    mode = suite.logging.wandb
    return NoTracking() if mode == "off" else WandbTracking(mode=mode, runs_folder=runs_folder)


def suite_config(suite: Suite, architecture: str, fold: int) -> dict[str, Any]:
    """Return the configuration of a job's W&B run: the resolved suite without any path, and which job it is.

    >>> suite_config(Suite(), "resnet18", 2)["job"]
    {'architecture': 'resnet18', 'fold': 2}
    """
    config = suite.plain()
    for key in ("root", "csv", "lung_masks"):
        del config["data"][key]
    del config["architectures"]["plugins"], config["logging"], config["controls"]["original_sizes"]
    for key in ("weights", "weights_of"):
        del config["architectures"][key]
    source = suite.architectures.weights_source(architecture)
    config["architectures"]["weights"] = "folder" if is_folder(source) else source
    return {**config, "training_hash": suite.training_hash(), "job": {"architecture": architecture, "fold": fold}}


class WandbTracking:
    """Tracks jobs with Weights & Biases; the first fault is told in one line, and tracking ends there.

    Calls of W&B run one after another on a background thread. A training only adds to their queue, so a
    slow or unreachable service costs it nothing; `summary` and an interruption wait for it, but not for long.

    Nothing that could name an image, a patient or a folder is sent: no path, command line, machine or code.
    Heat maps show images: those of phantoms are sent, others only with `logging.wandb_heat_maps`.

    Args:
        mode: `offline` (files only, for `wandb sync`) or `online`.
        runs_folder: folder of all runs; files go into `wandb` below it.
    """

    def __init__(self, *, mode: Literal["offline", "online"], runs_folder: Path) -> None:
        self.mode = mode
        self.runs_folder = runs_folder.expanduser().resolve()
        self.files = self.runs_folder / "wandb"
        self._suite = Suite()
        self._wandb: Any = None  # the imported package
        self._stopped = False
        self._calls: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        self._thread: threading.Thread | None = None
        # the open run and Lightning's logger around it belong to the background thread
        self._run: Any = None
        self._logger: WandbLogger | None = None

    @contextmanager
    def job(self, suite: Suite, architecture: str, fold: int) -> Iterator[tuple[Sequence[Any], Sequence[Any]]]:
        """Open the run `fold-K` of job type ARCHITECTURE; a training's error fails it and passes through."""
        if not self._ready():
            yield (), ()
            return
        self._suite = suite
        config = suite_config(suite, architecture, fold)
        self._send(lambda: self._start(suite, job_type=architecture, name=f"fold-{fold}", config=config))
        try:
            yield (_QueuedLogger(self),), ()
        except BaseException as error:
            self._send(lambda: self._finish(exit_code=1))
            if not isinstance(error, Exception):
                self._leave(INTERRUPTED_WAIT_SECONDS)
            raise
        self._send(lambda: self._finish(exit_code=0))

    def finished(self, folder: RunFolder, record: JobRecord) -> None:
        """Send the final metrics of the open job and, where privacy allows it, its heat maps."""
        layout = LAYOUTS.find(self._suite.data.source)
        heat_maps = (layout is not None and layout.synthetic) or self._suite.logging.wandb_heat_maps
        if record.completed:
            self._send(lambda: self._send_results(folder, record, heat_maps=heat_maps))

    def summary(self, folder: RunFolder, suite: Suite) -> None:
        """Send leaderboard.csv as a table in a run of its own, then wait a little for all to arrive."""
        if self._ready():
            self._send(lambda: self._start(suite, job_type="leaderboard", name="summary", config={}))
            self._send(lambda: self._send_leaderboard(folder.leaderboard / "leaderboard.csv"))
            self._send(lambda: self._finish(exit_code=0))
        self._leave(LAST_WAIT_SECONDS)

    def curves(self, metrics: dict[str, float], step: int | None) -> None:
        """Add points to the curves of the open job."""
        self._send(lambda: self._send_curves(metrics, step))

    # On the thread of the training

    def _ready(self) -> bool:
        """Check the folder and import W&B on first use; return whether tracking still works."""
        if self._wandb is not None or self._stopped:
            return not self._stopped
        try:
            # W&B itself would go on in the system's temporary folder without a word
            self.files.mkdir(parents=True, exist_ok=True)
            for folder in (self.runs_folder, self.files):
                with tempfile.TemporaryFile(dir=folder):
                    pass
            # crash reports may quote paths, and tables are copied to the user's home: neither has a setting
            os.environ.setdefault("WANDB_ERROR_REPORTING", "false")
            os.environ.setdefault("WANDB_DATA_DIR", str(self.files / "data"))
            os.environ.setdefault("WANDB_CACHE_DIR", str(self.files / "cache"))
            import wandb  # not on the background thread: imports of two threads can wait for each other
        except OSError as error:
            self._stop(f"cannot write {self.files} ({error.strerror or error})")
        except Exception as error:  # noqa: BLE001 - a broken installation may raise anything
            self._stop(f"the package wandb cannot be imported ({error})")
        else:
            self._wandb = wandb
            self._send(self._log_in)
        return not self._stopped

    def _send(self, call: Callable[[], None]) -> None:
        if self._stopped or self._wandb is None:
            return
        if self._thread is None:
            self._thread = threading.Thread(target=self._work, name="wandb-calls", daemon=True)
            self._thread.start()
        self._calls.put(call)

    def _leave(self, seconds: float) -> None:
        """Wait until all is sent; after `seconds` let go of it, so that the process can end."""
        if self._thread is None:
            return
        self._calls.put(None)  # ends the thread
        self._thread.join(seconds)
        if not self._thread.is_alive():
            self._thread = None
            return
        self._stop(f"no answer within {seconds:.0f} s; `wandb sync` can send what is in {self.files}")
        # takes back W&B's hook that waits at the exit of the process: a daemon thread waits instead
        threading.Thread(target=self._tear_down, name="wandb-teardown", daemon=True).start()

    def _stop(self, reason: str) -> None:
        """End tracking for the rest of the suite and say why, once."""
        if self._stopped:
            return
        self._stopped = True
        text = f"warning: not tracked with Weights & Biases: {' '.join(reason.split())[:REASON_LENGTH_MAX]}."
        Console(stderr=True).print(
            f"{text} The suite goes on; every job's curves are in its history.csv.",
            style="yellow", markup=False, highlight=False, soft_wrap=True,
        )  # fmt: skip

    # On the background thread

    def _work(self) -> None:
        while (call := self._calls.get()) is not None:
            try:
                if not self._stopped:
                    call()
            except (Exception, SystemExit) as error:  # noqa: BLE001 - no fault of W&B may reach a training
                self._stop(f"{type(error).__name__}: {error}")
                with contextlib.suppress(Exception, SystemExit):
                    self._finish(exit_code=1)

    def _tear_down(self) -> None:
        with contextlib.suppress(Exception, SystemExit):
            self._wandb.teardown()

    def _settings(self) -> Any:
        return self._wandb.Settings(
            mode=self.mode,
            silent=True, console="off", use_dot_wandb=False,
            init_timeout=INIT_SECONDS,
            finish_timeout=LAST_WAIT_SECONDS,  # also holds for W&B's hook at the exit of the process
            finish_timeout_raises=True,
            # privacy: paths, command line, host, user, git remote and source text stay here
            x_disable_meta=True, x_disable_machine_info=True, x_save_requirements=False,
            disable_git=True, disable_code=True, save_code=False, label_disable=True,
            program="pneumobench", host="", username="", email="",
            x_disable_stats=True,  # sampling the machine would disturb the cost that records measure
        )  # fmt: skip

    def _log_in(self) -> None:
        self._wandb.setup(self._settings())
        if self.mode == "online" and not self._wandb.login(prompt=False, verify=False):
            self._stop("no API key found; run `wandb login`, set WANDB_API_KEY, or use --wandb offline")

    def _start(self, suite: Suite, *, job_type: str, name: str, config: dict[str, Any]) -> None:
        self._run = self._wandb.init(
            dir=str(self.runs_folder), project=suite.logging.wandb_project,
            group=suite.name, job_type=job_type, name=name,
            id=uuid.uuid4().hex[:12],  # never WANDB_RUN_ID, which would merge all jobs into one run
            mode=self.mode, config=config,
            reinit="create_new",  # a run that is open around the suite is not ours to write into
            settings=self._settings(),
        )  # fmt: skip
        self._run.define_metric(STEP)
        self._run.define_metric("*", step_metric=STEP, step_sync=True)
        self._logger = WandbLogger(experiment=self._run, log_model=False)

    def _send_curves(self, metrics: dict[str, float], step: int | None) -> None:
        if self._logger is not None:
            self._logger.log_metrics(metrics, step)

    def _send_results(self, folder: RunFolder, record: JobRecord, *, heat_maps: bool) -> None:
        self._run.summary.update(final_metrics(folder, record))
        attributions = folder.attributions_folder(record.architecture, record.fold)
        if not heat_maps or not (attributions / "overlays.json").is_file():
            return
        images = []
        for entry in json.loads((attributions / "overlays.json").read_text(encoding="utf-8")):
            if (name := FILE_PATTERN.fullmatch(entry["file"])) is not None:
                caption = f"{OUTCOME_WORDS[name[1]]}, probability {float(entry['probability']):.2f}"
                images.append(self._wandb.Image(str(attributions / name[0]), caption=caption))
        if images:
            self._run.log({"heat_maps": images})

    def _send_leaderboard(self, path: Path) -> None:
        table = pd.read_csv(path)
        cells = table.astype(object).where(table.notna(), None)  # a W&B column takes None, but no NaN among texts
        self._run.log({"leaderboard": self._wandb.Table(dataframe=cells)})

    def _finish(self, *, exit_code: int) -> None:
        run, self._run, self._logger = self._run, None, None
        if run is not None:
            run.finish(exit_code=exit_code)
            # privacy: W&B's own logs name folders of this machine, and `wandb sync` does not need them
            for log in self.files.rglob("*debug*.log"):
                log.unlink(missing_ok=True)


class _QueuedLogger(Logger):
    """What the Trainer logs to: it hands curves on and returns at once."""

    name = "wandb"
    version = None

    def __init__(self, tracking: WandbTracking) -> None:
        super().__init__()
        self._tracking = tracking

    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        self._tracking.curves(dict(metrics), step)

    def log_hyperparams(self, params: dict[str, Any] | Namespace, *args: Any, **kwargs: Any) -> None:
        """Nothing: the configuration of the run is the whole suite already."""
