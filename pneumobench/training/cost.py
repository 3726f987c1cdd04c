"""The device of a job: is it there, and what is it?"""

from __future__ import annotations

import torch
from lightning.fabric import Fabric

from pneumobench.errors import SettingsError
from pneumobench.suite.training import TrainingSpec
from pneumobench.training.devices import device_of
from pneumobench.training.fit import memory_format


def check_device(spec: TrainingSpec) -> None:
    """Check that the accelerator is there and the precision known, before any job starts.

    Raises:
        SettingsError: with what Lightning says of it.
    """
    if "true" in spec.precision and spec.precision != "32-true":
        raise SettingsError(
            f"training.precision {spec.precision!r}: images are float32; use 32-true, bf16-mixed or 16-mixed."
        )
    try:
        Fabric(accelerator=spec.accelerator, devices=spec.devices, precision=spec.precision)  # type: ignore[arg-type]
    except (ValueError, RuntimeError, TypeError, ImportError) as error:
        text = " ".join(str(error).split())
        raise SettingsError(
            f"training.accelerator {spec.accelerator!r} with {spec.devices} devices at training.precision "
            f"{spec.precision!r} is not to be had: {text}"
        ) from error


def hardware(spec: TrainingSpec, machine: dict[str, str | int]) -> dict[str, str | int | float]:
    """Return what a job ran on and how, for its record."""
    device = device_of(spec)
    on_gpu = device.type == "cuda"
    return {
        **machine,
        "device": torch.cuda.get_device_name(device) if on_gpu else str(machine["processor"]),
        "accelerator": device.type,
        "devices": spec.devices,
        "threads": torch.get_num_threads(),
        "precision": spec.precision,
        "memory_format": str(memory_format(spec, device.type)).removeprefix("torch."),
    }
