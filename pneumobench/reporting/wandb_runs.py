"""Runs of Weights & Biases: which run belongs to which job, under which settings, and how it is opened and closed."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import tempfile
import uuid
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Literal

from pneumobench.records.run_folder import RunFolder
from pneumobench.suite.spec import Suite
from pneumobench.suite.weights import is_folder

INIT_SECONDS: Final = 15.0  # meanwhile a training goes on, and what it tells is queued
FINISH_SECONDS: Final = 15.0
EPOCH: Final = "epoch"  # the x axis of all curves
IDENTITY: Final = "wandb-id"  # in the folder of a run: what tells it from another run of the same name
TAG_LENGTH_MAX: Final = 64  # W&B refuses longer ones
LEADERBOARD: Final = "leaderboard"


class NotTrackedError(Exception):
    """W&B cannot be used here; the message says why."""


@dataclass(frozen=True, kw_only=True)
class TrackedRun:
    """A run as W&B is to show it.

    Args:
        id: stays the same for one job of one run folder, however often it is begun or published.
        name: what a reader sees, such as `resnet18 / fold 0`.
        job_type: the architecture, or `leaderboard`.
        group: the suite.
        tags: suite, task, split and weights.
        config: the resolved suite without any path, and which job it is.
    """

    id: str
    name: str
    job_type: str
    group: str
    tags: tuple[str, ...]
    config: dict[str, Any] = field(default_factory=dict)


def job_run(folder: RunFolder, suite: Suite, architecture: str, fold: int) -> TrackedRun:
    """Return the run of a job."""
    return TrackedRun(
        id=run_id(folder.path, architecture, fold),
        name=f"{architecture} / fold {fold}",
        job_type=architecture,
        group=suite.name,
        tags=_tags(suite, [_weights(suite, architecture)]),
        config=suite_config(suite, architecture, fold),
    )


def leaderboard_run(folder: RunFolder, suite: Suite) -> TrackedRun:
    """Return the run that shows the leaderboard."""
    return TrackedRun(
        id=run_id(folder.path, LEADERBOARD, 0),
        name=LEADERBOARD,
        job_type=LEADERBOARD,
        group=suite.name,
        tags=_tags(suite, [_weights(suite, name) for name in suite.architectures.names]),
    )


def suite_config(suite: Suite, architecture: str, fold: int) -> dict[str, Any]:
    """Return the configuration of a job's run: the resolved suite without any path, and which job it is.

    >>> suite_config(Suite(), "resnet18", 2)["job"]
    {'architecture': 'resnet18', 'fold': 2}
    """
    config = suite.plain()
    for key in ("root", "csv", "lung_masks"):
        del config["data"][key]
    del config["architectures"]["plugins"], config["logging"], config["controls"]["original_sizes"]
    for key in ("weights", "weights_of"):
        del config["architectures"][key]
    config["architectures"]["weights"] = _weights(suite, architecture)
    return {**config, "training_hash": suite.training_hash(), "job": {"architecture": architecture, "fold": fold}}


def _weights(suite: Suite, architecture: str) -> str:
    """Return where initial weights come from, without naming a folder."""
    source = suite.architectures.weights_source(architecture)
    return "folder" if is_folder(source) else source


def _tags(suite: Suite, weights: list[str]) -> tuple[str, ...]:
    found = (suite.name, suite.task, f"split {suite.folds.protocol}", *(f"weights {name}" for name in weights))
    return tuple(dict.fromkeys(tag[:TAG_LENGTH_MAX] for tag in found))


def run_id(folder: Path, job: str, fold: int) -> str:
    """Return the id of a W&B run: the same one for one job of one folder, see IDENTITY."""
    path = folder / IDENTITY
    if not path.is_file():
        new = path.with_name(f"{IDENTITY}-{uuid.uuid4().hex}")
        new.write_text(uuid.uuid4().hex, encoding="ascii")
        try:
            os.link(new, path)  # of several processes that begin at once, one names the run
        except FileExistsError:
            pass
        except OSError:  # a file system without links
            new.replace(path)
        new.unlink(missing_ok=True)
    identity = path.read_text(encoding="ascii").strip()
    return hashlib.sha256(f"{identity}/{job}/{fold}".encode()).hexdigest()[:16]


class WandbRuns:
    """Opens and closes runs. Nothing that could name an image, a patient or a folder is sent with them.

    Args:
        mode: `offline` (files only, for `wandb sync`) or `online`.
        runs_folder: folder of all runs; files go into `wandb` below it.
        project: W&B project.
    """

    def __init__(self, *, mode: Literal["offline", "online"], runs_folder: Path, project: str) -> None:
        self.mode, self.project = mode, project
        self.runs_folder = runs_folder.expanduser().resolve()
        self.files = self.runs_folder / "wandb"
        self.package: Any = None  # the imported package

    def prepare(self) -> None:
        """Check the folder and import W&B.

        Raises:
            NotTrackedError: the folder cannot be written, or the package not imported.
        """
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
            import wandb  # on the calling thread: imports of two threads can wait for each other
        except OSError as error:
            raise NotTrackedError(f"cannot write {self.files} ({error.strerror or error})") from error
        except Exception as error:  # a broken installation may raise anything
            raise NotTrackedError(f"the package wandb cannot be imported ({error})") from error
        self.package = wandb

    def log_in(self) -> None:
        """Start W&B's service, and log in where something is to be sent.

        Raises:
            NotTrackedError: there is no key.
        """
        self.package.setup(self.settings())
        if self.mode == "online" and not self.package.login(prompt=False, verify=False):
            raise NotTrackedError("no API key found; run `wandb login`, set WANDB_API_KEY, or stay offline")

    def settings(self) -> Any:
        """Return settings that keep paths, command line, host, user and source text here."""
        return self.package.Settings(
            mode=self.mode,
            silent=True, console="off", use_dot_wandb=False,
            init_timeout=INIT_SECONDS,
            finish_timeout=FINISH_SECONDS,  # also holds for W&B's hook at the exit of the process
            finish_timeout_raises=True,
            x_disable_meta=True, x_disable_machine_info=True, x_save_requirements=False,
            disable_git=True, disable_code=True, save_code=False, label_disable=True,
            program="pneumobench", host="", username="", email="",
            x_disable_stats=True,  # sampling the machine would disturb the cost that records measure
        )  # fmt: skip

    def open(self, wanted: TrackedRun) -> Any:
        """Open a run: online the one of this id goes on, offline its files are written anew, whole."""
        if self.mode == "offline":
            for earlier in self.files.glob(f"offline-run-*-{wanted.id}"):
                shutil.rmtree(earlier, ignore_errors=True)
        run = self.package.init(
            dir=str(self.runs_folder), project=self.project,
            group=wanted.group, job_type=wanted.job_type, name=wanted.name, tags=list(wanted.tags),
            id=wanted.id,  # never WANDB_RUN_ID, which would merge all jobs into one run
            resume="allow" if self.mode == "online" else None,
            mode=self.mode, config=wanted.config,
            reinit="create_new",  # a run that is open around the suite is not ours to write into
            settings=self.settings(),
        )  # fmt: skip
        try:
            run.define_metric(EPOCH)
            run.define_metric("*", step_metric=EPOCH)
        except BaseException:
            self.close(run, exit_code=1)
            raise
        return run

    def close(self, run: Any, *, exit_code: int) -> None:
        """Finish a run and remove W&B's own logs, which name folders of this machine; `wandb sync` needs none."""
        run.finish(exit_code=exit_code)
        for log in self.files.rglob("*debug*.log"):
            log.unlink(missing_ok=True)


def artifact_name(text: str) -> str:
    """Return a name as W&B takes it for an artifact.

    >>> artifact_name("my suite/resnet18")
    'my-suite-resnet18'
    """
    return re.sub(r"[^A-Za-z0-9_.-]", "-", text)[:120]
