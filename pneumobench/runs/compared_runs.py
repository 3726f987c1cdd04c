"""Finished runs of the same images side by side, whatever they differ in."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from pneumobench.errors import SettingsError
from pneumobench.leaderboard.board import Leaderboard
from pneumobench.leaderboard.ranking import rank_run
from pneumobench.records.comparison import ComparisonRecord, is_comparison
from pneumobench.records.run_folder import RunFolder
from pneumobench.reporting.comparison import ComparisonPaths, write_comparison


def compare_runs(paths: Sequence[Path], to: Path, *, command: str = "") -> ComparisonPaths:
    """Compare every network of the first run with the network of the same name in each of the others.

    Args:
        paths: folders of runs, the first is the one that others are compared with.
        to: folder of the comparison: its record, README.md, table and figure.
        command: command line that the page names.

    Raises:
        SettingsError: fewer than two runs; runs of other images, or tested on others; no network that is complete in
            the first run and in another; `to` holds something else.
        RecordError: a folder is not one whole run.
        LeakError: a patient is on two sides of a fold.
    """
    named = _named(paths)
    if RunFolder(to).suite_yaml.is_file() or (to.is_dir() and any(to.iterdir()) and not is_comparison(to)):
        raise SettingsError(f"{to} holds other files, where the comparison would go: choose another --to.")
    boards = {name: rank_run(path) for name, path in named.items()}
    reference = next(iter(named))
    _require_same_images(named, reference)
    _require_shared_networks(boards, reference)
    to.mkdir(parents=True, exist_ok=True)
    ComparisonRecord(
        axis="runs",
        setting="",
        reference=reference,
        command=command,
        runs={name: Path(os.path.relpath(path.resolve(), to.resolve())).as_posix() for name, path in named.items()},
    ).write(to)
    return write_comparison(to)


def _named(paths: Sequence[Path]) -> dict[str, Path]:
    """Return the runs by the names of their folders, with those of the folders above where two are alike."""
    if len(paths) < 2:
        raise SettingsError("expected at least two runs, to be compared with one another.")
    for path in paths:
        if is_comparison(path):
            raise SettingsError(f"{path} is a comparison already: give folders of runs.")
    places = [path.resolve() for path in paths]
    if len(set(places)) < len(places):
        raise SettingsError("a run is given twice: it would be compared with itself.")
    names = [place.name for place in places]
    if len(set(names)) < len(names):
        names = [f"{place.parent.name}/{place.name}" for place in places]
    if len(set(names)) < len(names):
        raise SettingsError(f"two runs are called {max(names, key=names.count)}: rename a folder to tell them apart.")
    return dict(zip(names, paths, strict=True))


def _require_same_images(runs: dict[str, Path], reference: str) -> None:
    opened = {name: RunFolder(path).index_and_folds() for name, path in runs.items()}
    index, folds = opened[reference]
    for name, (other, of_folds) in opened.items():
        if other.hash() != index.hash():
            ids, others = set(index.table["image_id"]), set(other.table["image_id"])
            raise SettingsError(
                f"{runs[name]}: its {len(others):,} images are not the {len(ids):,} of {runs[reference]} "
                f"({len(ids & others):,} names are in both); only runs of the same images, labels and patients can "
                "be compared, so one of the two has to be run again."
            )
        if set(of_folds.tested()) != set(folds.tested()):
            raise SettingsError(
                f"{runs[name]}: was tested on other images than {runs[reference]} (folds.protocol); compare splits "
                "with pneumobench run SUITE --protocols."
            )


def _require_shared_networks(boards: dict[str, Leaderboard], reference: str) -> None:
    complete = {
        name: {row.architecture for row in board.networks if row.state == "complete"} for name, board in boards.items()
    }
    others = set[str]().union(*(found for name, found in complete.items() if name != reference))
    if not complete[reference] & others:
        listed = "; ".join(f"{name}: {', '.join(sorted(found)) or 'none'}" for name, found in complete.items())
        raise SettingsError(f"no network is complete in {reference} and in another run ({listed}).")
