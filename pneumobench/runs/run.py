"""The main path: a suite becomes jobs, jobs become records, records become a leaderboard."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from pneumobench.architectures.head import check_head
from pneumobench.architectures.registry import check_names, load_plugin_file
from pneumobench.attributions.methods import attribution_method
from pneumobench.runs.context import open_data
from pneumobench.runs.control_job import run_controls
from pneumobench.errors import SettingsError
from pneumobench.runs.explain_jobs import explain_jobs
from pneumobench.runs.train_job import run_job
from pneumobench.runs.networks import check_plugins
from pneumobench.datasets.audit import audit
from pneumobench.datasets.folds import fold_summary
from pneumobench.reporting.leaderboard import LeaderboardPaths, write_leaderboard
from pneumobench.reporting.progress import RunProgress
from pneumobench.reporting.tracking import Tracker
from pneumobench.records.job_record import JobRecord, read_record
from pneumobench.records.run_state import claim_folder, jobs_to_run, write_run_metadata
from pneumobench.records.run_folder import RunFolder
from pneumobench.suite.spec import CONTROL_PREFIX, Suite
from pneumobench.training.cost import check_device
from pneumobench.training.fit import quiet_lightning


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
    quiet_lightning()
    check_names(suite.architectures.names, suite.architectures.weights)
    check_device(suite.training)
    check_head(suite.training.head)
    check_plugins(suite)
    if suite.training.corrects_twice():
        console.print(
            "warning: the imbalance of the classes is corrected twice (balanced sampler, class weights, focal alpha)",
            style="yellow",
        )
    for method in suite.explanation.methods:
        attribution_method(method)
    chosen_folds = check_folds_asked(suite, folds)
    folder = RunFolder(output / suite.name)
    with claim_folder(folder.path):
        bench = open_data(suite, folder, cache=output / ".cache", console=console)
        # all that can be wrong with data and settings was found by now
        known = audit(bench.index, source=suite.data.source)
        metadata = {**known, "folds": fold_summary(bench.index, bench.folds), **bench.lung_metadata}
        write_run_metadata(folder, suite, bench.index, bench.folds, metadata, command)
        # fold by fold, so that half a run is a fair comparison already
        jobs = [(name, fold) for fold in chosen_folds for name in suite.architectures.names]
        todo = jobs_to_run(folder, jobs, retry_failed=retry_failed)
        if controls := run_controls(bench, chosen_folds):
            fitted = sorted({record.architecture.removeprefix(CONTROL_PREFIX) for record in controls})
            console.print(f"controls fitted: {', '.join(fitted)}", highlight=False)
        console.print(f"{len(jobs)} jobs, {len(jobs) - len(todo)} of them finished before", highlight=False)
        with RunProgress(console, jobs=len(todo), epochs=suite.training.epochs) as progress:
            for name, fold in todo:
                progress.job_started(name, fold)
                progress.job_done(run_job(bench, name, fold, tracker, progress.epoch_done))
        explain_jobs(bench, jobs, suite.explanation.methods, suite.explanation.checked_images_per_fold, console)
        leaderboard = write_leaderboard(folder.path)
        tracker.summary(folder, suite)
    return RunOutcome(records=tuple(read_record(folder.record_path(*job)) for job in jobs), leaderboard=leaderboard)


def check_folds_asked(suite: Suite, folds: Sequence[int] | None) -> list[int]:
    """Return the folds asked for, sorted, or all.

    Raises:
        SettingsError: the suite has no such fold.
    """
    if wrong := [fold for fold in folds or () if not 0 <= fold < suite.folds.count]:
        raise SettingsError(f"--folds {wrong[0]}: suite {suite.name!r} has the folds 0 to {suite.folds.count - 1}.")
    return sorted(set(folds)) if folds else list(range(suite.folds.count))
