"""Several devices that share one job: how their processes start, what they report, and what is said when one fails."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from typing import Final

import lightning
import torch
from lightning.fabric import Fabric
from lightning.fabric.plugins.environments.lightning import LightningEnvironment
from lightning.pytorch.callbacks import Callback
from torch.multiprocessing import _prctl_pr_set_pdeathsig  # type: ignore[attr-defined]
from torch.multiprocessing.spawn import ProcessExitedException

from pneumobench.errors import DivergedError, NoRoomError
from pneumobench.suite.training import TrainingSpec
from pneumobench.training.keeping import EpochReport

LOOK_S: Final = 0.2  # between looks at whether an epoch was reported
KINDS: Final = {"DivergedError": DivergedError, "NoRoomError": NoRoomError, "OutOfMemoryError": torch.OutOfMemoryError}


def device_of(spec: TrainingSpec) -> torch.device:
    """Return the device that one process of a job uses."""
    return Fabric(accelerator=spec.accelerator, devices=1, plugins=LightningEnvironment()).device


def memory_format(spec: TrainingSpec) -> torch.memory_format:
    """Return how images and weights lie in memory."""
    return torch.channels_last if spec.memory_format == "channels_last" else torch.contiguous_format


def strategy_of(spec: TrainingSpec) -> str:
    """Return Lightning's name for how the devices of a job share it.

    `auto` and `ddp` with several devices: processes forked on CPUs, and new ones on others, which cannot be forked once
    they are in use.
    """
    if spec.devices == 1 or spec.strategy not in ("auto", "ddp"):
        return "auto" if spec.strategy == "ddp" else spec.strategy
    return "ddp_fork" if device_of(spec).type == "cpu" else "ddp_spawn"


class OneThread(Callback):
    """Has a forked process compute with one thread: those of OpenMP stayed behind, and waiting for them has no end."""

    def setup(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule, stage: str) -> None:
        """Set it before anything is computed."""
        torch.set_num_threads(1)


class EndWithRun(Callback):
    """Has the system kill a process of several devices when the one that started it dies, in a long step too (Linux).

    PyTorch asks for SIGINT, which Python hears only after the step.
    """

    def setup(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule, stage: str) -> None:
        """Ask for it in the process that trains."""
        _prctl_pr_set_pdeathsig(signal.SIGKILL)


@dataclass(frozen=True)
class _Reporter:
    """Sends epochs to the process that listens."""

    there: Connection

    def __call__(self, epoch: int, row: dict[str, float]) -> None:
        self.there.send((epoch, row))


@contextmanager
def reported(report: EpochReport | None, devices: int) -> Iterator[EpochReport | None]:
    """Give a function for the processes of several devices that has `report` called here; `report` itself for one."""
    if report is None or devices == 1:
        yield report
        return
    here, there = Pipe(duplex=False)
    over = threading.Event()

    def listen() -> None:
        while here.poll(LOOK_S) or not over.is_set():
            if here.poll():
                report(*here.recv())

    listener = threading.Thread(target=listen, daemon=True)
    listener.start()
    try:
        yield _Reporter(there)
    finally:
        over.set()
        listener.join()
        here.close()
        there.close()


def end_processes(trainer: lightning.Trainer) -> None:
    """Kill the processes of several devices that are left; those of a training that went well have ended."""
    for process in getattr(trainer.strategy.launcher, "procs", ()):
        if process.is_alive():
            process.kill()
            process.join()


def error_of_process(error: Exception, devices: int = 1) -> Exception:
    """Return what a process of several raised, whose traceback is all that got here, or how it ended.

    >>> error_of_process(Exception("Traceback ...\\n  File ...\\npneumobench.errors.DivergedError: the loss is nan"))
    DivergedError('the loss is nan')
    """
    if isinstance(error, ProcessExitedException):
        how = error.signal_name or f"exit code {error.exit_code}"
        hint = "; the system does this when memory runs out" if error.signal_name == "SIGKILL" else ""
        return RuntimeError(f"process {error.error_index} of the {devices} of this job was ended by {how}{hint}")
    line = next((line for line in reversed(str(error).splitlines()) if line and not line[0].isspace()), "")
    name, _, text = line.partition(": ")
    kind = KINDS.get(name.rpartition(".")[2])
    return RuntimeError(line) if kind is None else kind(text)
