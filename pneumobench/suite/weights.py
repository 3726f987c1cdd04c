"""Where initial weights come from, as a suite writes it, and their files with the cards beside them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from pneumobench.errors import SettingsError
from pneumobench.suite.named_values import named_values

NONE: Final = "none"
IMAGENET: Final = "imagenet"
SELF_SUPERVISED: Final = "self_supervised"  # pretrained on the training part of each fold, see PretrainingSpec
HUB: Final = "hf-hub:"
PACKAGE: Final = "package:"
TRAINED_ON: Final = "weights_trained_on"  # in the record of a job: data sets of its weights, with commas
CARD_KEYS: Final = ("source", "licence", "pixel_mean", "pixel_std", "trained_on")


def is_folder(source: str) -> bool:
    """Tell whether a source is a folder of this machine, which nobody else has under this name."""
    return source not in (NONE, IMAGENET, SELF_SUPERVISED) and not source.startswith((HUB, PACKAGE))


def public_source(source: str) -> str:
    """Return a source without the folders of this machine.

    >>> public_source("/home/me/lite"), public_source("hf-hub:timm/resnet18.a1_in1k")
    ('lite', 'hf-hub:timm/resnet18.a1_in1k')
    """
    return Path(source).name if is_folder(source) else source


def sources_by_name(entries: Sequence[str]) -> dict[str, str]:
    """Return the source of each architecture that entries NAME=SOURCE name.

    >>> sources_by_name(["resnet18=imagenet", "vit_tiny_patch16_224 = package:my_weights"])
    {'resnet18': 'imagenet', 'vit_tiny_patch16_224': 'package:my_weights'}

    Raises:
        SettingsError: an entry is not NAME=SOURCE, or names an architecture again.
    """
    return named_values(entries, where="architectures.weights_of", example="resnet18=imagenet")


@dataclass(frozen=True, kw_only=True)
class WeightsCard:
    """What stands in NAME.json beside NAME.safetensors; each part may be missing.

    Args:
        source: what was trained where, by whom: an address, a DOI or a sentence.
        licence: under which the weights may be used.
        pixel_mean: mean of pixels in [0, 1] that the weights were trained with; None = that of the architecture.
        pixel_std: their standard deviation.
        trained_on: data sets that they were trained on, by the names of data layouts where there is one (`nih`,
            `chexpert`): networks that start from them do not meet those images for the first time.
    """

    source: str = ""
    licence: str = ""
    pixel_mean: float | None = None
    pixel_std: float | None = None
    trained_on: tuple[str, ...] = ()

    def over(self, other: WeightsCard) -> WeightsCard:
        """Return this card with the parts of another one where it has none.

        >>> WeightsCard(source="mine").over(WeightsCard(source="theirs", licence="MIT"))
        WeightsCard(source='mine', licence='MIT', pixel_mean=None, pixel_std=None, trained_on=())
        """
        return WeightsCard(
            source=self.source or other.source,
            licence=self.licence or other.licence,
            pixel_mean=other.pixel_mean if self.pixel_mean is None else self.pixel_mean,
            pixel_std=other.pixel_std if self.pixel_std is None else self.pixel_std,
            trained_on=self.trained_on or other.trained_on,
        )


def comes_as_file(source: str) -> bool:
    """Tell whether weights of this source are files NAME.safetensors, in a folder or a package."""
    return source not in (NONE, IMAGENET, SELF_SUPERVISED) and not source.startswith(HUB)


def weights_file(name: str, source: str) -> Path:
    """Return the file with the initial weights of an architecture.

    Args:
        name: name of the architecture.
        source: a folder, or `package:MODULE`.

    Raises:
        SettingsError: the package is not installed, or there is no such file.
    """
    folder = _package_folder(source.removeprefix(PACKAGE)) if source.startswith(PACKAGE) else Path(source).expanduser()
    file = folder / f"{name}.safetensors"
    if not file.is_file():
        raise SettingsError(
            f"{file}: no such weights file. architectures.weights names a folder or package with one NAME.safetensors "
            "for each architecture; or set it to imagenet or none, or name others in architectures.weights_of."
        )
    return file


def weights_card(file: Path) -> WeightsCard:
    """Read the card of a weights file, NAME.json beside it; an empty one where there is none.

    Raises:
        SettingsError: the card is not an object of text and numbers with the keys of `WeightsCard`.
    """
    path = file.with_suffix(".json")
    if not path.is_file():
        return WeightsCard()
    wrong = f"{path}: expected an object with some of {', '.join(CARD_KEYS)}"
    try:
        plain = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise SettingsError(f"{wrong}: {error}.") from error
    if not isinstance(plain, dict):
        raise SettingsError(f"{wrong}, found {type(plain).__name__}.")
    for key, value in plain.items():
        if key not in CARD_KEYS:
            raise SettingsError(f"{wrong}, found the key {key!r}.")
        if key == "trained_on":
            if not isinstance(value, list) or not all(isinstance(one, str) and one for one in value):
                raise SettingsError(f"{wrong}; trained_on is {value!r}, expected a list of names of data sets.")
            continue
        number = key.startswith("pixel_")
        if isinstance(value, bool) or not isinstance(value, (int, float) if number else str):
            raise SettingsError(f"{wrong}; {key} is {value!r}, expected {'a number' if number else 'text'}.")
        if key == "pixel_std" and not float(value) > 0:
            raise SettingsError(f"{wrong}; pixel_std is {value!r}, expected a number above 0.")
    return WeightsCard(**{**plain, "trained_on": tuple(plain.get("trained_on", ()))})


def _package_folder(module: str) -> Path:
    try:
        found = find_spec(module)
    except (ImportError, ValueError):
        found = None
    places = found.submodule_search_locations if found is not None else None
    if not places:
        raise SettingsError(f"{PACKAGE}{module}: no package of this name is installed; install it, or name a folder.")
    return Path(next(iter(places)))
