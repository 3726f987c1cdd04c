"""Self-supervised pretraining (SimCLR) of a network on the training part of its fold, resumable to the byte.

Two views of every image of a batch are made by a recipe that is stronger than that of the training; the network, with a
small head that is thrown away afterwards, learns to find the other view of an image among all views of the batch.
Labels are never read, nor any image outside the training part.

Source: Chen et al. 2020, arXiv:2002.05709.
"""

from __future__ import annotations

import json
import math
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import lightning
import torch
from lightning.fabric.plugins.environments.lightning import LightningEnvironment
from lightning.pytorch.callbacks import Checkpoint
from torch import Tensor, nn

from pneumobench.architectures import Architecture
from pneumobench.architectures.head import head_layer
from pneumobench.architectures.weights_file import load_weights, save_weights
from pneumobench.datasets.datamodule import Batch, FoldDataModule, FoldImages
from pneumobench.errors import DivergedError, NotAvailableError
from pneumobench.files import write_json, written_whole
from pneumobench.radiographs.batch_augmentation import BatchAugmentation
from pneumobench.suite.forms import plain
from pneumobench.suite.pretraining import PretrainingSpec
from pneumobench.suite.training import AugmentationSpec, TrainingSpec
from pneumobench.training.checkpoints import SafeCheckpointIO, can_resume, remove_checkpoint
from pneumobench.training.devices import memory_format
from pneumobench.training.keeping import CHECKPOINT_EVERY_S, quiet_lightning

VIEWS: Final = AugmentationSpec(
    horizontal_flip=0.5, rotation_deg=15, shift=0.1, scale=0.3, shear_deg=5, brightness=0.4, contrast=0.4, gamma=0.5,
    gaussian_noise=0.3, coarse_dropout=0.5,
)  # fmt: skip
# between seeds of the two views; another one for each epoch and image follows from it
SECOND_VIEW: Final = 1_000_003
PROJECTION: Final = 128  # numbers that views are compared by
WARM_UP: Final = 0.1  # of the steps
RESUME_FILE: Final = "pretraining.ckpt"
DONE_FILE: Final = "pretrained.safetensors"
FACTS_FILE: Final = "pretraining.json"


@dataclass(frozen=True, kw_only=True)
class Pretrained:
    """How a pretraining went.

    Args:
        images: images of the training part.
        loss: mean contrastive loss of the last epoch; that of chance is ln(2 x batch_size - 1).
        seconds: wall time, over all its starts.
    """

    images: int
    loss: float
    seconds: float


class TwoViews:
    """Makes two changed copies of every image: (B, 1, H, W) uint8 -> (B, 2, H, W)."""

    def __init__(self, seed: int, *, count: int) -> None:
        self.views = [BatchAugmentation(VIEWS, seed + shift, count=count) for shift in (0, SECOND_VIEW)]

    def __call__(self, images: Tensor, *, epoch: int, rows: Tensor) -> Tensor:
        """Return both views of images with their rows (B,) of the index."""
        return torch.cat([view(images, epoch=epoch, rows=rows) for view in self.views], dim=1)


class ContrastivePretraining(lightning.LightningModule):
    """Trains the backbone of an architecture to recognise an image by another view of it.

    Args:
        architecture: the network; its last linear layer stays as it is.
        spec: settings of the pretraining.
        seed: seed of the head and of dropout.

    Raises:
        NotAvailableError: the network has no single last linear layer, or `lightly` is not installed.
    """

    def __init__(self, architecture: Architecture, spec: PretrainingSpec, *, seed: int) -> None:
        super().__init__()
        try:
            from lightly.loss import NTXentLoss
            from lightly.models.modules import SimCLRProjectionHead
        except ImportError as error:
            raise NotAvailableError(
                "architectures.weights self_supervised needs the package lightly: install pneumobench[self-supervised]."
            ) from error
        self.architecture, self.spec, self.seed = architecture, spec, seed
        self.network = architecture.module
        self._head = self.network.get_submodule(head_layer(architecture))
        assert isinstance(self._head, nn.Linear)
        width = self._head.in_features
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.projection = SimCLRProjectionHead(width, width, PROJECTION)
        self.contrast = NTXentLoss(temperature=spec.temperature)
        self._losses: list[Tensor] = []

    def training_step(self, batch: Batch, _: int) -> Tensor:
        """Return the contrastive loss of a batch of pairs (B, 2, H, W) uint8."""
        views = batch[0]
        torch.manual_seed((self.seed * 1_000_003 + self.global_step) % 2**63)
        features = self._features(torch.cat([views[:, :1], views[:, 1:]]))
        first, second = self.projection(features).float().chunk(2)
        loss: Tensor = self.contrast(first, second)
        self._losses.append(loss.detach())
        return loss

    def _features(self, images: Tensor) -> Tensor:
        """Return what the last linear layer reads (B, F)."""
        read: list[Tensor] = []
        handle = self._head.register_forward_pre_hook(lambda _, inputs: read.append(inputs[0]))
        try:
            self.network(self.architecture.normalise(images))
        finally:
            handle.remove()
        return read[0]

    def mean_loss(self) -> float:
        """Return the mean loss since the last call, and forget it.

        Raises:
            DivergedError: it is infinite or not a number.
        """
        mean = float(torch.stack(self._losses).mean())
        self._losses.clear()
        if not math.isfinite(mean):
            raise DivergedError(f"the contrastive loss of the pretraining became {mean}")
        return mean

    def configure_optimizers(self) -> Any:
        """Return adamw with warm-up and cosine, per step."""
        trained = [one for name, one in self.named_parameters() if one.requires_grad and not self._is_head(name)]
        decayed = [one for one in trained if one.ndim > 1]
        plain_ones = [one for one in trained if one.ndim <= 1]
        optimizer = torch.optim.AdamW(
            [{"params": decayed, "weight_decay": self.spec.weight_decay}, {"params": plain_ones, "weight_decay": 0.0}],
            lr=self.spec.learning_rate,
            fused=True,
        )
        steps = int(self.trainer.estimated_stepping_batches)
        warm_up = max(1, round(WARM_UP * steps))

        def rate(step: int) -> float:
            if step < warm_up:
                return (step + 1) / warm_up
            return 0.5 * (1 + math.cos(math.pi * (step - warm_up) / max(1, steps - warm_up)))

        scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, rate)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": scheduler, "interval": "step"}}

    def _is_head(self, name: str) -> bool:
        return name.startswith(f"network.{head_layer(self.architecture)}.")


