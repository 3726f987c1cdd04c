"""Weights of a network as a safetensors file: the one way to disk and back, in training and in the contract."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

_SYSTEM_ERROR: Final = re.compile(r"os error (\d+)")  # how safetensors names it in its message


def save_weights(weights: Mapping[str, Tensor], path: Path) -> None:
    """Write the weights of a network, whole or not at all only if the caller sees to it.

    safetensors refuses tensors that share memory. Layers that share theirs (tied weights, such as the position
    encodings of CoaT) are written once under each of their names, and `load_weights` brings each of them back.

    Args:
        weights: `state_dict()` of the network, of any shapes.
        path: file to write.

    Raises:
        OSError: it cannot be written, such as on a full disk.
    """
    plain = {name: one.detach().clone(memory_format=torch.contiguous_format) for name, one in weights.items()}
    try:
        save_file(plain, path)
    except SafetensorError as error:
        if (number := _SYSTEM_ERROR.search(str(error))) is None:
            raise
        raise OSError(int(number[1]), os.strerror(int(number[1])), str(path)) from error


def sha256_of_weights(module: nn.Module, *, without: str | None = None) -> str:
    """Return the SHA-256 of a network's weights: names, types, shapes and bytes, in the order of their names.

    Args:
        module: the network.
        without: name of a part that is left out.
    """
    digest = hashlib.sha256()
    for name, one in sorted(module.state_dict().items()):
        if without is not None and name.startswith(f"{without}."):
            continue
        plain = one.detach().to("cpu").contiguous()
        digest.update(f"{name} {plain.dtype} {tuple(plain.shape)}\n".encode())
        digest.update(plain.reshape(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def load_weights(module: nn.Module, path: Path) -> None:
    """Load what `save_weights` wrote into a network of the same kind."""
    module.load_state_dict(load_file(path))
