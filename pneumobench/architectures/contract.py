"""The contract that every architecture keeps, checked on random images before anything is trained."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import torch

from pneumobench.architectures.architecture import Architecture
from pneumobench.architectures.registry import build_architecture
from pneumobench.architectures.weights_file import load_weights, save_weights
from pneumobench.errors import NotAvailableError, PneumobenchError, SettingsError
from pneumobench.files import NO_ROOM, cannot_write

RADIOGRAPHS: Final = 4
TRIED: Final = 2  # images: as few as batch normalisation takes


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One rule of the contract, whether it is kept, and what was seen."""

    rule: str
    kept: bool
    detail: str


def check_contract(name: str, *, in_channels: int = 1, image_side_px: int = 64) -> list[Finding]:
    """Build an architecture twice and try it on random images; return one finding for each rule.

    Raises:
        SettingsError: the name is unknown or the architecture cannot be built at all.
    """

    def build() -> Architecture:
        return build_architecture(name, in_channels=in_channels, image_side_px=image_side_px, seed=7)

    try:
        architecture, twin = build(), build()
    except PneumobenchError:
        raise
    except Exception as error:  # whatever a plugin does is the plugin author's to see, without our traceback
        raise SettingsError(f"architecture {name!r} cannot be built: {type(error).__name__}: {error}") from error
    radiographs = random_radiographs(RADIOGRAPHS, image_side_px)
    rules: list[tuple[str, Callable[[], str]]] = [
        ("one finite logit an image", lambda: _one_logit(architecture, radiographs)),
        ("finite gradients", lambda: _finite_gradients(architecture, radiographs)),
        ("same seed, same output", lambda: _same_output(build(), twin, radiographs)),
        ("images of a batch are scored apart in eval mode", lambda: _apart(build(), radiographs)),
        ("weights survive a file", lambda: _round_trip(build(), radiographs)),
        ("heat-map layers exist", lambda: _heatmap_layers(architecture)),
    ]
    findings = []
    for rule, examine in rules:
        try:
            findings.append(Finding(rule=rule, kept=True, detail=examine()))
        except Exception as error:  # noqa: BLE001 - a broken rule is a finding, however it shows
            findings.append(Finding(rule=rule, kept=False, detail=f"{error}" or type(error).__name__))
    return findings


def random_radiographs(count: int, side_px: int) -> torch.Tensor:
    """Return images (count, 1, side, side) uint8 of noise, the same in every call."""
    generator = torch.Generator().manual_seed(0)
    return torch.randint(0, 256, (count, 1, side_px, side_px), generator=generator, dtype=torch.uint8)


def try_training(architecture: Architecture, image_side_px: int) -> None:
    """Do with random images all that a training needs a network to do, so that it does not fail at its end.

    Forward, backward, a file of weights and back. The network has other weights afterwards; an output that is no number
    is for the training to find.

    Raises:
        NotAvailableError: naming what the network cannot do. Errors of the network itself come as they are.
    """
    radiographs = random_radiographs(TRIED, image_side_px)
    output = architecture.module.train()(architecture.normalise(radiographs))
    shape = tuple(output.shape) if isinstance(output, torch.Tensor) else type(output).__name__
    expected = (TRIED, architecture.outputs)
    if shape != expected and not (architecture.outputs == 1 and shape == (TRIED,)):
        raise NotAvailableError(f"the network's output is {shape} for {TRIED} images; expected a tensor {expected}.")
    if not output.requires_grad:
        raise NotAvailableError("the network cannot be trained: its output depends on no parameter with a gradient.")
    output.sum().backward()
    try:
        _round_trip(architecture, radiographs)
    except Exception as error:
        if isinstance(error, OSError) and error.errno in NO_ROOM:
            raise cannot_write(Path(tempfile.gettempdir()), error) from error
        raise NotAvailableError(
            f"the network's weights do not survive a file, so nothing of a training would be kept: {error}"
        ) from error


def _require(kept: bool, found: str) -> None:
    if not kept:
        raise ValueError(found)


def _one_logit(architecture: Architecture, radiographs: torch.Tensor) -> str:
    architecture.module.eval()
    with torch.no_grad():
        output = architecture.module(architecture.normalise(radiographs))
    shape = tuple(output.shape)
    _require(shape in {(RADIOGRAPHS, 1), (RADIOGRAPHS,)}, f"output has shape {shape}; expected ({RADIOGRAPHS}, 1)")
    _require(bool(torch.isfinite(output).all()), "output is infinite or not a number")
    return f"{architecture.parameter_count():,} parameters"


def _finite_gradients(architecture: Architecture, radiographs: torch.Tensor) -> str:
    architecture.module.train().zero_grad()
    architecture.logits(radiographs).sum().backward()  # type: ignore[no-untyped-call]
    trainable = {name: p for name, p in architecture.module.named_parameters() if p.requires_grad}
    _require(bool(trainable), "no parameter can be trained")
    without = [name for name, p in trainable.items() if p.grad is None]
    _require(not without, f"{len(without)} parameters get no gradient, first {without[:1]}")
    bad = [name for name, p in trainable.items() if p.grad is not None and not torch.isfinite(p.grad).all()]
    _require(not bad, f"gradient of {bad[:1]} is infinite or not a number")
    return f"{len(trainable)} trainable tensors"


def _eval_logits(architecture: Architecture, radiographs: torch.Tensor) -> torch.Tensor:
    architecture.module.eval()
    with torch.no_grad():
        return architecture.logits(radiographs)


def _same_output(one: Architecture, other: Architecture, radiographs: torch.Tensor) -> str:
    _require(
        torch.equal(_eval_logits(one, radiographs), _eval_logits(other, radiographs)),
        "two builds with one seed differ: draw initial weights from torch's global generator only",
    )
    return "bit for bit"


def _apart(architecture: Architecture, radiographs: torch.Tensor) -> str:
    together, alone = _eval_logits(architecture, radiographs), _eval_logits(architecture, radiographs[:1])
    _require(
        torch.allclose(together[:1], alone, atol=1e-4),
        f"an image alone scores {alone.item():.4f}, with others {together[0].item():.4f}",
    )
    return "an image's logit does not depend on its neighbours"


def _round_trip(architecture: Architecture, radiographs: torch.Tensor) -> str:
    before = _eval_logits(architecture, radiographs)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "weights.safetensors"
        save_weights(architecture.module.state_dict(), path)
        with torch.no_grad():
            for parameter in architecture.module.parameters():
                parameter.zero_()
        load_weights(architecture.module, path)
    after = _eval_logits(architecture, radiographs)
    _require(torch.equal(before.nan_to_num(), after.nan_to_num()), "the output changed after saving and loading")
    return "saved and loaded as safetensors"


def _heatmap_layers(architecture: Architecture) -> str:
    known = {name for name, _ in architecture.module.named_modules()}
    missing = [layer.name for layer in architecture.heatmap_layers if layer.name not in known]
    _require(not missing, f"heat-map layer {missing} does not exist in the module")
    if not architecture.heatmap_layers:
        return "none declared: trained and ranked, without heat maps"
    return ", ".join(f"{layer.name} ({layer.layout})" for layer in architecture.heatmap_layers)
