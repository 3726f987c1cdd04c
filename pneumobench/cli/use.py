"""Commands that use what a run made: bundle its networks, and ask them about new images."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal

from pneumobench.cli.exit_codes import CHECK_FAILED, DONE
from pneumobench.cli.shown import answer, console_for, next_step, path_word, print_json, tell
from pneumobench.errors import SettingsError
from pneumobench.texts import counted

if TYPE_CHECKING:
    from pneumobench.prediction.answers import Prediction

SHOWN: Final = 20  # answers in the terminal; a table takes any number


def bundle(
    run: Path,
    *,
    to: Path,
    architecture: str | None = None,
    data: str | None = None,
    plugin: list[str],
    trust_plugins: bool = False,
    json: bool = False,
) -> int:
    """Write the trained networks of a run as a bundle: weights of all folds and all that is needed to use them.

    In it are preparation, temperature and thresholds as data, a model card, and what usual images are like: 1,000
    training images shrunk to 16 x 16 pixels and features of 400 for each network, without a name. No program.

    Args:
        run: folder of a finished run with its weights, e.g. runs/quickstart.
        to: the bundle: a new folder, or a file NAME.zip.
        architecture: a network or an ensemble of the leaderboard (default: the best network).
        data: radiographs of the run (default: the variable PNEUMOBENCH_DATA).
        plugin: a plugin file; one stands for a file of its name that the suite lists.
        trust_plugins: execute the plugin files that the suite of the run lists, whatever they are.
        json: print what was written as JSON, for a program.
    """
    from pneumobench.runs.bundling import make_bundle
    from pneumobench.runs.opening import open_run

    console = console_for(json=json)
    opened = open_run(run, data=data, plugins=plugin, trust_plugins=trust_plugins, console=console)
    made = make_bundle(opened, to, architecture=architecture)
    size = sum(path.stat().st_size for path in ([to] if to.is_file() else to.iterdir()))
    console.print(f"{counted(len(made.folds), 'fold')} of {', '.join(sorted(made.networks))}, {size / 1e6:.1f} MB")
    tell(console, "bundle", to)
    if json:
        print_json({"bundle": str(to), "name": made.name, "architecture": made.architecture, "bytes": size})
    next_step(console, "predict", path_word(to), "IMAGES")
    return DONE


def export(
    bundle: Path,
    *,
    onnx: bool = False,
    to: Path,
    precision: Literal["fp32", "fp16", "int8"] = "fp32",
    data: Path | None = None,
    images: int = 200,
    plugin: list[str],
    json: bool = False,
) -> int:
    """Write a bundle as ONNX graphs, which `pneumobench predict` runs without PyTorch, and compare their answers.

    The networks of all folds are one graph: squeezing, normalisation, temperatures and sigmoid included. Both are asked
    about the same images; what lies beyond 1e-4 of a probability (fp16: 1e-2) or 1e-3 of AUC is written all the
    same, and the exit code is 4. The packages of the extra `onnx` are used.

    Args:
        bundle: what `pneumobench bundle` wrote.
        onnx: the form; there is no other yet.
        to: the exported bundle: a new folder, or a file NAME.zip.
        precision: fp32; fp16, which computes in half precision; int8, with kernels stored in eight bits.
        data: radiographs with labels that both are asked about, a folder or a table (default: phantoms).
        images: how many of them, half of them with pneumonia.
        plugin: a plugin file that registers an architecture of the bundle.
        json: print what was written as JSON, for a program.
    """
    from pneumobench.reporting.exported_card import parity_lines
    from pneumobench.runs.exporting import export_onnx

    if not onnx:
        raise SettingsError("found no form to export to; expected --onnx.")
    console = console_for(json=json)
    plugins = [Path(one) for one in plugin]
    made = export_onnx(
        bundle, to, precision=precision, data=data, images=images, plugins=plugins, console=console
    )  # fmt: skip
    for line in parity_lines(made.parity):
        console.print(line, highlight=False, soft_wrap=True)
    console.print(f"{precision}, {sum(made.sizes.values()) / 1e6:.1f} MB")
    tell(console, "exported bundle", to)
    if json:
        print_json({"bundle": str(to), "bytes": sum(made.sizes.values()), "parity": made.parity.plain()})
    if beyond := made.parity.beyond():
        for line in beyond:
            tell(console, f"{to} answers otherwise than PyTorch", line)
        return CHECK_FAILED
    next_step(console, "predict", path_word(to), "IMAGES")
    return DONE


def predict(
    bundle: Path,
    images: list[Path],
    *,
    to: Path | None = None,
    heat_maps: Path | None = None,
    dicom: Path | None = None,
    without_review: bool = False,
    workers: int = 2,
    device: str = "cpu",
    data: str | None = None,
    plugin: list[str],
    json: bool = False,
) -> int:
    """Ask the networks of a bundle about images: calibrated probability, decision, and why a person should look.

    For research, not for diagnosis. Images are JPEG, PNG or DICOM files, folders that are searched, or a table with a
    column `image`. A file that cannot be read costs only itself: it is listed, and the exit code is 4. A start that was
    cut off goes on where it ended.

    Args:
        bundle: what `pneumobench bundle` or `export` wrote, or a run: then the bundle of its best network is made in
            its folder.
        images: files, folders, or tables.
        to: table of the answers, NAME.csv or NAME.json (default: they are printed).
        heat_maps: folder for a picture of each image and where the networks look.
        dicom: folder for the results about each DICOM image as DICOM: picture, structured report, heat map.
        without_review: look for no reasons to have a person look, which is quicker.
        workers: threads that read and decode.
        device: what computes, e.g. cuda.
        data: radiographs of the run, where a run is named (default: the variable PNEUMOBENCH_DATA).
        plugin: a plugin file that registers an architecture of the bundle.
        json: print the answers as JSON, for a program; what is told meanwhile goes to stderr.
    """
    import tempfile

    from rich.progress import Progress

    from pneumobench.prediction.dicom.extra import required
    from pneumobench.prediction.predicted_files import predict_files
    from pneumobench.prediction.sources import image_files
    from pneumobench.reporting.predictions import predictions_table, reason_lines
    from pneumobench.runs.using import draw_heat_map, predictor_of, write_dicom

    if workers < 1:
        raise SettingsError(f"--workers {workers}: expected 1 or more.")
    console = console_for(json=json)
    if dicom is not None:
        required("--dicom")
    files = image_files(images)
    no_dicom: list[str] = []
    predictor = predictor_of(bundle, data=data, plugins=[Path(one) for one in plugin], device=device, console=console)
    if heat_maps is not None or dicom is not None:
        predictor.check_maps()
    shown: list[Prediction] = []
    with (
        tempfile.TemporaryDirectory() as folder,
        Progress(console=console, transient=True, disable=not console.is_terminal) as progress,
    ):
        task = progress.add_task("asking", total=len(files))

        def told(one: Prediction) -> None:
            progress.advance(task)
            if len(shown) < SHOWN:
                shown.append(one)
            if heat_maps is not None and not one.problem:
                draw_heat_map(predictor, Path(one.image), one, heat_maps)
            if dicom is not None and not one.problem and (why := write_dicom(predictor, one, dicom)):
                no_dicom.append(why)

        table = Path(folder) / "answers.json" if to is None else to
        found = predict_files(predictor, files, table, review=not without_review, workers=workers, tell=told)
        answers = table.read_text(encoding="utf-8") if json and to is None else ""
    console.print(predictions_table(predictor.bundle, shown))
    for line in reason_lines(shown):
        console.print(line, highlight=False)
    if found.images > len(shown):
        console.print(f"{counted(found.images, 'image')}, {len(shown)} of them shown")
    console.print(
        f"pneumonia: {found.called} of {found.images}; for a person to look at: "
        + ("not looked for" if found.review is None else str(found.review))
        + (f"; answered before: {found.again}" if found.again else ""),
        highlight=False,
    )
    for problem in found.problems[:SHOWN]:
        tell(console, "not answered", problem)
    if heat_maps is not None:
        tell(console, "heat maps", heat_maps)
    if dicom is not None:
        tell(console, "DICOM results", dicom)
        for why in no_dicom[:SHOWN]:
            tell(console, "no DICOM result", why)
        if len(no_dicom) > SHOWN:
            console.print(f"{counted(len(no_dicom) - SHOWN, 'further image')} without a DICOM result")
    if to is not None:
        tell(console, "table", to)
    if json and to is None:
        answer(answers)
    elif json:
        print_json({"table": str(to), "images": found.images, "pneumonia": found.called, "review": found.review})
    return CHECK_FAILED if found.problems else DONE


COMMANDS = (bundle, export, predict)
