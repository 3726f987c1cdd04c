"""The main path: a suite becomes jobs, jobs become records, records become a leaderboard."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from pneumobench.architectures.registry import check_names, load_plugin_file
from pneumobench.errors import SettingsError
from pneumobench.job import Bench, run_job
from pneumobench.lungs.crop import film_crop
from pneumobench.lungs.masks import lung_masks
from pneumobench.lungs.segmented import segmented_lungs
from pneumobench.radiographs.audit import audit, read_radiographs
from pneumobench.radiographs.folds import check_folds, fold_summary, make_folds, read_folds
from pneumobench.radiographs.index import problem_error
from pneumobench.radiographs.pixel_cache import cached_films
from pneumobench.reporting.leaderboard import LeaderboardPaths, write_leaderboard
from pneumobench.reporting.progress import RunProgress
from pneumobench.reporting.tracking import Tracker
from pneumobench.results.record import JobRecord, read_record
from pneumobench.results.run_state import claim_folder, jobs_to_run, refuse_other_run, write_run_facts
from pneumobench.results.store import RunFolder
from pneumobench.suite import Suite
from pneumobench.training.cost import check_device


@dataclass(frozen=True, kw_only=True)
class RunOutcome:
    """Records of all jobs asked for, those of earlier starts included, and where the leaderboard is."""

    records: tuple[JobRecord, ...]
    leaderboard: LeaderboardPaths


def run(
    suite: Suite,
    *,
    output: Path,
    console: Console,
    tracker: Tracker,
    folds: Sequence[int] | None = None,
    command: str = "",
    retry_failed: bool = False,
) -> RunOutcome:
    """Run every job of a suite that has no record yet, then write the leaderboard.

    Args:
        suite: what to run.
        output: folder of runs; this one goes to output/SUITE.
        console: where progress is shown.
        tracker: follows the jobs.
        folds: only these folds; None = all.
        command: command line that the leaderboard names for this run.
        retry_failed: run jobs again that failed or diverged in an earlier start.

    Raises:
        SettingsError: the suite asks for what is not there, or the run folder holds another run.
        DataError: radiographs are missing or unreadable, or a split leaks. Nothing is trained then.
    """
    for plugin in suite.architectures.plugins:
        load_plugin_file(Path(plugin))
    check_names(suite.architectures.names, suite.architectures.weights)
    check_device(suite.training)
    chosen_folds = _check_folds_asked(suite, folds)
    folder = RunFolder(output / suite.name)
    with claim_folder(folder.path):
        bench = prepare(suite, folder, cache=output / ".cache", console=console, command=command)
        # fold by fold, so that half a run is a fair comparison already
        jobs = [(name, fold) for fold in chosen_folds for name in suite.architectures.names]
        todo = jobs_to_run(folder, jobs, retry_failed=retry_failed)
        console.print(f"{len(jobs)} jobs, {len(jobs) - len(todo)} of them finished before", highlight=False)
        with RunProgress(console, jobs=len(todo), epochs=suite.training.epochs) as progress:
            for name, fold in todo:
                progress.job_started(name, fold)
                progress.job_done(run_job(bench, name, fold, tracker, progress.epoch_done))
        leaderboard = write_leaderboard(folder.path)
        tracker.summary(folder, suite)
    return RunOutcome(records=tuple(read_record(folder.record_path(*job)) for job in jobs), leaderboard=leaderboard)


def prepare(suite: Suite, folder: RunFolder, *, cache: Path, console: Console, command: str = "") -> Bench:
    """Read and check the data, split it (or take the frozen split), and decode it once."""
    index, problems = read_radiographs(suite, cache)
    if problems:
        raise problem_error(index.root, problems)
    refuse_other_run(folder, suite, index)
    folds = read_folds(folder.folds_json) if folder.folds_json.is_file() else make_folds(index, suite.folds, suite.seed)
    check_folds(index, folds)
    side_px = suite.data.image_side_px
    console.print(
        f"{suite.name}: {len(index.table)} radiographs of {index.table['patient'].nunique()} patients at {side_px} px, "
        f"{folds.count} folds by patient",
        highlight=False,
    )
    segmented = None
    if suite.data.lung_mask_tier == "segmented" or suite.data.crop == "adaptive":
        console.print("segmenting the lungs of films that were not segmented before", highlight=False)
        segmented = segmented_lungs(index, cache)
    crop = film_crop(suite.data.crop, index, segmented)
    masks = lung_masks(
        index, side_px, cache, tier=suite.data.lung_mask_tier, crop_boxes=crop.boxes, segmented=segmented
    )
    films = cached_films(index, side_px, cache, crop.boxes)
    lung_facts = {"lung_masks": masks.facts(), "crop": crop.facts()}
    if segmented is not None:
        lung_facts["segmenter"] = {"weights_sha256": segmented.weights_sha256, "refused": segmented.refused()}
        console.print(
            f"segmented lungs: {len(segmented.usable_rows())} films usable, {len(index.table)} in all"
            + (f"; {crop.by_fixed} films get the fixed crop instead" if crop.by_fixed else ""),
            highlight=False,
        )
    # all that can be wrong with data and settings was found by now
    facts = {**audit(index), "folds": fold_summary(index, folds), **lung_facts}
    write_run_facts(folder, suite, index, folds, facts, command)
    return Bench(suite=suite, folder=folder, index=index, folds=folds, films=films, masks=masks)


def _check_folds_asked(suite: Suite, folds: Sequence[int] | None) -> list[int]:
    if wrong := [fold for fold in folds or () if not 0 <= fold < suite.folds.count]:
        raise SettingsError(f"--folds {wrong[0]}: suite {suite.name!r} has the folds 0 to {suite.folds.count - 1}.")
    return sorted(set(folds)) if folds else list(range(suite.folds.count))
