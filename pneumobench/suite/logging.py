"""The group `logging` of a suite."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from pneumobench.suite.checked import Checked
from pneumobench.suite.rules import TEXT

WandbMode = Literal["off", "offline", "online"]


@dataclass(frozen=True, kw_only=True)
class LoggingSpec(Checked, group="logging"):
    """Experiment tracking besides the CSV history that is always written.

    Args:
        wandb: Weights & Biases: `off`, `offline` (files only) or `online`.
        wandb_project: project that the runs go to.
        wandb_heat_maps: send heat maps drawn over radiographs too; those of phantoms are always sent.
        wandb_weights: send the trained weights as versioned artifacts.
        tensorboard: write events for TensorBoard, with the keys of the CSV history.
    """

    wandb: WandbMode = "off"
    wandb_project: Annotated[str, TEXT] = "pneumobench"
    wandb_heat_maps: bool = False
    wandb_weights: bool = True
    tensorboard: bool = False
