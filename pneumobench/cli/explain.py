"""Commands that put questions to a finished run: explain, gallery, evaluate."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from pneumobench.cli.options import folds_asked
from pneumobench.errors import SettingsError

if TYPE_CHECKING:
    from pneumobench.runs.questions import Questions


def _questions(options: argparse.Namespace) -> Questions:
    from pneumobench.runs.questions import Questions

    return Questions(
        data=getattr(options, "data", None),
        methods=options.methods.split(",") if getattr(options, "methods", None) else None,
        folds=folds_asked(options.folds),
        architectures=options.architectures.split(",") if options.architectures else None,
        plugins=options.plugin,
    )


def explain(options: argparse.Namespace, rest: list[str]) -> int:
    """Explain the networks of a run further, or put one image to them."""
    del rest
    from rich.console import Console

    from pneumobench.reporting.image_answers import image_table
    from pneumobench.reporting.terminal import print_leaderboard
    from pneumobench.runs import questions

    if options.images is not None and options.images < 1:
        raise SettingsError(f"--images {options.images}: expected 1 or more.")
    if options.images is not None and options.image is not None:
        raise SettingsError("--image explains one image and --images many of the run's: give one of the two.")
    console = Console()
    if options.image is not None:
        radiograph = questions.explain_image(options.run, options.image, _questions(options), console=console)
        console.print(image_table(radiograph))
        console.print(f"picture: {radiograph.picture}", highlight=False, soft_wrap=True)
        return 0
    paths = questions.explain(options.run, _questions(options), images=options.images, console=console)
    print_leaderboard(paths.board, console)
    console.print(f"page: {paths.page}", highlight=False, soft_wrap=True)
    return 0


def evaluate(options: argparse.Namespace, rest: list[str]) -> int:
    """Score the networks of a run on images of another source."""
    del rest
    from rich.console import Console

    from pneumobench.reporting.external_table import external_table, write_external_table
    from pneumobench.reporting.words import patients_words
    from pneumobench.runs import questions

    data = options.data.resolve()
    console, name = Console(), options.name or (data if data.is_dir() else data.parent).name.lower()
    found = questions.evaluate(options.run, options.data, _questions(options), name=name, console=console)
    table = found.index.table
    what = f"{len(table):,} images of {patients_words(found.source, table['patient'].nunique())} "
    what += f"({int(table['label'].sum()):,} with pneumonia)."
    if found.three_classes:
        what += " The networks were trained on three classes; here bacterial and viral are one, pneumonia."
    console.print(external_table(name, found.scores))
    shown = "DATA" if data.is_dir() else f"DATA/{data.name}"
    command = f"pneumobench evaluate {Path(*options.run.parts[-2:])} --data {shown} --name {name}"
    page = write_external_table(found.folder, name, what, found.scores, command)
    console.print(f"table: {page}", highlight=False, soft_wrap=True)
    return 0


def gallery(options: argparse.Namespace, rest: list[str]) -> int:
    """Draw the gallery of a run."""
    del rest
    from rich.console import Console

    from pneumobench.runs import questions

    console = Console()
    page = questions.draw_gallery(options.run, _questions(options), console=console)
    console.print(f"gallery: {page}", highlight=False, soft_wrap=True)
    return 0
