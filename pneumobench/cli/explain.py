"""Commands that put questions to a finished run: explain, gallery, evaluate."""

from __future__ import annotations

from pathlib import Path

from pneumobench.cli.exit_codes import DONE
from pneumobench.cli.shown import console_for, frame_of, next_step, print_json, tell
from pneumobench.errors import SettingsError


def explain(
    run: Path,
    *,
    methods: tuple[str, ...] | None = None,
    data: str | None = None,
    architectures: tuple[str, ...] | None = None,
    folds: tuple[int, ...] | None = None,
    plugin: list[str],
    images: int | None = None,
    image: Path | None = None,
) -> int:
    """Explain the trained networks of a run further, or put one image to them.

    Args:
        run: folder of a run with its weights, e.g. runs/quickstart.
        methods: attribution methods (default: those of the suite).
        data: data folder (default: the variable PNEUMOBENCH_DATA).
        architectures: only these.
        folds: only these.
        plugin: a plugin file.
        images: images of each fold (default: as the suite says).
        image: one image instead, of the run's data or a new one.
    """
    if images is not None and image is not None:
        raise SettingsError("--image explains one image and --images many of the run's: give one of the two.")
    from pneumobench.runs.finished import open_run

    console = console_for()
    opened = open_run(run, data=data, plugins=plugin, console=console)
    if image is not None:
        answers = opened.explain_image(image, methods=methods, architectures=architectures, folds=folds)
        console.print(answers)
        tell(console, "picture", answers.picture)
        return DONE
    board = opened.explain(methods=methods, architectures=architectures, folds=folds, images=images)
    console.print(board)
    tell(console, "page", board.page)
    next_step(console, "gallery", run)
    return DONE


def gallery(
    run: Path,
    *,
    methods: tuple[str, ...] | None = None,
    data: str | None = None,
    architectures: tuple[str, ...] | None = None,
    folds: tuple[int, ...] | None = None,
    plugin: list[str],
) -> int:
    """Draw mean heat maps and every error of the trained networks of a run.

    Args:
        run: folder of a run with its weights, e.g. runs/quickstart.
        methods: attribution methods (default: those of the suite).
        data: data folder (default: the variable PNEUMOBENCH_DATA).
        architectures: only these.
        folds: only these.
        plugin: a plugin file.
    """
    from pneumobench.runs.finished import open_run

    console = console_for()
    opened = open_run(run, data=data, plugins=plugin, console=console)
    page = opened.gallery(methods=methods, architectures=architectures, folds=folds)
    tell(console, "gallery", page)
    next_step(console, "evaluate", run, "--data", "TABLE", "--name", "other")
    return DONE


def evaluate(
    run: Path,
    *,
    data: Path,
    name: str | None = None,
    architectures: tuple[str, ...] | None = None,
    folds: tuple[int, ...] | None = None,
    plugin: list[str],
    json: bool = False,
) -> int:
    """Score the trained networks of a run on images of another source, without training.

    Args:
        run: folder of a run with its weights, e.g. runs/quickstart.
        data: CSV table image,label[,patient], paths relative to it; or a folder of a layout that `audit` recognises.
        name: what the data are called (default: the name of their folder).
        architectures: only these.
        folds: only these.
        plugin: a plugin file.
        json: print the table as JSON, for a program; what is told meanwhile goes to stderr.
    """
    from pneumobench.runs.finished import open_run

    console = console_for(json=json)
    opened = open_run(run, plugins=plugin, console=console)
    found = opened.evaluate(data, name=name, architectures=architectures, folds=folds)
    console.print(found)
    tell(console, "table", found.page)
    if json:
        print_json({"page": str(found.page), "rows": frame_of(found)})
    next_step(console, "gallery", run)
    return DONE


COMMANDS = (explain, gallery, evaluate)
