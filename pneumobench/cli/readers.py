"""Commands that put images and heat maps to readers of radiographs, and score their answers."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from pneumobench.cli.exit_codes import DONE
from pneumobench.cli.shown import console_for, fields_of, next_step, path_word, print_json, tell

if TYPE_CHECKING:
    from rich.console import Console


def reader_study(
    run: Path,
    *,
    images: int = 40,
    architecture: str | None = None,
    method: str = "gradcam",
    errors: float | None = None,
    seed: int = 0,
    to: Path | None = None,
    data: str | None = None,
    plugin: list[str],
    trust_plugins: bool = False,
) -> int:
    """Write a page on which readers read test images of a run, with and without the help of a network.

    The folder `readers` is for the readers and works without a network. `key.json` says what the images show and stays
    with the investigator.

    Args:
        run: folder of a run with its weights, e.g. runs/quickstart.
        images: how many images, one of a patient.
        architecture: whose help (default: the best of the leaderboard).
        method: attribution method of the heat maps.
        errors: share of the images that the network calls wrongly (default: as in the run).
        seed: another seed draws other images.
        to: folder of the study (default: reader-study in the run).
        data: data folder (default: the variable PNEUMOBENCH_DATA).
        plugin: a plugin file; one stands for a file of its name that the suite lists.
        trust_plugins: execute the plugin files that the suite of the run lists, whatever they are.
    """
    from pneumobench.runs.reader_study import make_reader_study
    from pneumobench.texts import counted

    console = console_for()
    made = make_reader_study(
        run,
        images=images,
        architecture=architecture,
        method=method,
        seed=seed,
        errors=errors,
        to=to,
        data=data,
        plugins=plugin,
        trust_plugins=trust_plugins,
        console=console,
    )
    drawn = made.study.images
    ill, wrong = sum(image.label for image in drawn), sum(not image.network_right for image in drawn)
    console.print(
        f"study {made.study.id}: {counted(len(drawn), 'image')}, {ill} with pneumonia; {made.study.architecture} calls "
        f"{wrong} wrongly",
        highlight=False,
        markup=False,
    )
    if errors is not None and abs(wrong - errors * len(drawn)) > 1:
        _warn(
            console,
            f"--errors {errors:g} asked for {round(errors * len(drawn))} images that are called wrongly, found "
            f"{wrong}: a class has too few images of the other kind.",
        )
    if made.empty_maps:
        _warn(
            console,
            f"{counted(made.empty_maps, 'heat map')} without any colour: no place speaks for pneumonia there. Another "
            "--method or --architecture may show more.",
        )
    tell(console, "for readers", made.page)
    tell(console, "keep from them", made.key)
    next_step(console, "reader-results", path_word(made.key.parent), "ANSWERS.csv")
    return DONE


def reader_results(study: Path, answers: list[Path], *, json: bool = False) -> int:
    """Score the answers of the readers of a study: accuracy with and without help, agreement and time.

    Args:
        study: folder of the study, e.g. runs/quickstart/reader-study.
        answers: the CSV files of the readers.
        json: print every number as JSON, for a program; what is told meanwhile goes to stderr.
    """
    from pneumobench.reporting.reader_tables import reader_table, warnings_of
    from pneumobench.runs.reader_results import results_of_readers

    console = console_for(json=json)
    found = results_of_readers(study, answers)
    console.print(reader_table(found.results))
    warnings = warnings_of(found.results)
    for warning in warnings:
        _warn(console, warning)
    tell(console, "tables", found.page)
    if json:
        values = fields_of(found.results)
        del values["study"]["images"]  # what they show stays in the key
        print_json({"page": str(found.page), "warnings": warnings, **values})
    return DONE


def _warn(console: Console, words: str) -> None:
    console.print(f"warning: {words}", style="yellow", highlight=False, markup=False)


COMMANDS = (reader_study, reader_results)
