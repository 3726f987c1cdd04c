"""A bundle, or a run whose bundle is made when it is first asked for -> what answers; and pictures of its maps.

Functions import what needs PyTorch: an exported bundle answers without it.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from pneumobench.attributions.overlays import Tile, write_panel
from pneumobench.errors import SettingsError, UnreadableImageError
from pneumobench.files import sha256_of_file
from pneumobench.prediction.answers import Prediction
from pneumobench.prediction.asked import AskedBundle
from pneumobench.prediction.bundle import FOR_RESEARCH, is_bundle, open_bundle
from pneumobench.prediction.loading import asked_bundle
from pneumobench.records.run_folder import RunFolder
from pneumobench.suite.registry import load_plugin_file


def predictor_of(
    path: Path, *, data: str | None, plugins: Sequence[Path], device: str, console: Console
) -> AskedBundle:
    """Open a bundle; of a run, the bundle of its best network, which is made in the run's folder where it is missing.

    Args:
        path: bundle, exported or not, or folder of a run with its weights.
        data: radiographs of the run, which usual images are measured on; None = the variable PNEUMOBENCH_DATA.
        plugins: files that register architectures.
        device: what computes, in the words of PyTorch.
        console: where it is told what is made.

    Raises:
        SettingsError: it is neither a bundle nor a run, or the device is not there.
        RecordError: a file was changed, or the bundle is of another state of the run.
    """
    folder = RunFolder(path)
    if is_bundle(path) or not folder.suite_yaml.is_file():
        for plugin in plugins:
            load_plugin_file(plugin)
        return asked_bundle(open_bundle(path), device=device)
    from pneumobench.runs.bundling import make_bundle
    from pneumobench.runs.opening import open_run

    run = open_run(path, data=data, plugins=plugins, console=console)  # which loads them
    if not folder.bundle.exists():
        console.print(f"making the bundle of its best network: {folder.bundle}", highlight=False, soft_wrap=True)
        make_bundle(run, folder.bundle)
    predictor = asked_bundle(open_bundle(folder.bundle), device=device)
    made_of = predictor.bundle.origin["hashes"]
    record = next(iter(folder.records()), None)
    if record is None or any(made_of[key] != record.hashes[key] for key in ("suite", "index", "folds")):
        raise SettingsError(f"{folder.bundle}: is of another state of the run; delete it, and it is made anew.")
    return predictor


def draw_heat_map(predictor: AskedBundle, image: Path, said: Prediction, folder: Path) -> Path:
    """Draw an image beside its mean Grad-CAM map, with what is said of it, and return the picture.

    Args:
        predictor: the networks.
        image: its file.
        said: the answer about it.
        folder: where the picture goes; it is named by the file and its content.
    """
    from pneumobench.runs.gallery import image_tiles

    (prepared,) = predictor.prepare([image])
    (heat,) = predictor.explain([image])
    first, second = image_tiles(prepared.radiograph, {"heat map": heat}, prepared.lungs)
    title = Tile(title=f"pneumonia {said.probability:.3f}", picture=first.picture)
    picture = folder / f"{re.sub(r'[^A-Za-z0-9_.-]+', '-', image.stem)}-{sha256_of_file(image)[:8]}.jpg"
    write_panel(picture, [[title, second]], legend=True, warnings=[FOR_RESEARCH, *said.reasons.values()])
    return picture


def write_dicom(predictor: AskedBundle, said: Prediction, folder: Path) -> str:
    """Write the DICOM results about an image into a folder; return why there are none, or nothing.

    Args:
        predictor: the networks.
        said: the answer, which names the file.
        folder: where results go.
    """
    from pneumobench.prediction.dicom.results import write_results

    try:
        written = write_results(predictor, Path(said.image), said, folder)
    except UnreadableImageError as error:
        return str(error)
    return "" if written else f"{said.image}: is no DICOM file."
