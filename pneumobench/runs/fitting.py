"""How the network of a job comes to its weights: trained by steps, or with a head fitted on frozen features."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from pneumobench.architectures import Architecture
from pneumobench.architectures.head import head_layer
from pneumobench.architectures.weights_file import load_weights, save_weights
from pneumobench.datasets.datamodule import FoldDataModule, FoldImages
from pneumobench.datasets.folds import Part
from pneumobench.files import written_whole
from pneumobench.metrics.discrimination import area_under_roc
from pneumobench.records.job_record import Scalar
from pneumobench.runs.context import Bench
from pneumobench.runs.embeddings import embedding
from pneumobench.runs.networks import build_network
from pneumobench.suite.weights import SELF_SUPERVISED
from pneumobench.texts import counted
from pneumobench.training.devices import device_of
from pneumobench.training.fit import fit
from pneumobench.training.frozen import fit_head, head_outputs
from pneumobench.training.keeping import EpochReport
from pneumobench.training.memory import peak_memory_mib
from pneumobench.training.predictions import Scored, logit_of, probability_of, score
from pneumobench.training.pretraining import pretrain


@dataclass(frozen=True, kw_only=True)
class Fitted:
    """How a network was fitted; it has the weights of the job's file.

    Args:
        facts: of the training, for the record of the job.
        seconds: wall time that one job alone takes.
        step_seconds: median seconds of a training step; None where there are no steps.
        trained: number of weights that were fitted.
        peak_memory_mib: of all processes that took part.
        score: the outputs for a part of the fold.
    """

    facts: dict[str, Scalar]
    seconds: float
    step_seconds: float | None
    trained: int
    peak_memory_mib: float
    score: Callable[[Part], Scored]


def initial_network(bench: Bench, name: str, fold: int) -> tuple[Architecture, dict[str, Scalar]]:
    """Return an architecture with the weights that a job starts from, and what is recorded of a pretraining.

    Raises:
        DivergedError, NotAvailableError: see `pretrain`.
    """
    suite = bench.suite
    architecture = build_network(suite, name)
    if suite.architectures.weights_source(name) != SELF_SUPERVISED:
        return architecture, {}
    found = pretrain(
        architecture, bench.fold_images(fold), suite.pretraining, suite.training,
        folder=bench.folder.job_folder(name, fold), seed=suite.training_seed,
    )  # fmt: skip
    origin = f"{SELF_SUPERVISED}:{counted(suite.pretraining.epochs, 'epoch')} of SimCLR"
    facts: dict[str, Scalar] = {
        "pretraining_images": found.images,
        "pretraining_loss": found.loss,
        "pretraining_seconds": found.seconds,
    }
    return dataclasses.replace(architecture, weights_origin=origin), facts


def fitted_network(
    bench: Bench,
    name: str,
    fold: int,
    architecture: Architecture,
    data: FoldDataModule,
    *,
    report: EpochReport | None,
    history: EpochReport | None,
) -> Fitted:
    """Fit an architecture with its initial weights as the suite says, in place, and write the weights of the job.

    Args:
        bench: what the jobs of a run share.
        name: the architecture.
        fold: its fold.
        architecture: with its initial weights.
        data: batches of the fold.
        report: called after every epoch.
        history: called with every epoch, those before an interruption first.

    Raises:
        DivergedError: the loss became infinite or not a number.
        NotAvailableError, DataError: the network, or the fold, cannot be fitted as the suite says.
    """
    if bench.suite.training.is_frozen:
        return _by_frozen_features(bench, name, fold, architecture, data.images, report)
    spec = bench.suite.training
    found = fit(
        architecture, data, spec, folder=bench.folder.job_folder(name, fold), seed=bench.suite.training_seed,
        epoch_report=report, history=history,
    )  # fmt: skip
    trained = architecture.parameter_count(trainable_only=True)
    peak = max(found.peak_memory_mib, peak_memory_mib(device_of(spec).type))
    load_weights(architecture.module, bench.folder.weights_path(name, fold))  # never the module in memory is scored
    return Fitted(
        facts={
            "epochs_run": found.epochs_run,
            "best_epoch": found.best_epoch,
            "stopped_early": found.stopped_early,
        },
        seconds=found.seconds,
        step_seconds=found.step_seconds,
        trained=trained,
        peak_memory_mib=peak,
        score=lambda part: score(architecture, data.scoring_dataloader(part), spec),
    )


def _by_frozen_features(
    bench: Bench, name: str, fold: int, architecture: Architecture, images: FoldImages, report: EpochReport | None
) -> Fitted:
    """Fit the last layer alone, on features that all folds share."""
    suite, spec, layer = bench.suite, bench.suite.training, head_layer(architecture)
    found = embedding(architecture, name, images.radiographs, spec, bench.folder.path.parent / ".cache")
    train, started = images.positions["train"], time.perf_counter()
    head = fit_head(
        architecture,
        found.features[train],
        images.target[train],
        bench.index.table["group"].to_numpy()[train],
        spec,
        class_weight=images.class_weight(),
        seed=suite.training_seed,
    )
    seconds = found.seconds + time.perf_counter() - started
    peak = peak_memory_mib(device_of(spec).type)
    with written_whole(weights := bench.folder.weights_path(name, fold)) as temporary:
        save_weights(architecture.module.state_dict(), temporary)
    load_weights(architecture.module, weights)

    def scored(part: Part) -> Scored:
        rows, begun = images.positions[part], time.perf_counter()
        outputs = head_outputs(architecture, layer, found.features[rows], spec)
        share = found.seconds * len(rows) / len(found.features)  # of the features, without which there is no score
        return Scored(rows=rows, class_logits=outputs, seconds=share + time.perf_counter() - begun)

    if report is not None:
        tune = scored("tune")
        auc = area_under_roc(probability_of(logit_of(tune.class_logits)), images.label[tune.rows])
        report(0, {"tune_auc": float(np.nan_to_num(auc))})
    return Fitted(
        facts={"fit": spec.fit, **head.facts},
        seconds=seconds,
        step_seconds=None,
        trained=head.trained,
        peak_memory_mib=peak,
        score=scored,
    )