class _Keeper(Checkpoint):
    """Keeps the loss of every epoch, and writes a checkpoint to go on from now and then."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / RESUME_FILE
        self.losses: list[float] = []
        self.seconds, self.started, self.written = 0.0, time.perf_counter(), time.perf_counter()

    def on_train_epoch_end(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Note the epoch; Lightning calls checkpoints last."""
        assert isinstance(pl_module, ContrastivePretraining)
        now = time.perf_counter()
        self.losses.append(pl_module.mean_loss())
        self.seconds, self.started = self.seconds + now - self.started, now
        if now - self.written >= CHECKPOINT_EVERY_S and trainer.current_epoch + 1 < int(trainer.max_epochs or 0):
            trainer.save_checkpoint(self.path)
            self.written = now

    def state_dict(self) -> dict[str, Any]:
        """Return what a checkpoint holds of this."""
        return {"losses": self.losses, "seconds": self.seconds}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from a checkpoint."""
        self.losses, self.seconds = state_dict["losses"], state_dict["seconds"]


def pretrain(
    architecture: Architecture,
    images: FoldImages,
    spec: PretrainingSpec,
    training: TrainingSpec,
    *,
    folder: Path,
    seed: int,
) -> Pretrained:
    """Pretrain a network in place, go on where an interrupted start left off, or take what was finished before.

    Args:
        architecture: the network with random weights.
        images: the fold; only its training part is read, and no label.
        spec: settings of the pretraining.
        training: those of the training, for device, precision, loader processes and memory format.
        folder: folder of the job, where the pretrained weights stay until its record is written.
        seed: seed of order, views and head.

    Raises:
        DivergedError: the loss became infinite or not a number.
        NotAvailableError: see `ContrastivePretraining`.
    """
    done, facts = folder / DONE_FILE, folder / FACTS_FILE
    if done.is_file() and facts.is_file():
        load_weights(architecture.module, done)
        return Pretrained(**json.loads(facts.read_text(encoding="utf-8")))
    quiet_lightning()
    training = plain(training)
    folder.mkdir(parents=True, exist_ok=True)
    module = ContrastivePretraining(architecture, spec, seed=seed)
    module.to(memory_format=memory_format(training)).train()
    data = FoldDataModule(
        images, augmentation=TwoViews(seed, count=len(images.label)), batch_size=spec.batch_size, seed=seed,
        workers=training.loader_workers,
    )  # fmt: skip
    keeper, resume = _Keeper(folder), folder / RESUME_FILE
    trainer = lightning.Trainer(
        accelerator=training.accelerator,
        devices=1,
        precision=training.precision,  # type: ignore[arg-type]
        max_epochs=spec.epochs,
        gradient_clip_val=training.gradient_clip_norm,
        deterministic="warn" if training.deterministic else False,
        plugins=[SafeCheckpointIO(), LightningEnvironment()],
        callbacks=[keeper],
        logger=False,
        use_distributed_sampler=False,
        reload_dataloaders_every_n_epochs=1,  # the order of images is drawn anew for each epoch
        limit_val_batches=0,
        enable_progress_bar=False,
        enable_model_summary=False,
        default_root_dir=folder,
    )
    trainer.fit(module, datamodule=data, ckpt_path=resume if can_resume(resume) else None, weights_only=True)
    found = Pretrained(
        images=len(images.positions["train"]), loss=round(keeper.losses[-1], 6), seconds=round(keeper.seconds, 3)
    )
    with written_whole(done) as temporary:
        save_weights(architecture.module.state_dict(), temporary)
    load_weights(architecture.module, done)
    write_json(facts, vars(found))
    remove_checkpoint(resume)
    return found


def remove_pretraining_files(folder: Path) -> None:
    """Delete what only an unfinished job needs."""
    remove_checkpoint(folder / RESUME_FILE)
    for name in (DONE_FILE, FACTS_FILE):
        (folder / name).unlink(missing_ok=True)
    for left_over in folder.glob(f"*{RESUME_FILE}.new*"):
        left_over.unlink(missing_ok=True)
