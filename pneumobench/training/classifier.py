"""LightningModule around an architecture: one shared step, the optimiser, and what is tracked."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import lightning
import torch
from torch import Tensor, nn
from torch.nn import functional
from torchmetrics import Metric
from torchmetrics.classification import BinaryAccuracy, BinaryAUROC, MulticlassAccuracy, MulticlassAUROC
from torchmetrics.utilities.distributed import gather_all_tensors

from pneumobench.architectures import Architecture
from pneumobench.datasets.datamodule import Batch
from pneumobench.errors import DivergedError
from pneumobench.suite.training import TrainingSpec
from pneumobench.training.fine_tuning import FineTuning
from pneumobench.training.losses import MeanLoss, PneumoniaLoss
from pneumobench.training.optimiser import LearningRate, optimizer_of, parameter_groups


class PneumoniaClassifier(lightning.LightningModule):
    """Trains an architecture on batches of images (B, 1, H, W) uint8.

    On several devices a step has the gradient of the mean loss over the images of all, mixing draws partners from all,
    and what is tracked is of all. Batch normalisation and dropout are of each device: the statistics that are kept are
    those of the first.

    Args:
        architecture: the network with its head, and how its input is normalised.
        spec: settings of the training.
        class_weight: weight of the images of each class, used with `class_weights: balanced`.
        seed: seed of dropout, mixing and other randomness inside the network.

    Raises:
        NotAvailableError: fine-tuning asks for a part that the network does not have.
    """

    def __init__(
        self, architecture: Architecture, spec: TrainingSpec, *, class_weight: tuple[float, ...], seed: int
    ) -> None:
        super().__init__()
        self.architecture, self.spec, self.seed = architecture, spec, seed
        self.network = architecture.module
        self.loss = PneumoniaLoss(spec=spec, class_weight=class_weight)
        self.fine_tuning = FineTuning(architecture, spec.fine_tuning)
        self.fine_tuning.apply(0)  # before several devices agree on what has gradients
        self.classes = max(2, architecture.outputs)
        self._compiled: Callable[[Tensor], Tensor] | None = None
        self._losses: list[Tensor] = []
        self._first_step = 0
        self.train_loss, self.tune_loss = MeanLoss(), MeanLoss()
        self.tune_auc: Metric
        self.tune_accuracy: Metric
        if architecture.outputs == 1:
            self.tune_auc, self.tune_accuracy = BinaryAUROC(), BinaryAccuracy()
        else:  # one class against the others, mean over classes
            self.tune_auc = MulticlassAUROC(self.classes)
            self.tune_accuracy = MulticlassAccuracy(self.classes, average="micro")

    def setup(self, stage: str) -> None:
        """Compile the network in the process that trains it, if the suite says so."""
        if stage == "fit" and self.spec.compile == "inductor":
            self._compiled = torch.compile(self.network.forward, dynamic=False)

    def teardown(self, stage: str) -> None:
        """Leave the network as it is without a compiler."""
        self._compiled = None

    def forward(self, radiographs: Tensor) -> Tensor:
        """Return the outputs (B, 1) or (B, classes) for images (B, 1, H, W) uint8."""
        return self.architecture.class_logits(radiographs)

    def on_train_epoch_start(self) -> None:
        """Freeze what is not trained in this epoch."""
        self.fine_tuning.apply(self.current_epoch)
        self._losses.clear()
        self._first_step = self.global_step

    def on_train_batch_start(self, batch: Batch, batch_idx: int) -> None:
        """Seed the network's own randomness by (seed, step), so that a resumed run draws what it would have."""
        del batch, batch_idx
        self._seed_step()

    def _seed_step(self, device: int = 0) -> None:
        torch.manual_seed((self.seed * 1_000_003 + self.global_step + device * 2**40) % 2**63)

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """Return the loss of a step. Whether it is finite is asked at the end of the epoch: nothing waits here."""
        del batch_idx
        radiographs, target, rows = batch
        shares = functional.one_hot(target, self.classes)
        if self.spec.mixup_alpha > 0:
            normal, shares = self._mixed(radiographs, shares, rows)
        else:
            normal = self.architecture.normalise(radiographs)
        if self.global_rank:
            self._seed_step(self.global_rank)  # other images are dropped out otherwise
        # one graph is enough: another size of batch would be compiled anew
        whole = len(radiographs) == self.spec.batch_size // self.trainer.world_size
        network = self._compiled if self._compiled is not None and whole else self.network
        class_logits = network(normal).reshape(len(radiographs), self.architecture.outputs)
        loss = self.loss(class_logits, shares)
        if self.trainer.world_size == 1:
            self.train_loss.update(loss.detach(), len(radiographs))
        else:
            counted = (rows >= 0).sum().float()  # none where the device has stand-ins
            self.train_loss.update(loss.detach(), counted)
            # the gradients of the devices are averaged: a device with more images has to weigh more
            everywhere = counted.clone()
            torch.distributed.all_reduce(everywhere)
            loss = loss * (counted * self.trainer.world_size / everywhere)
        self._losses.append(loss.detach())
        return loss

    def _mixed(self, radiographs: Tensor, shares: Tensor, rows: Tensor) -> tuple[Tensor, Tensor]:
        """Return normalised images mixed with others of the batch of all devices, and the shares of the classes."""
        alpha, place = self.spec.mixup_alpha, slice(0, len(radiographs))
        everything, every_share = radiographs, shares
        if self.trainer.world_size > 1:
            real = [bool(one[0] >= 0) for one in gather_all_tensors(rows)]
            parts = [part for part, counts in zip(gather_all_tensors(radiographs), real, strict=True) if counts]
            everything = torch.cat(parts)
            every_share = torch.cat([s for s, counts in zip(gather_all_tensors(shares), real, strict=True) if counts])
            if real[self.global_rank]:
                first = sum(len(part) for part in parts[: self.global_rank])
                place = slice(first, first + len(radiographs))
        share = torch.distributions.Beta(alpha, alpha).sample((len(everything),)).to(radiographs.device)[place]
        other = torch.randperm(len(everything)).to(radiographs.device)[place]
        normal = self.architecture.normalise(everything)
        weight = share[:, None, None, None]
        mixed = share[:, None] * every_share[place] + (1 - share[:, None]) * every_share[other]
        return weight * normal[place] + (1 - weight) * normal[other], mixed

    def _refuse_bad(self) -> None:
        """Raise DivergedError if a loss of this epoch was infinite or not a number; only now is the device asked."""
        if not self._losses:
            return
        losses = torch.stack(self._losses)
        self._losses.clear()
        if self.trainer.world_size > 1:  # all devices come to the same end
            torch.distributed.all_reduce(losses)
        for batch, loss in enumerate(losses.tolist()):
            if not math.isfinite(loss):
                step = self._first_step + batch
                raise DivergedError(f"the loss became {loss} in step {step} (batch {batch})")

    def on_train_epoch_end(self) -> None:
        """Look at the losses of the epoch.

        Raises:
            DivergedError: one is infinite or not a number.
        """
        self._refuse_bad()
        self._log_means("train_loss")

    def on_validation_epoch_start(self) -> None:
        """Look at the losses of the epoch before its network is scored.

        Raises:
            DivergedError: one is infinite or not a number.
        """
        self._refuse_bad()

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        """Score a batch of the validation part."""
        del batch_idx
        radiographs, target, _ = batch
        class_logits = self(radiographs)
        # float32 probabilities: torchmetrics takes values inside [0, 1] for probabilities already
        single = class_logits.shape[1] == 1
        probability = class_logits.float()[:, 0].sigmoid() if single else class_logits.float().softmax(1)
        self.tune_auc.update(probability, target)
        self.tune_accuracy.update(probability, target)
        loss = self.loss(class_logits, functional.one_hot(target, self.classes))
        self.tune_loss.update(loss, len(radiographs))

    def on_validation_epoch_end(self) -> None:
        """Track loss, AUC and accuracy of the validation part and step a plateau schedule."""
        self._log_means("tune_loss", "tune_auc", "tune_accuracy")
        if self.spec.schedule == "plateau" and not self.trainer.sanity_checking:
            scheduler: Any = self.lr_schedulers()
            value = float(self.trainer.callback_metrics[self.spec.monitor])
            scheduler.plateau_step(value if self.spec.monitor == "tune_loss" else -value)

    def _log_means(self, *names: str) -> None:
        """Log what was gathered on all devices since the last time."""
        for name in names:
            metric: Any = getattr(self, name)
            self.log(name, metric.compute())
            metric.reset()

    def configure_gradient_clipping(
        self,
        optimizer: torch.optim.Optimizer,
        gradient_clip_val: int | float | None = None,
        gradient_clip_algorithm: str | None = None,
    ) -> None:
        """Clip the norm of all gradients; Lightning's own refuses a fused optimiser even without scaled gradients."""
        del gradient_clip_algorithm
        if gradient_clip_val is not None:
            trained = [one for group in optimizer.param_groups for one in group["params"]]
            nn.utils.clip_grad_norm_(trained, gradient_clip_val)

    def configure_optimizers(self) -> Any:
        """Return the optimiser, and the schedule stepped after every batch.

        All parameters are in it from the start; a frozen one has no gradient and is passed over, its decay too.
        """
        spec = self.spec
        optimizer = optimizer_of(spec, parameter_groups(self.architecture, spec, self.fine_tuning))
        # a Trainer of somebody else's may train other epochs than the suite says, or have no end
        estimated, epochs = self.trainer.estimated_stepping_batches, self.trainer.max_epochs or 0
        total = int(estimated) if math.isfinite(estimated) else 0
        warmup = round(spec.warmup_epochs * total / (epochs if epochs > 0 else spec.epochs))
        schedule = LearningRate(optimizer, spec, total_steps=total, warmup_steps=warmup)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}
