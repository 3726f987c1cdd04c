"""The main path: a suite becomes jobs, jobs become records, records become a leaderboard."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from pneumobench.datasets.audit import audit
from pneumobench.datasets.folds import fold_summary
from pneumobench.records.environment import keep_environment
from pneumobench.records.job_record import read_record
from pneumobench.records.locks import claim_folder, waited_for
from pneumobench.records.run_folder import RunFolder
from pneumobench.records.run_state import as_begun, jobs_to_run, write_run_metadata
from pneumobench.reporting.leaderboard import write_leaderboard
from pneumobench.reporting.progress import RunProgress
from pneumobench.reporting.trackers import tracker_for
from pneumobench.reporting.tracking import Tracker
from pneumobench.runs.context import open_data
from pneumobench.runs.control_job import run_controls
from pneumobench.runs.execution import Execution
from pneumobench.runs.executors.choice import executor_for, run_jobs
from pneumobench.runs.executors.processes import ProcessExecutor
from pneumobench.runs.explain_jobs import explain_jobs
from pneumobench.runs.finished import Run
from pneumobench.runs.folds_asked import folds_of
from pneumobench.runs.measured import settled
from pneumobench.runs.results import Leaderboard
from pneumobench.runs.suite_checks import check_suite
from pneumobench.runs.train_job import tidy
from pneumobench.suite.names import CONTROL_PREFIX
from pneumobench.suite.spec import Suite
from pneumobench.texts import counted
from pneumobench.training.keeping import quiet_lightning


def run(
    suite: Suite,
    *,
    output: str | Path = "runs",
    folds: Sequence[int] | None = None,
    retry_failed: bool = False,
    accept_changes: bool = False,
    execution: Execution | None = None,
    rehash: bool = False,
    command: str = "",
    console: Console | None = None,
    tracker: Tracker | None = None,
) -> Run:
    """Run every job of a suite that has no record yet, then write the leaderboard.

    A run that was interrupted goes on where it stopped: finished jobs are skipped, a half-trained one resumes.

    Args:
        suite: what to run; see `load_suite`.
        output: folder of runs; this one goes to output/NAME.
        folds: only these folds; None = all.
        retry_failed: run jobs again that failed or diverged in an earlier start.
        accept_changes: go on though code, versions or further files have changed since the run began, and write into
            the records what.
        execution: who runs the jobs and how many at the same time; None = this process, one after the other. A script
            that asks for several processes needs `if __name__ == "__main__":`.
        rehash: read every image file, whether it was changed since it was last read or not.
        command: command line that the leaderboard names for this run.
        console: where progress is shown; None = the terminal or notebook.
        tracker: follows the jobs; None = as `logging.wandb` of the suite says.

    Returns:
        The run, with the jobs asked for, those of earlier starts included. A job that failed costs only itself and is
        listed in `Run.failed`.

    Raises:
        SettingsError: a name, device, method or fold is not known, or the folder holds another run, or one that was
            begun with other code, versions or files.
        DataError: radiographs are missing or unreadable, or a split leaks. Nothing is trained then.

    Example:
        >>> import pneumobench as pb
        >>> try:
        ...     pb.run(pb.load_suite("smoke"), folds=[7])
        ... except pb.SettingsError as error:
        ...     print(error)
        --folds 7: suite 'smoke' has the folds 0 to 1.
    """
    chosen_folds = folds_of(suite, folds)
    output, console = Path(output), console or Console()
    tracker = tracker or tracker_for(suite, output)
    quiet_lightning()
    check_suite(suite, console)
    suite = as_begun(suite, folder := RunFolder(output / suite.name))
    worker = executor_for(execution or Execution(), suite, output, tracker=tracker, console=console)
    if isinstance(worker, ProcessExecutor):
        worker.get_ready()
    with claim_folder(folder.path, shared=True):
        with waited_for(folder.path):  # another process that runs the same suite finds all of this done
            bench = open_data(suite, folder, cache=output / ".cache", console=console, rehash=rehash)
            # all that can be wrong with data and settings was found by now
            suite = settled(suite, steps=bench.steps(), cache=output / ".cache", console=console)
            bench = dataclasses.replace(bench, suite=suite)
            known = audit(bench.index, suite=suite, folds=bench.folds)
            metadata = {**known, "folds": fold_summary(bench.index, bench.folds), **bench.lung_metadata}
            # fold by fold, so that half a run is a fair comparison already
            jobs = [(name, fold) for fold in chosen_folds for name in suite.architectures.names]
            todo = jobs_to_run(folder, jobs, retry_failed=retry_failed)
            accepted = keep_environment(folder, bench.inputs, unfinished=bool(todo), accept_changes=accept_changes)
            bench = dataclasses.replace(bench, accepted=accepted)
            write_run_metadata(folder, suite, bench.index, bench.folds, metadata, command)
            for job in todo:  # of a failure, which is forgotten
                folder.record_path(*job).unlink(missing_ok=True)
            if controls := run_controls(bench, chosen_folds):
                fitted = sorted({record.architecture.removeprefix(CONTROL_PREFIX) for record in controls})
                console.print(f"controls fitted: {', '.join(fitted)}", highlight=False)
        console.print(f"{counted(len(jobs), 'job')}, {len(jobs) - len(todo)} of them finished before", highlight=False)
        with RunProgress(console, jobs=len(todo), epochs=suite.training.passes) as progress:
            run_jobs(worker, bench, todo, progress)
        with waited_for(folder.path):
            for job in jobs:  # a process may have been killed between the record and this
                tidy(folder, read_record(folder.record_path(*job)))
            asked = (suite.explanation.methods, suite.explanation.checked_images_per_fold)
            explain_jobs(bench, jobs, *asked, console)  # of earlier starts
            leaderboard = write_leaderboard(folder.path)
        tracker.summary(folder, suite)
        tracker.close()
    data = suite.data.root or None
    board = Leaderboard.written(leaderboard)
    return Run(folder.path, suite, jobs=jobs, data=data, trust_plugins=True, console=console, board=board)
