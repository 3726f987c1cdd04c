"""One job to its record and its explanations, by whatever process; two never work on the same one."""

from __future__ import annotations

import dataclasses

from rich.console import Console

from pneumobench.errors import InUseError
from pneumobench.records.locks import claim_folder
from pneumobench.records.manifest import finish_job
from pneumobench.reporting.tracking import Tracker
from pneumobench.runs.context import Bench
from pneumobench.runs.explain_jobs import explain_jobs
from pneumobench.runs.train_job import run_job
from pneumobench.training.keeping import EpochReport

Job = tuple[str, int]  # architecture, fold


def has_ended(bench: Bench, job: Job) -> bool:
    """Tell whether a job has left its record."""
    return bench.folder.record_path(*job).is_file()


def do_job(bench: Bench, job: Job, tracker: Tracker, report: EpochReport, console: Console) -> None:
    """Train, score and explain a job that has no record, unless another process is at it."""
    try:
        with claim_folder(bench.folder.job_folder(*job)):
            if has_ended(bench, job):  # by another process, since it was asked for
                return
            run_job(bench, *job, tracker, report)
            explanation = bench.suite.explanation
            explain_jobs(bench, [job], explanation.methods, explanation.checked_images_per_fold, console, told=False)
    except InUseError:
        return


def write_dead(bench: Bench, job: Job, reason: str) -> None:
    """Write the record of a job that could not write its own."""
    record = bench.record(*job, weights_origin="none")
    finish_job(bench.folder, dataclasses.replace(record, status="failed", reason=reason))
