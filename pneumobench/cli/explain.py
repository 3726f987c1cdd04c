"""Commands that put questions to a finished run: explain, gallery, evaluate."""

from __future__ import annotations

from pathlib import Path

from pneumobench.cli.exit_codes import CHECK_FAILED, DONE
from pneumobench.cli.shown import console_for, data_words, next_step, path_word, print_json, rows_of, tell
from pneumobench.errors import SettingsError
from pneumobench.suite.external_variants import Variant


def explain(
    run: Path,
    *,
    methods: tuple[str, ...] | None = None,
    data: str | None = None,
    architectures: tuple[str, ...] | None = None,
    folds: tuple[int, ...] | None = None,
    plugin: list[str],
    trust_plugins: bool = False,
    images: int | None = None,
    image: str | None = None,
    json: bool = False,
) -> int:
    """Explain the trained networks of a run further, or put one image to them.

    The exit code is 4 where a method that is named has no maps of a network; the reason is printed.

    Args:
        run: folder of a run with its weights, e.g. runs/quickstart.
        methods: attribution methods (default: those of the suite).
        data: data folder (default: the variable PNEUMOBENCH_DATA).
        architectures: only these.
        folds: only these.
        plugin: a plugin file; one stands for a file of its name that the suite lists.
        trust_plugins: execute the plugin files that the suite of the run lists, whatever they are.
        images: images of each fold (default: as the suite says).
        image: one image instead: a file, or the name of an image of the run.
        json: print the answers as JSON, for a program; what is told meanwhile goes to stderr.
    """
    if images is not None and image is not None:
        raise SettingsError("--image explains one image and --images many of the run's: give one of the two.")
    from pneumobench.runs.opening import open_run

    console = console_for(json=json)
    opened = open_run(run, data=data, plugins=plugin, trust_plugins=trust_plugins, console=console)
    if image is not None:
        answers = opened.explain_image(image, methods=methods, architectures=architectures, folds=folds)
        console.print(answers)
        tell(console, "picture", answers.picture)
        if json:
            print_json({"picture": str(answers.picture), "rows": rows_of(answers.to_frame())})
        return CHECK_FAILED if methods and answers.found.without_maps else DONE
    board = opened.explain(methods=methods, architectures=architectures, folds=folds, images=images)
    console.print(board)
    tell(console, "page", board.page)
    if json:
        print_json({"page": str(board.page), "rows": rows_of(board.to_frame())})
    next_step(console, "gallery", path_word(run), *data_words(data))
    return CHECK_FAILED if methods and board.without_maps else DONE


def gallery(
    run: Path,
    *,
    methods: tuple[str, ...] | None = None,
    data: str | None = None,
    architectures: tuple[str, ...] | None = None,
    folds: tuple[int, ...] | None = None,
    plugin: list[str],
    trust_plugins: bool = False,
) -> int:
    """Draw mean heat maps and every error of the trained networks of a run.

    Args:
        run: folder of a run with its weights, e.g. runs/quickstart.
        methods: attribution methods (default: those of the suite).
        data: data folder (default: the variable PNEUMOBENCH_DATA).
        architectures: only these.
        folds: only these.
        plugin: a plugin file; one stands for a file of its name that the suite lists.
        trust_plugins: execute the plugin files that the suite of the run lists, whatever they are.
    """
    from pneumobench.runs.opening import open_run

    console = console_for()
    opened = open_run(run, data=data, plugins=plugin, trust_plugins=trust_plugins, console=console)
    page = opened.gallery(methods=methods, architectures=architectures, folds=folds)
    tell(console, "gallery", page)
    next_step(console, "evaluate", path_word(run), "--data", "TABLE", "--name", "other")
    return DONE


def evaluate(
    run: Path,
    *,
    data: Path,
    overrides: list[str],
    name: str | None = None,
    architectures: tuple[str, ...] | None = None,
    folds: tuple[int, ...] | None = None,
    variants: tuple[Variant, ...] = (),
    own_data: str | None = None,
    plugin: list[str],
    trust_plugins: bool = False,
    json: bool = False,
) -> int:
    """Score the trained networks of a run on images of another source, without training.

    Settings of the data are given as for `audit`, e.g. `--data.columns.image "Image Index"`.

    Args:
        run: folder of a run with its weights, e.g. runs/quickstart.
        data: CSV table image,label[,patient], paths relative to it; or a folder of a layout that `audit` recognises.
        overrides: settings of the data.
        name: what the data are called (default: the name of their folder).
        architectures: only these.
        folds: only these.
        variants: show the images in these other ways too, and what gray levels alone say of the label in both sets.
        own_data: folder of the run's own images, which variants are compared with (default: PNEUMOBENCH_DATA).
        plugin: a plugin file; one stands for a file of its name that the suite lists.
        trust_plugins: execute the plugin files that the suite of the run lists, whatever they are.
        json: print the table as JSON, for a program; what is told meanwhile goes to stderr.
    """
    from pneumobench.datasets.sources import recognised_data
    from pneumobench.runs.opening import open_run
    from pneumobench.suite.reader import with_data_overrides

    asked = with_data_overrides(recognised_data(data), overrides)
    console = console_for(json=json)
    opened = open_run(run, data=own_data, plugins=plugin, trust_plugins=trust_plugins, console=console)
    found = opened.evaluate(asked, name=name, architectures=architectures, folds=folds, variants=variants)
    console.print(found)
    tell(console, "table", found.page)
    if variants:
        tell(console, "variants", found.page.parent / "variants" / found.page.name)
    if json:
        other_ways = {"variants": str(found.page.parent / "variants" / found.page.name)} if variants else {}
        print_json({"page": str(found.page), "rows": rows_of(found.to_frame()), **other_ways})
    next_step(console, "leaderboard", path_word(run))
    return DONE


COMMANDS = (explain, gallery, evaluate)
