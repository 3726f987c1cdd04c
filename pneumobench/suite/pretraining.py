"""The part of a suite that says how networks are pretrained on the training part of their own fold, without labels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from pneumobench.suite.checked import Checked
from pneumobench.suite.rules import AMOUNT, BATCH, COUNT, INSIDE_0_1, RATE


@dataclass(frozen=True, kw_only=True)
class PretrainingSpec(Checked, group="pretraining"):
    """Self-supervised pretraining (SimCLR), for `architectures.weights: self_supervised`.

    Two changed views of an image are to be found among those of a batch (Chen et al. 2020, arXiv:2002.05709). Only the
    training part of the fold is seen, without its labels, so that every fold has weights of its own.

    Args:
        epochs: passes over the training part.
        batch_size: images a step, two views of each.
        learning_rate: peak learning rate of adamw, with a linear warm-up of a tenth of the steps and a cosine.
        weight_decay: decoupled decay of weights.
        temperature: of the contrastive loss; lower = harder negatives decide.
    """

    epochs: Annotated[int, COUNT] = 20
    batch_size: Annotated[int, BATCH] = 64
    learning_rate: Annotated[float, RATE] = 1e-3
    weight_decay: Annotated[float, AMOUNT] = 1e-4
    temperature: Annotated[float, INSIDE_0_1] = 0.1
