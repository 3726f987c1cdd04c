"""LightningModule around an architecture: one shared step, the optimiser, and what is tracked."""

from __future__ import annotations

import math
from typing import Any

import lightning
import torch
from torch import Tensor
from torchmetrics.classification import BinaryAUROC

from pneumobench.architectures import Architecture
from pneumobench.errors import DivergedError
from pneumobench.radiographs.datamodule import Batch
from pneumobench.suite import TrainingSpec
from pneumobench.training.losses import pneumonia_loss


class PneumoniaClassifier(lightning.LightningModule):
    """Trains an architecture on batches of films (B, 1, H, W) uint8.

    Args:
        architecture: the network and how its input is normalised.
        spec: settings of the training.
        positive_weight: negatives / positives of the training part.
        seed: seed of dropout and other randomness inside the network.
    """

    def __init__(self, architecture: Architecture, spec: TrainingSpec, *, positive_weight: float, seed: int) -> None:
        super().__init__()
        self.architecture, self.spec = architecture, spec
        self.positive_weight, self.seed = positive_weight, seed
        self.network = architecture.module
        self.tune_auc = BinaryAUROC()

    def forward(self, films: Tensor) -> Tensor:
        """Return pneumonia logits (B,) of films (B, 1, H, W) uint8."""
        return self.architecture.logits(films)

    def _shared_step(self, batch: Batch) -> tuple[Tensor, Tensor]:
        films, has_pneumonia, _ = batch
        logit = self(films)
        spec = self.spec
        return logit, pneumonia_loss(logit, has_pneumonia, loss=spec.loss, positive_weight=self.positive_weight)

    def on_train_batch_start(self, batch: Batch, batch_idx: int) -> None:
        """Seed the network's own randomness by (seed, step), so that a resumed run draws what it would have."""
        del batch, batch_idx
        torch.manual_seed((self.seed * 1_000_003 + self.global_step) % 2**63)

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """Return the loss of one step.

        Raises:
            DivergedError: the loss is infinite or not a number.
        """
        _, loss = self._shared_step(batch)
        if not torch.isfinite(loss):
            raise DivergedError(f"the loss became {loss.item()} in step {self.global_step} (batch {batch_idx})")
        self.log("train_loss", loss, on_step=False, on_epoch=True, batch_size=len(batch[0]))
        return loss

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        """Score a batch of the tune part."""
        del batch_idx
        logit, loss = self._shared_step(batch)
        # float32 probabilities: torchmetrics takes values inside [0, 1] for probabilities already
        self.tune_auc.update(torch.sigmoid(logit.float()), batch[1].long())
        self.log("tune_loss", loss, on_epoch=True, batch_size=len(batch[0]), sync_dist=True)

    def on_validation_epoch_end(self) -> None:
        """Track the AUC of the tune part and step a plateau schedule."""
        self.log("tune_auc", self.tune_auc.compute())
        self.tune_auc.reset()
        if self.spec.schedule == "plateau" and not self.trainer.sanity_checking:
            scheduler: Any = self.lr_schedulers()
            scheduler.plateau_step(float(self.trainer.callback_metrics["tune_loss"]))

    def configure_optimizers(self) -> Any:
        """Return the optimiser, and the schedule stepped after every batch."""
        spec = self.spec
        # norms and biases are not decayed (one-dimensional tensors), as is usual for AdamW
        decayed = [p for p in self.network.parameters() if p.requires_grad and p.ndim > 1]
        others = [p for p in self.network.parameters() if p.requires_grad and p.ndim <= 1]
        groups = [{"params": decayed, "weight_decay": spec.weight_decay}, {"params": others, "weight_decay": 0.0}]
        kind = torch.optim.AdamW if spec.optimizer == "adamw" else torch.optim.Adam
        optimizer = kind(groups, lr=spec.learning_rate)
        total = int(self.trainer.estimated_stepping_batches)
        warmup = round(spec.warmup_epochs * total / spec.epochs)
        schedule = LearningRate(optimizer, spec, total_steps=total, warmup_steps=warmup)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}


class LearningRate(torch.optim.lr_scheduler.LRScheduler):
    """Linear warm-up, then cosine, plateau or constant, as one schedule with a state that can be resumed.

    Lightning's own handling of ReduceLROnPlateau loses a step when a run is resumed, and a plateau cannot be
    chained after a warm-up.

    Args:
        optimizer: its groups' rates are set.
        spec: schedule, plateau patience and factor.
        total_steps: steps of the whole training.
        warmup_steps: steps from 0 to the full rate.
    """

    def __init__(
        self, optimizer: torch.optim.Optimizer, spec: TrainingSpec, *, total_steps: int, warmup_steps: int
    ) -> None:
        self.kind, self.patience, self.reduce_by = spec.schedule, spec.plateau_patience, spec.plateau_factor
        self.total_steps, self.warmup_steps = total_steps, warmup_steps
        self.factor, self.best, self.bad_epochs = 1.0, math.inf, 0
        super().__init__(optimizer)

    def get_lr(self) -> list[float | Tensor]:
        """Return the rate of each parameter group."""
        step = self.last_epoch  # torch's name for the number of calls to step()
        if step < self.warmup_steps:
            share = (step + 1) / self.warmup_steps
        elif self.kind == "cosine":
            progress = (step - self.warmup_steps) / max(1, self.total_steps - self.warmup_steps)
            share = 0.5 * (1 + math.cos(math.pi * min(1.0, progress)))
        else:
            share = self.factor
        return [share * rate for rate in self.base_lrs]

    def plateau_step(self, tune_loss: float) -> None:
        """Lower the rate after more than `patience` epochs without a better tune loss."""
        if tune_loss < self.best:
            self.best, self.bad_epochs = tune_loss, 0
            return
        self.bad_epochs += 1
        if self.bad_epochs > self.patience:
            self.factor, self.bad_epochs = self.factor * self.reduce_by, 0
