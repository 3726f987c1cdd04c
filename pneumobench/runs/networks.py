"""The networks of a run: as they start, and as they were trained."""

from __future__ import annotations

import dataclasses
from typing import Final

import torch
from safetensors.torch import load_file

from pneumobench.architectures import Architecture, build_architecture
from pneumobench.architectures.head import attach_head
from pneumobench.architectures.registry import ARCHITECTURES
from pneumobench.architectures.trained import NetworkForm, network_of
from pneumobench.errors import NotAvailableError, RecordError
from pneumobench.files import sha256_of_file
from pneumobench.records.job_record import JobRecord
from pneumobench.records.run_folder import RunFolder
from pneumobench.suite.spec import CLASSES, Suite
from pneumobench.suite.weights import NONE, SELF_SUPERVISED
from pneumobench.training.devices import device_of

# mean and standard deviation of gray levels; of ImageNet the means over its three channels
PIXEL_STATISTICS: Final = {"unit": (0.0, 1.0), "imagenet": (0.449, 0.226)}


def build_network(suite: Suite, name: str, *, weights: str | None = None) -> Architecture:
    """Build an architecture with its head and its initial weights, the same for every fold, or with other `weights`."""
    architecture = build_architecture(
        name,
        in_channels=suite.data.channels,
        image_side_px=suite.data.image_side_px,
        weights=drawn_or_read(suite.architectures.weights_source(name)) if weights is None else weights,
        seed=suite.training_seed,
        outputs=len(CLASSES) if suite.task == "three_class" else 1,
    )
    torch.manual_seed(suite.training_seed)
    attach_head(architecture, suite.training.head)
    if suite.data.pixel_statistics == "auto":
        return architecture
    if suite.data.pixel_statistics == "image":
        return dataclasses.replace(architecture, own_statistics=True)
    mean, std = PIXEL_STATISTICS[suite.data.pixel_statistics]
    return dataclasses.replace(architecture, pixel_mean=mean, pixel_std=std)


def drawn_or_read(source: str) -> str:
    """Return where weights come from before any pretraining in this run: those that it starts from are random."""
    return NONE if source == SELF_SUPERVISED else source


def check_plugins(suite: Suite) -> None:
    """Build the plugins of a task of three classes once, before data are read: not every module can have three outputs.

    Raises:
        NotAvailableError: a plugin does not end with a linear layer.
    """
    for name in suite.architectures.names if suite.task == "three_class" else ():
        if name in ARCHITECTURES.loaded():
            build_network(suite, name, weights="none")


def network_form(suite: Suite, job: JobRecord) -> NetworkForm:
    """Return what the network of a job is, without its weights; images are normalised as its record says."""
    statistics = suite.data.pixel_statistics
    mean, std = PIXEL_STATISTICS.get(statistics, (None, None))
    recorded = [job.training.get(key) for key in ("pixel_mean", "pixel_std")]  # pretrained weights bring their own
    return NetworkForm(
        name=job.architecture,
        in_channels=suite.data.channels,
        image_side_px=suite.data.image_side_px,
        outputs=len(CLASSES) if suite.task == "three_class" else 1,
        head=suite.training.head,
        fit=suite.training.fit,
        pixel_mean=mean if recorded[0] is None else float(recorded[0]),
        pixel_std=std if recorded[1] is None else float(recorded[1]),
        own_statistics=statistics == "image",
    )


def trained_network(suite: Suite, folder: RunFolder, job: JobRecord) -> Architecture:
    """Return the network of a completed job with its trained weights, in eval mode, on the device of the suite.

    Raises:
        RecordError: the weights are missing or not those of the record.
    """
    path = folder.weights_path(job.architecture, job.fold)
    if not path.is_file() or sha256_of_file(path) != job.hashes["weights"]:
        raise RecordError(
            f"{path}: found {'other weights' if path.is_file() else 'no such file'}, expected the weights that the "
            "record beside it names. Bring them back, or delete the job's folder and run the suite again."
        )
    architecture = network_of(network_form(suite, job), dict(load_file(path)))
    architecture.module.to(device_of(suite.training))
    return architecture


def refuse_region(suite: Suite) -> None:
    """Refuse to show other images to networks that were trained on a region of the images of their run.

    Raises:
        NotAvailableError: naming the region.
    """
    if suite.data.region != "whole":
        raise NotAvailableError(
            f"{suite.name}: its networks were trained with data.region {suite.data.region}, by the lung masks of "
            "its own images, and are asked about no other; ask a run with data.region whole."
        )
