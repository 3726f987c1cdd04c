"""Files beside suite and images that shape a run, by their content: code of plugins, initial weights, lung masks."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final

from pneumobench.datasets.index import Index
from pneumobench.datasets.pixel_cache import content_hash
from pneumobench.errors import SettingsError
from pneumobench.files import sha256_of_file, sha256_of_text
from pneumobench.lungs.tiers import mask_tier
from pneumobench.records.job_record import LUNG_MASKS, ORIGINAL_SIZES, PLUGIN, SEGMENTER, WEIGHTS
from pneumobench.suite.registry import loaded_files
from pneumobench.suite.spec import Suite
from pneumobench.suite.weights import comes_as_file, weights_file

PACKAGE: Final = Path(__file__).resolve().parents[1]
SEGMENTER_FOLDER: Final = PACKAGE / "lungs" / "weights"


def inputs_of(suite: Suite, index: Index) -> dict[str, str]:
    """Return the SHA-256 of everything that shapes a run's jobs and that neither its suite nor its index holds.

    Args:
        suite: the settings; its plugins are loaded.
        index: the images.
    """
    found = {f"{PLUGIN}{name}": sha256_of_file(file) for name, file in plugin_files(suite)}
    for name in suite.architectures.names:
        if comes_as_file(source := suite.architectures.weights_source(name)):
            with suppress(SettingsError):  # a file that is not there is refused where it is loaded
                found[f"{WEIGHTS}{name}"] = sha256_of_file(weights_file(name, source))
    if suite.controls.original_sizes and (sizes := index.root / suite.controls.original_sizes).is_file():
        found[ORIGINAL_SIZES] = sha256_of_file(sizes)
    return {**found, **lung_inputs(suite, index)}


def lung_inputs(suite: Suite, index: Index) -> dict[str, str]:
    """Return the SHA-256 of manual lung masks and of the segmenter, as far as the suite uses them."""
    found = {}
    named = [index.root / mask for mask in index.table["lung_mask"] if mask]
    tier = mask_tier(suite.data, drawn_masks=bool(named))
    if named and tier == "drawn":
        found[LUNG_MASKS] = content_hash(named)
    stands_in = tier == "drawn" and 0 < len(named) < len(index.table)
    if tier == "segmented" or suite.data.crop == "adaptive" or stands_in:
        files = sorted(file for file in SEGMENTER_FOLDER.iterdir() if file.is_file())
        found[SEGMENTER] = sha256_of_text("\n".join(f"{file.name} {sha256_of_file(file)}" for file in files))
    return found


def plugin_files(suite: Suite) -> Iterator[tuple[str, Path]]:
    """Return name and place of every plugin of a suite, and of the modules beside its file that it imported."""
    names = {*suite.architectures.names, *suite.controls.names, *suite.explanation.methods, suite.data.source}
    for plugin in loaded_files(names):
        if plugin.is_relative_to(PACKAGE) or not plugin.is_file():
            continue
        yield plugin.name, plugin
        for module in list(sys.modules.values()):
            path = Path(getattr(module, "__file__", None) or "")
            beside = path.suffix == ".py" and path != plugin and path.is_relative_to(plugin.parent)
            if beside and path.is_file() and not _is_installed(path):
                yield path.relative_to(plugin.parent).as_posix(), path


def _is_installed(path: Path) -> bool:
    return path.is_relative_to(PACKAGE) or path.is_relative_to(sys.prefix) or path.is_relative_to(sys.base_prefix)
