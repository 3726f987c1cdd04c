"""The folds that a ranking is made on: all, or where no network has all, those that every network has."""

from __future__ import annotations

import dataclasses

from pneumobench.records.loaded_run import GatheredRun


def shared_folds(run: GatheredRun) -> tuple[int, ...]:
    """Return the folds that a ranking is made on: all, or those that every network has completed which has any.

    All of them as soon as one network has all: others are incomplete then. All too where networks share none.
    """
    of_network: dict[str, set[int]] = {}
    for record in run.records:
        if record.completed and not record.is_control:
            of_network.setdefault(record.architecture, set()).add(record.fold)
    every = tuple(range(run.folds.count))
    if not of_network or any(len(found) == len(every) for found in of_network.values()):
        return every
    return tuple(sorted(set.intersection(*of_network.values()))) or every


def of_folds(run: GatheredRun, folds: tuple[int, ...]) -> GatheredRun:
    """Return a run with the jobs of some folds alone."""
    if len(folds) == run.folds.count:
        return run
    return dataclasses.replace(
        run,
        records=tuple(record for record in run.records if record.fold in folds),
        predictions={job: table for job, table in run.predictions.items() if job[1] in folds},
        attention={job: table for job, table in run.attention.items() if job[1] in folds},
        explanations={job: found for job, found in run.explanations.items() if job[1] in folds},
    )
