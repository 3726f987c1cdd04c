"""The two Lightning parts made from a suite, for somebody's own script with a plain `lightning.Trainer`."""

from __future__ import annotations

from pathlib import Path
from typing import Self

from rich.console import Console

from pneumobench.datasets import datamodule
from pneumobench.errors import SettingsError
from pneumobench.records.run_folder import RunFolder
from pneumobench.runs.context import open_data
from pneumobench.runs.folds_asked import folds_of
from pneumobench.runs.networks import build_network
from pneumobench.runs.train_job import fold_data
from pneumobench.suite.registry import load_plugin_file
from pneumobench.suite.spec import Suite
from pneumobench.suite.weights import SELF_SUPERVISED
from pneumobench.training import classifier


class _OrderOfEachEpoch(datamodule.SeededOrder):
    """The same order, told the epoch by any Trainer: a plain one keeps its loader from epoch to epoch."""

    def set_epoch(self, epoch: int) -> None:
        """Take the number of the epoch that begins, from 0; Lightning calls this."""
        self.epoch = epoch


class FoldDataModule(datamodule.FoldDataModule):
    """Batches of one fold: images (B, 1, H, W) uint8, class numbers (B,) int64, rows of the index (B,) int64.

    Training images are augmented and come in an order that depends on the suite's seed and the epoch alone. The
    validation part comes as it is; `scoring_dataloader("test")` gives the images of the test part.
    """

    @classmethod
    def from_suite(
        cls, suite: Suite, *, fold: int = 0, output: str | Path = "runs", console: Console | None = None
    ) -> Self:
        """Read, check, split and decode the data of a suite as a run of it does.

        Args:
            suite: data, folds, augmentation, batch size and seed.
            fold: number of the fold, from 0.
            output: folder of runs: decoded images are kept in its `.cache`, and the split is that of the suite's run,
                where there is one.
            console: where progress is shown; None = the terminal or notebook.

        Raises:
            SettingsError: the suite has no such fold, or its run in `output` has other settings.
            DataError: radiographs are missing or unreadable, or a split leaks.

        Example:
            >>> import pneumobench as pb
            >>> try:
            ...     pb.FoldDataModule.from_suite(pb.load_suite("smoke"), fold=2)
            ... except pb.SettingsError as error:
            ...     print(error)
            --folds 2: suite 'smoke' has the folds 0 to 1.
        """
        folds_of(suite, [fold])
        output = Path(output)
        folder = RunFolder(output / suite.name)
        bench = open_data(suite, folder, cache=output / ".cache", console=console or Console())
        usual = fold_data(suite, bench.fold_images(fold))
        data = cls(
            usual.images,
            augmentation=usual.augmentation,
            batch_size=usual.batch_size,
            seed=usual.seed,
            workers=usual.workers,
            balanced=suite.training.balanced_sampler,
        )
        order = data.order
        data.order = _OrderOfEachEpoch(order.rows, order.seed, data.batch_size, order.share)
        return data


class PneumoniaClassifier(classifier.PneumoniaClassifier):
    """A network in training: loss, optimiser, schedule and what is tracked are those of the suite.

    Input: images (B, 1, H, W) uint8. Output: logits (B, 1), or (B, 3) for three classes. Logged: train_loss, tune_loss,
    tune_auc and tune_accuracy (of the validation part). What a Trainer decides is its own: epochs, precision, devices,
    gradient clipping, early stopping and averaging of weights.
    """

    @classmethod
    def from_suite(cls, suite: Suite, architecture: str, *, data: datamodule.FoldDataModule | None = None) -> Self:
        """Build an architecture with its head and its initial weights, as every job of the suite starts.

        Args:
            suite: settings of network and training.
            architecture: timm name, or one that a plugin of the suite registers.
            data: the fold, needed where classes are weighed (training.class_weights: balanced).

        Raises:
            SettingsError: the architecture is not known, classes are to be weighed and no data are given, or the
                suite freezes networks.
            NotAvailableError: fine-tuning asks for a part that the network does not have.

        Example:
            >>> import pneumobench as pb
            >>> suite = pb.load_suite("smoke")
            >>> model = pb.PneumoniaClassifier.from_suite(suite, "test_resnet")
            >>> model.training, model.classes
            (True, 2)
        """
        for plugin in suite.architectures.plugins:
            load_plugin_file(Path(plugin))
        if suite.training.is_frozen:
            raise SettingsError(
                f"training.fit is {suite.training.fit}, which no Trainer does: pneumobench.run does it, or set it to "
                "network."
            )
        if suite.architectures.weights_source(architecture) == SELF_SUPERVISED:
            raise SettingsError(
                "architectures.weights is self_supervised, and those weights are made by pneumobench.run; set it to "
                "none, imagenet or a folder."
            )
        if suite.training.class_weights == "balanced" and data is None:
            raise SettingsError(
                "training.class_weights is balanced, and the share of each class is that of a fold; give it as "
                "data=FoldDataModule.from_suite(suite, fold=0)."
            )
        network = build_network(suite, architecture)
        classes = max(2, network.outputs)
        weight = (1.0,) * classes if data is None else data.images.class_weight()
        model = cls(network, suite.training, class_weight=weight, seed=suite.training_seed)
        return model.train()  # Lightning keeps the mode it is given
