"""Turn a checkpoint of PyTorch (.pt, .pth, .bin) into a safetensors file that `architectures.weights` can name.

python benchmark/weights/as_safetensors.py CHECKPOINT FOLDER/NAME.safetensors

Only tensors are read: a checkpoint that holds code, such as a whole pickled module, is refused. Tensors that lie
deeper, under model_ema, model, module or state_dict, are found. Names stay as they are.
"""

from __future__ import annotations

import argparse
import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import torch
from torch import Tensor

from pneumobench.architectures.weights_file import save_weights

WRAPPINGS: Final = ("model_ema", "model", "module", "state_dict")  # around the tensors, from outside


def main(arguments: list[str] | None = None) -> None:
    """Write the file."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("file", type=Path, help="NAME.safetensors, with NAME of the architecture")
    given = parser.parse_args(arguments)
    if given.file.suffix != ".safetensors":
        raise SystemExit(f"{given.file}: expected a name that ends with .safetensors.")
    try:
        tensors = tensors_in(torch.load(given.checkpoint, map_location="cpu", weights_only=True))
    except (OSError, RuntimeError, EOFError, ValueError, pickle.UnpicklingError) as error:
        text = " ".join(str(error).split())[:200]
        raise SystemExit(f"{given.checkpoint}: not a checkpoint of tensors alone: {text}") from error
    given.file.parent.mkdir(parents=True, exist_ok=True)
    save_weights(tensors, given.file)
    print(f"{given.file}: {len(tensors)} tensors")


def tensors_in(checkpoint: Any) -> dict[str, Tensor]:
    """Return the tensors of a checkpoint by name.

    Raises:
        ValueError: there are none.
    """
    for wrapping in WRAPPINGS:
        if isinstance(checkpoint, Mapping) and isinstance(checkpoint.get(wrapping), Mapping):
            checkpoint = checkpoint[wrapping]
    found = checkpoint.items() if isinstance(checkpoint, Mapping) else ()
    tensors = {str(name): one for name, one in found if isinstance(one, Tensor)}
    if not tensors:
        raise ValueError("it has no tensors by name")
    return tensors


if __name__ == "__main__":
    main()
