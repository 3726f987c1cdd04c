"""Commands about the tables of what was run: compute, compare, draw, publish, submit and verify them."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING

from pneumobench.cli.exit_codes import DIFFERS, DONE
from pneumobench.cli.shown import (
    answer,
    console_for,
    data_words,
    fields_of,
    next_step,
    path_word,
    print_json,
    rows_of,
    tell,
)
from pneumobench.errors import SettingsError

if TYPE_CHECKING:
    from rich.console import Console

PUBLISHED = Path("leaderboard")


def leaderboard(run: Path, *, json: bool = False) -> int:
    """Compute the leaderboard of a run, or the table of a comparison, again from records.

    Every file is compared with manifest.json first, weights included.

    Args:
        run: folder of a run, e.g. runs/quickstart, or of a comparison.
        json: print every number as JSON, for a program.
    """
    from pneumobench.records.comparison import is_comparison
    from pneumobench.reporting.leaderboard import write_leaderboard
    from pneumobench.reporting.terminal import print_leaderboard
    from pneumobench.suite.commands import DATA_WORD

    console = console_for(json=json)
    if is_comparison(run):
        return _comparison_again(run, console, json=json)
    paths = write_leaderboard(run, check_weights=True)
    print_leaderboard(paths.board, console)
    for note in (*paths.board.notes, *(f"missing: {part}" for part in paths.board.missing)):
        tell(console, "note", note)
    tell(console, "page", paths.page)
    if json:
        answer(paths.json.read_text(encoding="utf-8"))
    if any(run.glob("*/fold-*/weights.safetensors")):
        next_step(console, "gallery", path_word(run), *data_words(DATA_WORD * _is_own_data(run)))
    else:
        next_step(console, "help", "explain")
    return DONE


def _comparison_again(folder: Path, console: Console, *, json: bool) -> int:
    """Compute the table of a comparison, print it, and return the exit code."""
    import pandas as pd

    from pneumobench.reporting.comparison import write_comparison

    made = write_comparison(folder, check_weights=True)
    console.print(made.shown)
    tell(console, "table", made.page)
    if json:
        print_json({"page": str(made.page), "rows": rows_of(pd.read_csv(made.csv))})
    return DONE


def _is_own_data(run: Path) -> bool:
    from pneumobench.records.run_folder import RunFolder
    from pneumobench.suite.commands import MADE_ON_THE_SPOT
    from pneumobench.suite.reader import load_suite

    return load_suite(RunFolder(run).suite_yaml, of_run=True).data.source != MADE_ON_THE_SPOT


def compare(runs: list[Path], *, to: Path | None = None, json: bool = False) -> int:
    """Compare finished runs of the same images, network by network, with what differs between their settings.

    Two losses, two sets of weights, two versions: every network of the first run against that of the same name in each
    other run, with paired intervals and tests by patient (Holm over the table).

    Args:
        runs: folders of runs; the first is what the others are compared with.
        to: folder of the comparison (default: beside the first run, named after all).
        json: print every number as JSON, for a program.
    """
    from pneumobench.runs.compared_runs import compare_runs

    console = console_for(json=json)
    names = [run.resolve().name for run in runs]
    target = runs[0].resolve().parent / "-against-".join(names) if to is None else to
    command = shlex.join(["pneumobench", "compare", *names])
    compare_runs(runs, target, command=command)
    return _comparison_again(target, console, json=json)


def publish(run: Path, *, to: Path | None = None, replace: bool = False, json: bool = False) -> int:
    """Copy what of a run or a comparison is published: records, predictions and tables, no image and no weights.

    Every file is compared with manifest.json first. Tables of images are compressed, the leaderboard is written anew. A
    comparison takes its runs with it.

    Args:
        run: folder of a run, e.g. runs/quickstart, or of a comparison.
        to: folder of the copy (default: leaderboard/ and the name of the run's folder).
        replace: replace a published run that lies there.
        json: print what was written as JSON, for a program.
    """
    from pneumobench.records.comparison import is_comparison
    from pneumobench.runs.publishing import publish_comparison, publish_run

    console = console_for(json=json)
    target = PUBLISHED / run.resolve().name if to is None else to
    notes: tuple[str, ...] = ()
    if is_comparison(run):
        page = publish_comparison(run, target, replace=replace).page
    else:
        made = publish_run(run, target, replace=replace)
        page, notes = made.page, (*made.board.notes, *(f"missing: {part}" for part in made.board.missing))
    files = [path for path in sorted(target.rglob("*")) if path.is_file()]
    size = sum(path.stat().st_size for path in files)
    console.print(f"{len(files)} files, {size / 2**20:.1f} MiB", highlight=False)
    tell(console, "published", target)
    for note in notes:
        tell(console, "note", note)
    if json:
        print_json({"run": str(target), "page": str(page), "files": len(files), "bytes": size})
    next_step(console, "verify", path_word(target))
    return DONE


def figures(run: Path, *, to: Path | None = None, json: bool = False) -> int:
    """Draw figures and write tables for a paper, from the numbers of the leaderboard.

    Figures are PDF, SVG and PNG at the width they are printed at, tables LaTeX and Markdown; captions.md says what each
    shows. The run may be a published one: its predictions are read, no image. Every file names the run it comes from.

    Args:
        run: folder of a finished run, e.g. runs/quickstart.
        to: folder of the files (default: figures/ in the run).
        json: print what was written as JSON, for a program; what is told meanwhile goes to stderr.
    """
    from pneumobench.reporting.paper.folder import write_paper_files

    console = console_for(json=json)
    made = write_paper_files(run, to)
    for one in made.left_out:
        tell(console, "left out", f"{one.what}: {one.why}")
    console.print(f"{len(made.files)} files", highlight=False)
    tell(console, "captions", made.captions)
    if json:
        print_json(
            {
                "folder": str(made.folder),
                "captions": str(made.captions),
                "files": [path.name for path in made.files],
                "left_out": [fields_of(one) for one in made.left_out],
            }
        )
    next_step(console, "publish", path_word(run))
    return DONE


def submit(run: Path, *, to: Path | None = None, json: bool = False) -> int:
    """Write a finished run as one file for somebody else's leaderboard: no image, no weights, no path of this machine.

    In it are the published copy of the run and a certificate of what lies on two sides of its split. Whoever gets it
    asks `pneumobench verify FILE`, which computes all of it again and executes nothing of it.

    Args:
        run: folder of a finished run, e.g. runs/quickstart.
        to: the file (default: the name of the run and .zip, here).
        json: print what was written as JSON, for a program.
    """
    from pneumobench.records.submissions import SUBMISSION_END
    from pneumobench.reporting.verification import certificate_lines
    from pneumobench.runs.submitting import submit as write_submission

    console = console_for(json=json)
    target = Path(f"{run.resolve().name}{SUBMISSION_END}") if to is None else to
    made = write_submission(run, target)
    console.print(f"{target.stat().st_size / 1e6:.1f} MB", highlight=False)
    for line in certificate_lines(made.certificate):
        console.print(line, highlight=False, markup=False)
    tell(console, "file", target)
    if json:
        print_json({"file": str(target), "bytes": target.stat().st_size, "leaks": fields_of(made.certificate)})
    next_step(console, "verify", path_word(target))
    return DONE


def verify(run: Path, *, to: Path | None = None, data: str | None = None, json: bool = False) -> int:
    """Check a run against its hashes and its predictions; nothing in it is changed or executed, and no image is needed.

    Every file is hashed, folds are checked for patients on two sides, and all that is computed from predictions and
    records is computed again: numbers, tables and pages. What differs is named by file and field. The exit code is 5
    where anything does. Of a bundle the networks are asked again about the images of its run, which takes a while.

    Args:
        run: folder of a run, of a published one, of a comparison with its runs, of several runs; a submitted file; or a
            bundle.
        to: where to put the run of a submitted file in which nothing differs, e.g. leaderboard/NAME.
        data: radiographs of the run that a bundle was made of (default: the variable PNEUMOBENCH_DATA).
        json: print every difference as JSON, for a program.
    """
    from pneumobench.prediction.bundle import is_bundle
    from pneumobench.records.submissions import is_submission
    from pneumobench.reporting.verification import print_verification
    from pneumobench.runs.submitting import accept, checked_submission
    from pneumobench.runs.verifying import verify as verify_folder

    console = console_for(json=json)
    level, bundled = "", is_bundle(run)
    submitted = not bundled and is_submission(run)
    if to is not None and not submitted:
        raise SettingsError(f"--to is for a file that `pneumobench submit` wrote; {run} is none.")
    if submitted:
        with checked_submission(run) as (found, folder, level):
            if to is not None and not found.differences:
                accept(folder, to)
    elif bundled:
        from pneumobench.runs.bundle_checking import verify_bundle

        found = verify_bundle(run, data, console)
    else:
        found = verify_folder(run)
    print_verification(
        found.differences, found.notes, console, checked=(found.files, found.numbers, found.texts), name=str(run)
    )
    if level:
        tell(console, "level", level)
    if to is not None and not found.differences:
        tell(console, "run", to)
    if json:
        print_json({**fields_of(found), "folder": str(run), **({"level": level} if level else {})})
    return DIFFERS if found.differences else DONE


COMMANDS = (leaderboard, compare, publish, figures, submit, verify)
