"""Is there anything left to do in a run? Asked before PyTorch is loaded, which takes longer than the answer."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from pneumobench.datasets.audit import read_radiographs
from pneumobench.errors import PneumobenchError
from pneumobench.lungs.required import only_with_lungs
from pneumobench.records.environment import changed_inputs, read_environment
from pneumobench.records.explanation_record import read_explanation_record
from pneumobench.records.job_record import JobRecord
from pneumobench.records.locks import is_claimed
from pneumobench.records.manifest import check_manifest
from pneumobench.records.provenance import software_versions
from pneumobench.records.run_folder import RunFolder
from pneumobench.records.run_state import as_begun, as_kept, jobs_to_run, refuse_other_run
from pneumobench.runs.folds_asked import folds_of
from pneumobench.runs.inputs import inputs_of
from pneumobench.suite.names import control_record_name
from pneumobench.suite.reader import load_suite
from pneumobench.suite.registry import load_plugin_file
from pneumobench.suite.spec import Suite

PAGE: Final = "index.html"
LEADERBOARD_FILES: Final = (PAGE, "README.md", "leaderboard.csv", "leaderboard.json")


@dataclass(frozen=True, kw_only=True)
class FinishedRun:
    """A run in which every job, explanation and table asked for is there, made by this code on these images.

    Args:
        folder: the run.
        records: of the jobs asked for.
        page: its leaderboard.
    """

    folder: RunFolder
    records: tuple[JobRecord, ...]
    page: Path


def finished_run(
    suite: Suite,
    output: Path,
    *,
    folds: Sequence[int] | None = None,
    retry_failed: bool = False,
    rehash: bool = False,
) -> FinishedRun | None:
    """Return a run if nothing is left to do, else None: whatever is not as it should be is for `run` to say.

    Data are read and compared as at every start; nothing is written but the cache.

    Args:
        suite: what was run; its plugins are loaded.
        output: folder of runs.
        folds: only these folds; None = all.
        retry_failed: whether jobs that failed shall be run again.
        rehash: read every image file.
    """
    folder = RunFolder(output / suite.name)
    page = folder.leaderboard / PAGE
    if not (folder.suite_yaml.is_file() and folder.manifest_json.is_file() and _is_written(folder)):
        return None
    try:
        suite = as_begun(suite, folder)
        for plugin in suite.architectures.plugins:
            load_plugin_file(Path(plugin))
        jobs = [(name, fold) for fold in folds_of(suite, folds) for name in suite.architectures.names]
        if suite.logging.wandb != "off" or is_claimed(folder.path) or not _same_asked(folder, suite):
            return None
        controls = [
            (control_record_name(name), fold) for name in suite.controls.names for fold in folds_of(suite, folds)
        ]
        if jobs_to_run(folder, jobs, retry_failed=retry_failed) or jobs_to_run(folder, controls, retry_failed=False):
            return None
        records = {(record.architecture, record.fold): record for record in folder.records()}
        if not _has_weights(folder, records.values()):
            return None
        if not all(_is_explained(folder, records[job], suite) for job in jobs):
            return None
        environment = read_environment(folder)
        if environment.get("software") != software_versions() or page.stat().st_mtime < _newest(folder):
            return None
        check_manifest(folder, list(records.values()), weights=True)
        index, problems = read_radiographs(suite, output / ".cache", rehash=rehash)
        index = only_with_lungs(index, suite.data, output / ".cache")
        index = as_kept(folder, index)
        refuse_other_run(folder, suite, index)
        if problems or changed_inputs(environment, inputs_of(suite, index)):
            return None
    except PneumobenchError:
        return None
    return FinishedRun(folder=folder, records=tuple(records[job] for job in jobs), page=page)


def _is_written(folder: RunFolder) -> bool:
    """Tell whether all tables of the leaderboard are there, and the page to its end."""
    files = [folder.leaderboard / name for name in LEADERBOARD_FILES]
    if not all(file.is_file() and file.stat().st_size for file in files):
        return False
    return (folder.leaderboard / PAGE).read_text(encoding="utf-8", errors="replace").rstrip().endswith("</html>")


def _has_weights(folder: RunFolder, records: Iterable[JobRecord]) -> bool:
    """Tell whether every trained network is there; a published copy of a run has none."""
    networks = [record for record in records if record.completed and not record.is_control]
    return all(folder.weights_path(record.architecture, record.fold).is_file() for record in networks)


def _same_asked(folder: RunFolder, suite: Suite) -> bool:
    """Tell whether the run was asked all that a suite asks beside the training of its networks."""
    earlier = load_suite(folder.suite_yaml, of_run=True)
    before, asked = earlier.explanation, suite.explanation
    images = before.checked_images_per_fold  # a run keeps the methods and the images of earlier starts
    known = dataclasses.replace(asked, methods=before.methods, checked_images_per_fold=images) == before
    fewer = set(asked.methods) <= set(before.methods) and asked.checked_images_per_fold <= images
    return known and fewer and earlier.controls.original_sizes == suite.controls.original_sizes


def _is_explained(folder: RunFolder, record: JobRecord, suite: Suite) -> bool:
    """Tell whether a job has its explanations; the same code has the same definitions of methods."""
    if not record.completed:
        return True
    asked = read_explanation_record(folder, record)
    methods = suite.explanation.methods if suite.explanation.checked_images_per_fold else ()
    return asked is not None and asked.software == software_versions() and set(methods) <= asked.methods.keys()


def _newest(folder: RunFolder) -> float:
    """Return when a file that the leaderboard is computed from was last written, in seconds."""
    return max(path.stat().st_mtime for path in (folder.manifest_json, folder.suite_yaml, folder.environment_json))
