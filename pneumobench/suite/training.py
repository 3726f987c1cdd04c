"""The part of a suite that says how networks are trained: augmentation, head, fine-tuning, loss, optimiser."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, Final, Literal

from pneumobench.suite.checked import Checked
from pneumobench.suite.rules import (
    ACCELERATOR,
    AMOUNT,
    BATCH,
    BELOW_1,
    COUNT,
    DEVICES,
    EPOCHS,
    INSIDE_0_1,
    NORM,
    PATIENCE,
    PRECISION,
    PROBABILITY,
    RATE,
    ROTATION,
    SEED,
    SHEAR,
    UP_TO_1,
    WORKERS,
)

Monitor = Literal["tune_loss", "tune_accuracy", "tune_auc"]
Fit = Literal["network", "frozen_logistic", "frozen_neighbours"]
FIRST_MONITOR: Final = "tune_loss"  # what it was by default before: in runs that do not name it, and in hashes


@dataclass(frozen=True, kw_only=True)
class AugmentationSpec(Checked, group="augmentation"):
    """Random changes of a training image. Magnitudes are the largest ones; each is drawn uniformly around none.

    Args:
        horizontal_flip: probability of a mirror image.
        geometry_probability: probability that an image is turned, moved, zoomed and sheared at all.
        rotation_deg: rotation in degrees.
        shift: translation as a fraction of the side.
        scale: zoom as a fraction (0.1 = between 0.9 and 1.1).
        shear_deg: shear in degrees.
        tone_probability: probability that brightness and contrast change at all.
        brightness: change of brightness as a fraction of full scale.
        contrast: change of contrast as a fraction.
        clahe: probability of contrast-limited adaptive histogram equalisation (Zuiderveld 1994; clip limit up to 4,
            8 x 8 tiles).
        gamma: probability of a power law of the gray levels (exponent 0.8 to 1.2).
        gaussian_noise: probability of noise (standard deviation 2 to 10 % of full scale).
        motion_blur: probability of motion blur (3 to 7 px).
        median_blur: probability of a median filter (3 or 5 px).
        coarse_dropout: probability that up to eight black squares of up to an eighth of the side hide parts of it
            (DeVries and Taylor 2017, arXiv:1708.04552).
        executor: what makes the changes: `batched` (whole batches, on the device of the training) or `albumentations`
            (one image after the other, on the processor). Both follow the same recipe and draw other numbers.

    Example:
        >>> AugmentationSpec(horizontal_flip=0, rotation_deg=5).rotation_deg
        5.0
    """

    horizontal_flip: Annotated[float, PROBABILITY] = 0.5
    geometry_probability: Annotated[float, PROBABILITY] = 1.0
    rotation_deg: Annotated[float, ROTATION] = 10.0
    shift: Annotated[float, BELOW_1] = 0.05
    scale: Annotated[float, BELOW_1] = 0.1
    shear_deg: Annotated[float, SHEAR] = 5.0
    tone_probability: Annotated[float, PROBABILITY] = 1.0
    brightness: Annotated[float, PROBABILITY] = 0.1
    contrast: Annotated[float, PROBABILITY] = 0.1
    clahe: Annotated[float, PROBABILITY] = 0.0
    gamma: Annotated[float, PROBABILITY] = 0.0
    gaussian_noise: Annotated[float, PROBABILITY] = 0.0
    motion_blur: Annotated[float, PROBABILITY] = 0.0
    median_blur: Annotated[float, PROBABILITY] = 0.0
    coarse_dropout: Annotated[float, PROBABILITY] = 0.0
    executor: Literal["batched", "albumentations"] = "batched"


@dataclass(frozen=True, kw_only=True)
class FineTuningSpec(Checked, group="training.fine_tuning"):
    """Which weights are trained, and when. What is not trained stays as it is, its batch statistics included.

    Args:
        trained: `all`, `head` (the backbone is frozen), `last_blocks` (head and the last `count` blocks; blocks are
            the groups that timm names for an architecture, or the children of a plugin's module), or `last_layers`
            (head and the last `count` modules that have weights, norms included).
        count: number of blocks or layers.
        unfreeze_every_epochs: so many epochs later one more block, from the top, is trained, and so on until all are;
            null = it stays as it is.
        layer_decay: learning rate of each block relative to that of the block above it; 1 = the same everywhere
            (Clark et al. 2020, arXiv:2003.10555).

    Example:
        >>> TrainingSpec(fine_tuning=FineTuningSpec(trained="last_blocks", count=2)).fine_tuning.layer_decay
        1.0
    """

    trained: Literal["all", "head", "last_blocks", "last_layers"] = "all"
    count: Annotated[int, COUNT] = 1
    unfreeze_every_epochs: Annotated[int | None, COUNT] = None
    layer_decay: Annotated[float, UP_TO_1] = 1.0


@dataclass(frozen=True, kw_only=True)
class TrainingSpec(Checked, group="training"):
    """The identical settings of every job.

    Args:
        epochs: passes over the training part.
        batch_size: images a step, over all devices, which take as many each.
        fit: what is fitted: the `network`, by steps of an optimiser; or only its last layer, on features that the rest
            of the network, as it starts, gives of each image once, without augmentation: `frozen_logistic` (logistic
            regression) or `frozen_neighbours` (votes of the nearest training images). What is chosen for them is
            chosen by patient inside the training part. Augmentation, loss, optimiser and epochs then have no effect;
            `class_weights` has.
        head: layers before the last, linear one: `dropout P`, `dense N`, `batch_norm`, `relu`, in this order of a list;
            empty = the architecture's own head.
        head_weight_decay: decay of the weights of the head instead of `weight_decay`; null = the same.
        fine_tuning: which weights are trained.
        loss: `bce` (binary cross-entropy) or `focal` (Lin et al. 2017, arXiv:1708.02002).
        focal_gamma: how little is made of images that are called rightly; 0 = cross-entropy.
        focal_alpha: weight of positive images in the focal loss, negative ones have 1 - alpha; null = both 1.
        class_weights: `balanced` weighs images by the inverse of their class's share of the training part.
        balanced_sampler: draw training images with replacement, both classes equally often.
        label_smoothing: labels become smoothing / 2 and 1 - smoothing / 2.
        mixup_alpha: mix pairs of images, with shares from Beta(alpha, alpha); 0 = never (Zhang et al. 2018,
            arXiv:1710.09412).
        optimizer: update rule; `sgd` has Nesterov momentum 0.9.
        learning_rate: peak learning rate.
        weight_decay: decay of weights (decoupled with adamw).
        schedule: `cosine` (per step, down to zero), `plateau` (on `monitor`) or `constant`.
        warmup_epochs: epochs (fractions allowed) of linear warm-up from zero.
        plateau_patience: epochs without a better value before the rate falls (schedule: plateau).
        plateau_factor: what the rate is then multiplied by.
        monitor: what decides which epoch is the best (the last of equals), early stopping and the plateau.
        early_stopping_patience: epochs without a better value before a job stops; null = never.
        ema_decay: use an exponential moving average of the weights, whose decay grows from 0.1 to this value over the
            first steps; null = the weights as they are.
        gradient_clip_norm: largest norm of all gradients; null = no clipping.
        precision: Lightning precision of training and scoring; `auto` = 32-true or bf16-mixed, see `memory_format`.
        accelerator: what trains and scores, in the words of Lightning.
        devices: number of devices of one job. Each step has the images, the augmentation and the learning rate that it
            has on one; batch normalisation and dropout are of the images of each device.
        strategy: how several devices share a job: `auto` and `ddp` take `ddp_fork` on CPUs and `ddp_spawn` elsewhere
            (Lightning's words; its own `ddp` would start the whole command again for each device). A forked process
            computes with one thread.
        loader_workers: processes that load and augment; 0 = in the main process.
        memory_format: how images lie in memory. `auto`, here and at `precision` and `compile`: when a run begins, a few
            steps of its architectures are measured, and what makes all of them together fastest is taken, and kept
            in its suite.yaml; where nothing is measured (`tune`, `fit` from Python) it is the first of the forms.
        compile: `inductor` compiles each network with torch.compile, a graph for whole batches; a shorter last batch,
            validation and scoring go without. For one device a job.
        deterministic: algorithms with one possible outcome, wherever there is one.
        seed: seed of initial weights, order, augmentation, dropout and the controls; null = the seed of the suite, by
            which folds are drawn in either case.

    Raises:
        SettingsError: a setting is of a wrong type or out of its range.

    Example:
        >>> TrainingSpec(epochs=0)
        Traceback (most recent call last):
        ...
        pneumobench.suite.checked.UnfitError: training.epochs is 0; expected 1 to 100,000.
    """

    epochs: Annotated[int, COUNT] = 20
    batch_size: Annotated[int, BATCH] = 32
    fit: Fit = "network"
    head: tuple[str, ...] = ()
    head_weight_decay: Annotated[float | None, AMOUNT] = None
    fine_tuning: FineTuningSpec = field(default_factory=FineTuningSpec)
    loss: Literal["bce", "focal"] = "bce"
    focal_gamma: Annotated[float, AMOUNT] = 2.0
    focal_alpha: Annotated[float | None, INSIDE_0_1] = None
    class_weights: Literal["none", "balanced"] = "none"
    balanced_sampler: bool = False
    label_smoothing: Annotated[float, BELOW_1] = 0.0
    mixup_alpha: Annotated[float, AMOUNT] = 0.0
    optimizer: Literal["adamw", "adam", "sgd"] = "adamw"
    learning_rate: Annotated[float, RATE] = 5e-4
    weight_decay: Annotated[float, AMOUNT] = 0.05
    schedule: Literal["cosine", "plateau", "constant"] = "cosine"
    warmup_epochs: Annotated[float, EPOCHS] = 0.5
    plateau_patience: Annotated[int, PATIENCE] = 2
    plateau_factor: Annotated[float, INSIDE_0_1] = 0.2
    monitor: Monitor = "tune_auc"
    early_stopping_patience: Annotated[int | None, COUNT] = None
    ema_decay: Annotated[float | None, INSIDE_0_1] = None
    gradient_clip_norm: Annotated[float | None, NORM] = 1.0
    precision: Annotated[str, PRECISION] = "bf16-mixed"
    accelerator: Annotated[str, ACCELERATOR] = "auto"
    devices: Annotated[int, DEVICES] = 1
    strategy: Literal["auto", "ddp", "ddp_fork", "ddp_spawn"] = "auto"
    loader_workers: Annotated[int, WORKERS] = 0
    memory_format: Literal["auto", "contiguous", "channels_last"] = "auto"
    compile: Literal["auto", "none", "inductor"] = "none"
    deterministic: bool = True
    seed: Annotated[int | None, SEED] = None

    @property
    def is_frozen(self) -> bool:
        """Whether networks stay as they start, and only their last layers are fitted."""
        return self.fit != "network"

    @property
    def passes(self) -> int:
        """How often a job goes over its training part: once where networks are frozen."""
        return 1 if self.is_frozen else self.epochs

    def corrects_twice(self) -> bool:
        """Tell whether the imbalance of the classes is corrected more than once: by weights, alpha and sampler."""
        alpha = self.loss == "focal" and self.focal_alpha is not None
        return sum([self.balanced_sampler, self.class_weights == "balanced", alpha]) > 1
