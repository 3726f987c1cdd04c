"""Cards of known data sets: Markdown whose front matter states source, licence, layout and counts, strictly read."""

from __future__ import annotations

import dataclasses
import types
import typing
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from pneumobench.errors import DataError, SettingsError, suggestion
from pneumobench.suite.names import LAYOUT_GROUP, SHIPPED_LAYOUTS, is_name
from pneumobench.suite.registry import known_without_import
from pneumobench.suite.shipped import declared_folder

FENCE = "---\n"  # above and below the front matter, as in the cards of the Hugging Face hub


@dataclass(frozen=True, kw_only=True)
class ImageCounts:
    """How many images a part of a data set has as published; null = not known for certain.

    Args:
        images: images in all, those included that count as neither class.
        normal: images of label 0.
        pneumonia: images of label 1.
    """

    images: int | None
    normal: int | None
    pneumonia: int | None


@dataclass(frozen=True, kw_only=True)
class DatasetCard:
    """What is known of a published data set.

    Args:
        name: name of the card and of its file.
        pretty_name: its title.
        source: `data.source` that reads it.
        url: where it is published.
        doi: identifier of the data or their paper; empty = none.
        license: licence, by its Hugging Face identifier where it has one.
        version: which version the counts are of.
        modality: kind of image and of file.
        population: who was examined.
        patients: how images of one patient are known.
        layout: the expected tree.
        counts: images by part (train, val, test; all).
        obtain: how to get it.
        defects: what is known to be wrong with it.
        citation: how to cite it.
        kaggle: handle of the archive that `pneumobench download` fetches; empty = none.
    """

    name: str
    pretty_name: str
    source: str
    url: str
    doi: str
    license: str
    version: str
    modality: str
    population: str
    patients: str
    layout: str
    counts: Mapping[str, ImageCounts]
    obtain: str
    defects: tuple[str, ...]
    citation: str
    kaggle: str = ""


def card_names() -> list[str]:
    """Return the names of the shipped cards."""
    return sorted(path.stem for path in _folder().glob("*.md"))


def card_path(name: str) -> Path:
    """Return the file of a shipped card.

    Raises:
        SettingsError: there is none of this name; names the nearest one.
    """
    if name in card_names():
        return _folder() / f"{name}.md"
    hint = suggestion(name, card_names(), count=1)
    known = f"known are {', '.join(card_names())}."
    raise SettingsError(f"data set {name!r} has no card; {f'{hint} All {known}' if hint else known}")


def read_card(path: Path) -> DatasetCard:
    """Read the front matter of a card.

    Raises:
        DataError: no front matter, a key that is unknown or missing, or a value of another type.
    """
    text = path.read_text(encoding="utf-8")
    _, fence, rest = text.partition(FENCE)
    front, end, _ = rest.partition("\n" + FENCE)
    if not text.startswith(FENCE) or not fence or not end:
        raise DataError(f"{path}: no front matter; a card starts with lines between two lines ---.")
    try:
        values = yaml.safe_load(front)
    except yaml.YAMLError as error:
        raise DataError(f"{path}: its front matter is not YAML: {' '.join(str(error).split())}") from error
    card: DatasetCard = _typed(DatasetCard, values, str(path))
    if card.name != path.stem or not is_name(card.name):
        raise DataError(f"{path}: name is {card.name!r}; expected the name of the file, {path.stem!r}.")
    layouts = known_without_import(LAYOUT_GROUP, SHIPPED_LAYOUTS)
    if card.source not in layouts:
        raise DataError(f"{path}: source is {card.source!r}; expected one of {', '.join(layouts)}.")
    return card


def count_differences(counts: Mapping[str, ImageCounts], found: Mapping[str, Mapping[str, int]]) -> list[str]:
    """Return one line for each part and class that has another number of images than the card states.

    Args:
        counts: counts of a card.
        found: images by part and class (normal, pneumonia); a part that is not there has no images.
    """
    lines = []
    for part, published in counts.items():
        here_by_class = found.get(part, {})
        for name in ("normal", "pneumonia"):
            expected, here = getattr(published, name), here_by_class.get(name, 0)
            if expected is not None and expected != here:
                lines.append(f"{part} {name}: {here} images, {expected} are published")
    lines += [f"{part}: {sum(found[part].values())} images, none are published" for part in found if part not in counts]
    return lines


def _folder() -> Path:
    return declared_folder() / "datasets"


def _typed(kind: Any, values: Any, where: str) -> Any:
    """Build a dataclass from plain values, refusing unknown and missing keys."""
    hints = typing.get_type_hints(kind)
    if not isinstance(values, dict):
        raise DataError(f"{where}: found {values!r}; expected the keys {', '.join(hints)}.")
    for key in values:
        if key not in hints:
            raise DataError(f"{where}: unknown key {key!r}; {suggestion(str(key), hints, count=1) or 'remove it.'}")
    for item in dataclasses.fields(kind):
        if item.name not in values and item.default is dataclasses.MISSING:
            raise DataError(f"{where}: key {item.name!r} is missing; write it into the front matter.")
    return kind(**{key: _value(hints[key], value, f"{where}: {key}") for key, value in values.items()})


def _value(kind: Any, value: Any, where: str) -> Any:
    """Return a value as the type of its key asks; only the types that cards use."""
    origin = typing.get_origin(kind)
    if origin is tuple:
        fine, expected = isinstance(value, list) and all(isinstance(item, str) for item in value), "a list of texts"
        value = tuple(value) if fine else value
    elif origin is types.UnionType or kind is int:
        whole = isinstance(value, int) and not isinstance(value, bool) and value >= 0
        fine = whole or (value is None and kind is not int)
        expected = "a number of images" if kind is int else "a number of images, or null"
    elif kind is str:
        fine, expected = isinstance(value, str), "text"
    else:  # counts: ImageCounts by part
        if not isinstance(value, dict) or not value:
            raise DataError(f"{where} is {value!r}; expected parts with their counts.")
        return {str(part): _typed(ImageCounts, counts, f"{where}.{part}") for part, counts in value.items()}
    if not fine:
        raise DataError(f"{where} is {value!r}; expected {expected}.")
    return value
