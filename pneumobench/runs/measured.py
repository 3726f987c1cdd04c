"""Settings that say `auto`: a few steps of the architectures are measured, and the fastest form for all is taken."""

from __future__ import annotations

import dataclasses
import time
from pathlib import Path
from typing import Any, Final

import torch
from rich.console import Console

from pneumobench.architectures.contract import random_radiographs
from pneumobench.files import canonical_json, read_sealed, sha256_of_text, write_sealed
from pneumobench.records.cost_table import step_setting
from pneumobench.records.provenance import machine, software_versions
from pneumobench.reporting.progress import duration
from pneumobench.runs.networks import build_network
from pneumobench.suite.forms import alternatives, plain, unsettled, with_forms
from pneumobench.suite.process_state import unchanged_process
from pneumobench.suite.spec import Suite
from pneumobench.suite.training import TrainingSpec
from pneumobench.training.cost import hardware, why_not_compiled
from pneumobench.training.devices import device_of
from pneumobench.training.step_time import step_time

STEPS: Final = 5
LIMIT_S: Final = 10.0  # for a form of an architecture
WORTH: Final = 0.95  # of the seconds of the plain form that another one may take at most: no choice by chance


def settled(suite: Suite, *, steps: int, cache: Path, console: Console) -> Suite:
    """Return a suite without `auto` settings, measured here or, on the same device, earlier.

    The settings are decided one after the other, each for the sum of all architectures' trainings; what is less than
    5 % faster than the plain form is not taken. An architecture that fails is left out: its job will say why.

    Args:
        suite: the settings.
        steps: of one training; compiling has to pay within them.
        cache: folder where choices are kept.
        console: where they are told.
    """
    names = unsettled(suite.training)
    if not names:
        return suite
    file = cache / "forms" / f"{_key(suite, steps)}.json"
    found: dict[str, Any] | None = read_sealed(file)
    if found is None:
        started = time.monotonic()
        console.print(f"measuring training.{', training.'.join(names)}", highlight=False)
        spec, seconds = suite.training, {}
        for name in names:
            best, seconds[name] = _fastest(_with(suite, spec), name, steps)
            spec = with_forms(spec, {name: best})
        found = {"forms": {name: getattr(spec, name) for name in names}, "seconds": seconds}
        write_sealed(file, found)
        console.print(f"measured in {duration(time.monotonic() - started)}", highlight=False)
    for name, form in found["forms"].items():
        took = ", ".join(f"{other} {duration(value)}" for other, value in found["seconds"][name].items())
        console.print(f"training.{name}: {form} (steps of a job of each architecture: {took})", highlight=False)
    return _with(suite, with_forms(suite.training, found["forms"]))


def _with(suite: Suite, spec: TrainingSpec) -> Suite:
    return dataclasses.replace(suite, training=spec)


def _key(suite: Suite, steps: int) -> str:
    """Return what the choice depends on, as a hash."""
    spec = suite.training
    depends = {
        "software": {name: software_versions()[name] for name in ("torch", "timm", "pneumobench")},
        "hardware": hardware(spec, machine()),
        "architectures": suite.architectures.names,
        "steps": steps,
        "epochs": spec.epochs,
        **step_setting(suite),
    }
    return sha256_of_text(canonical_json(depends))[:32]


def _fastest(suite: Suite, name: str, steps: int) -> tuple[str, dict[str, float]]:
    """Return the form of a setting that is fastest, and the seconds of a training with each, over all architectures."""
    usual, *others = (one for one in alternatives(suite.training, name))
    if name == "compile" and (suite.training.devices > 1 or why_not_compiled(device_of(suite.training))):
        others = []
    seconds = {getattr(spec, name): 0.0 for spec in (usual, *others)}
    for architecture in suite.architectures.names:
        took = {
            getattr(spec, name): _training_seconds(_with(suite, plain(spec)), architecture, steps)
            for spec in (usual, *others)
        }
        for form, value in took.items():
            if None not in took.values():
                seconds[form] += value or 0.0
    first = getattr(usual, name)
    best = min(seconds, key=lambda form: seconds[form] / (1 if form == first else WORTH))
    return best, {form: round(value, 3) for form, value in seconds.items()}


def _training_seconds(suite: Suite, name: str, steps: int) -> float | None:
    """Return the seconds of a training; None where a network fails, for which its job will give the reason."""
    radiographs = random_radiographs(suite.training.batch_size, suite.data.image_side_px)
    try:
        with unchanged_process(f"architecture {name!r}"):
            network = build_network(suite, name, weights="none")
            return step_time(network, suite.training, radiographs, steps=STEPS, limit_s=LIMIT_S).training(steps)
    except Exception:  # noqa: BLE001 - foreign code
        return None
    finally:
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
