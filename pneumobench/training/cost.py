"""The device of a job: is it there, and what is it?"""

from __future__ import annotations

import functools

import torch
from lightning.fabric import Fabric
from lightning.fabric.plugins.environments.lightning import LightningEnvironment

from pneumobench.errors import SettingsError
from pneumobench.suite.forms import plain
from pneumobench.suite.training import TrainingSpec
from pneumobench.training.devices import device_of, memory_format


def check_device(spec: TrainingSpec) -> None:
    """Check that the accelerator is there and the precision known, before any job starts.

    Raises:
        SettingsError: with what Lightning or the compiler says of it.
    """
    spec = plain(spec)
    if "true" in spec.precision and spec.precision != "32-true":
        raise SettingsError(
            f"training.precision {spec.precision!r}: images are float32; use 32-true, bf16-mixed or 16-mixed."
        )
    try:
        Fabric(
            accelerator=spec.accelerator, devices=spec.devices, precision=spec.precision,  # type: ignore[arg-type]
            plugins=LightningEnvironment(),
        )  # fmt: skip
    except (ValueError, RuntimeError, TypeError, ImportError) as error:
        text = " ".join(str(error).split())
        raise SettingsError(
            f"training.accelerator {spec.accelerator!r} with {spec.devices} devices at training.precision "
            f"{spec.precision!r} is not to be had: {text}"
        ) from error
    if spec.compile == "inductor" and spec.devices > 1:
        raise SettingsError(
            f"training.compile 'inductor' with training.devices {spec.devices}: leave one of the two out."
        )
    if spec.compile == "inductor" and (reason := why_not_compiled(device_of(spec))):
        raise SettingsError(f"training.compile 'inductor' is not to be had: {reason}; use none, or install a compiler.")


@functools.cache
def why_not_compiled(device: torch.device) -> str:
    """Return why torch.compile does not work here, or nothing if it does."""
    try:
        torch.compile(torch.sin)(torch.ones(2, device=device))
    except Exception as error:  # noqa: BLE001 - a compiler can be missing in many ways
        return f"{type(error).__name__}: {str(error).strip().splitlines()[0]}"
    return ""


def hardware(spec: TrainingSpec, machine: dict[str, str | int]) -> dict[str, str | int | float]:
    """Return what a job ran on and how, for its record."""
    spec = plain(spec)
    device = device_of(spec)
    on_gpu = device.type == "cuda"
    return {
        **machine,
        "device": torch.cuda.get_device_name(device) if on_gpu else str(machine["processor"]),
        "accelerator": device.type,
        "devices": spec.devices,
        "threads": torch.get_num_threads(),
        "precision": spec.precision,
        "memory_format": str(memory_format(spec)).removeprefix("torch."),
        "compile": spec.compile,
    }
