"""A bundle -> the same as ONNX graphs that need no PyTorch, with how far their answers lie from those of PyTorch."""

from __future__ import annotations

import dataclasses
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray
from rich.console import Console

from pneumobench.datasets.sources import list_radiographs, recognised_data
from pneumobench.errors import DataError, SettingsError, UnreadableImageError, require_packages
from pneumobench.files import canonical_json
from pneumobench.prediction.bundle import BUNDLE_JSON, CARD, Bundle, ExportedGraph, OpenedBundle, open_bundle
from pneumobench.prediction.bundle_files import SUMS, sums_text, write_bundle
from pneumobench.prediction.exported_networks import lungs_graph, networks_graph
from pneumobench.prediction.exported_precision import in_eight_bits
from pneumobench.prediction.onnx_predictor import OnnxPredictor
from pneumobench.prediction.parity import Parity, parity_of
from pneumobench.prediction.predictor import Predictor
from pneumobench.radiographs.formats import read_gray
from pneumobench.reporting.exported_card import exported_card
from pneumobench.suite.phantoms import PhantomSpec
from pneumobench.suite.registry import load_plugin_file
from pneumobench.suite.spec import DataSpec, Suite

COMPARED: Final = 200  # images that both sides are asked about
PHANTOMS: Final = PhantomSpec(patients=24, official_test_patients=0)
PHANTOM_WORDS: Final = "phantoms, which are drawn"


@dataclass(frozen=True, kw_only=True)
class Exported:
    """An exported bundle.

    Args:
        bundle: what it is.
        parity: how far it lies from PyTorch.
        sizes: bytes of each of its files.
    """

    bundle: Bundle
    parity: Parity
    sizes: Mapping[str, int]


def export_onnx(
    path: Path,
    to: Path,
    *,
    precision: str = "fp32",
    data: Path | None = None,
    images: int = COMPARED,
    plugins: Sequence[Path] = (),
    console: Console,
) -> Exported:
    """Write the networks of a bundle as ONNX graphs, ask both about images, and keep how far they lie apart.

    What lies beyond the bars is written all the same: `Exported.parity.beyond()` says it.

    Args:
        path: the bundle.
        to: the exported one: a new folder, or a file NAME.zip.
        precision: fp32, fp16 or int8.
        data: folder or table of radiographs with labels that both are asked about; None = phantoms.
        images: how many of them at most, half of them with pneumonia.
        plugins: files that register architectures of it.
        console: where it is told what is done.

    Raises:
        SettingsError: `to` is there, the bundle is an exported one, or packages are not installed.
        NotAvailableError: a network cannot be exported; names it.
        DataError: no image of the data can be read.
        RecordError: a file of the bundle was changed.
    """
    if to.exists():
        raise SettingsError(f"--to {to}: is there already; choose another place, or delete it.")
    if images < 1:
        raise SettingsError(f"--images {images}: expected 1 or more.")
    require_packages("onnx", "onnx", "onnxscript", "onnxruntime", why="export --onnx")
    for plugin in plugins:
        load_plugin_file(plugin)
    opened = open_bundle(path)
    if opened.bundle.exported is not None:
        raise SettingsError(f"{path}: is an exported bundle already; name the one that it was made from.")
    predictor = Predictor(opened)
    grays, labels, source = _compared(data, images)
    console.print(f"exporting {len(predictor.networks)} networks and the lung segmenter", highlight=False)
    graph, features = networks_graph(predictor, half=precision == "fp16")
    if precision == "int8":
        graph = in_eight_bits(graph)
    exported = ExportedGraph(precision=precision, features=features, made_of=opened.sha256)  # type: ignore[arg-type]
    bundle = dataclasses.replace(opened.bundle, exported=exported)
    files = _kept(opened) | {
        BUNDLE_JSON: bundle.to_json().encode(),
        exported.file: graph,
        exported.lungs: lungs_graph(),
    }
    console.print(f"asking both about {len(grays)} images: {source}", highlight=False, soft_wrap=True)
    read = OpenedBundle(bundle=bundle, sha256="", read=files.__getitem__, path=to)
    parity = parity_of(predictor, OnnxPredictor(read), grays, labels, source)
    files[exported.parity] = canonical_json(parity.plain()).encode()
    files[CARD] = exported_card(opened.read(CARD).decode(), bundle, parity).encode()
    files[SUMS] = sums_text(files).encode()
    write_bundle(to, files)
    return Exported(bundle=bundle, parity=parity, sizes={name: len(content) for name, content in files.items()})


def _kept(opened: OpenedBundle) -> dict[str, bytes]:
    """Return the files of a bundle that an exported one has, too."""
    others = {*opened.bundle.network_files, BUNDLE_JSON, CARD, SUMS}
    return {name: opened.read(name) for name in opened.names if name not in others}


def _compared(data: Path | None, images: int) -> tuple[list[NDArray[np.uint8]], list[int], str]:
    """Return gray levels and labels of images, drawn with equal shares of both labels, and where they are from."""
    spec = DataSpec(phantoms=PHANTOMS) if data is None else recognised_data(data)
    with tempfile.TemporaryDirectory() as folder:
        root, listing = list_radiographs(Suite(data=spec), Path(folder))
        rows = listing.rows
        random = np.random.default_rng(0)
        chosen = []
        for label in (0, 1):
            places = random.permutation(np.flatnonzero((rows["label"] == label).to_numpy()))
            chosen += places[: (images + label) // 2].tolist()
        grays, labels = [], []
        for place in sorted(chosen):
            try:
                grays.append(read_gray(root / str(rows["image_id"].iloc[place])))
            except UnreadableImageError:
                continue
            labels.append(int(rows["label"].iloc[place]))
    if not grays:
        raise DataError(f"{root}: found no image that can be read; expected some, to compare answers on.")
    return grays, labels, PHANTOM_WORDS if data is None else root.name
