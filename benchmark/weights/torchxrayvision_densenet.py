"""Turn weights of TorchXRayVision into a folder that `architectures.weights` can name.

uv run --with torchxrayvision python benchmark/weights/torchxrayvision_densenet.py FOLDER [--weights NAME]

They are published as a pickled module, which only that package can read; it fetches them from its own releases. What is
written is for the architecture of benchmark/plugins/torchxrayvision_densenet.py, with a card that says which data sets
they were trained on.
"""

from __future__ import annotations

import argparse
import importlib
import json
from pathlib import Path
from typing import Final

from pneumobench.architectures.weights_file import save_weights

ARCHITECTURE: Final = "torchxrayvision_densenet121"
PREFIX: Final = "densenet121-res224-"
# what each was trained on, by the names of data layouts where there is one; RSNA's images are from NIH
TRAINED_ON: Final = {
    "all": ("nih", "rsna", "chexpert", "padchest", "mimic_cxr", "openi"),
    "rsna": ("rsna", "nih"),
    "nih": ("nih", "rsna"),
    "pc": ("padchest",),
    "chex": ("chexpert",),
    "mimic_nb": ("mimic_cxr",),
    "mimic_ch": ("mimic_cxr",),
}


def main(arguments: list[str] | None = None) -> None:
    """Write NAME.safetensors and NAME.json."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("folder", type=Path, help="where the files go")
    parser.add_argument("--weights", default=f"{PREFIX}all", choices=[PREFIX + name for name in TRAINED_ON])
    given = parser.parse_args(arguments)
    try:
        package = importlib.import_module("torchxrayvision")
    except ImportError as error:
        raise SystemExit(f"{error}: start this script with `uv run --with torchxrayvision python`.") from error
    network = package.models.DenseNet(weights=given.weights)
    given.folder.mkdir(parents=True, exist_ok=True)
    save_weights(network.state_dict(), given.folder / f"{ARCHITECTURE}.safetensors")
    card = {
        "source": f"TorchXRayVision {given.weights}, https://github.com/mlmed/torchxrayvision, arXiv 2002.02497",
        "licence": "Apache-2.0",
        "trained_on": list(TRAINED_ON[given.weights.removeprefix(PREFIX)]),
    }
    (given.folder / f"{ARCHITECTURE}.json").write_text(json.dumps(card, indent=1) + "\n", encoding="utf-8")
    print(f"{given.folder}: {ARCHITECTURE} from {given.weights}")


if __name__ == "__main__":
    main()
