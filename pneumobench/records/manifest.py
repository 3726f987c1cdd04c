"""manifest.json: SHA-256 of every file that a leaderboard rests on, written as jobs end, compared before they are read.

A job's record is sealed before it is written: a kill in between leaves a name without a file, and the job is run again.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final

from pneumobench.errors import RecordError
from pneumobench.files import sha256_of_file, sha256_of_text, write_json, write_text
from pneumobench.records.cost_table import COST_FILES
from pneumobench.records.job_record import HASH_PATTERN, JobRecord, record_text
from pneumobench.records.locks import waited_for
from pneumobench.records.run_folder import FOLD_PREFIX, RunFolder
from pneumobench.texts import counted

MANIFEST_FORMAT: Final = 1
EXPLANATIONS: Final = "explanations"
EXPLANATION_FILE: Final = "explanation.json"
PICTURES: Final = "attributions"  # heat maps, which a published copy leaves out
SHOWN_FILES: Final = 12


def read_manifest(folder: RunFolder) -> dict[str, str] | None:
    """Return SHA-256 by name of the file relative to the run, None where there is no manifest.

    Raises:
        RecordError: the file is damaged.
    """
    path = folder.manifest_json
    try:
        plain = json.loads(path.read_text(encoding="utf-8"))
        files = plain["files"]
        right = plain["format"] == MANIFEST_FORMAT and all(
            HASH_PATTERN.fullmatch(sha256) and not Path(name).is_absolute() and ".." not in Path(name).parts
            for name, sha256 in files.items()
        )
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        right = False
    if not right:
        raise RecordError(
            f"{path}: found no manifest of format {MANIFEST_FORMAT}, expected the one written. Bring it back."
        )
    return dict(files)


def seal(
    folder: RunFolder, files: Iterable[Path], coming: dict[Path, str] | None = None, *, instead_of: Path | None = None
) -> None:
    """Add files of a run to its manifest, or renew them.

    Args:
        folder: the run.
        files: what is sealed.
        coming: SHA-256 of files that are written next.
        instead_of: folder of a job that was run again: files that it no longer has are taken out.

    The manifest of a run that was begun before there were any starts with what is there.

    Raises:
        RecordError: the manifest is damaged, or missing though the run was begun with one.
    """
    with waited_for(folder.path):  # two jobs that end at the same time both write it
        _seal(folder, files, coming or {}, instead_of)


def _seal(folder: RunFolder, files: Iterable[Path], coming: dict[Path, str], instead_of: Path | None) -> None:
    known = read_manifest(folder)
    if known is None:
        _refuse_lost(folder, folder.records())
        known = {_name(folder, path): sha256_of_file(path) for path in _files_of_run(folder)}
    found = {_name(folder, path): sha256_of_file(path) for path in files}
    found |= {_name(folder, path): sha256 for path, sha256 in coming.items()}
    gone = [name for name in known if instead_of in (folder.path / name).parents and not (folder.path / name).is_file()]
    sealed = {**{name: sha256 for name, sha256 in known.items() if name not in gone}, **found}
    if sealed != known or not folder.manifest_json.is_file():
        write_json(folder.manifest_json, {"format": MANIFEST_FORMAT, "files": sealed})


def finish_job(folder: RunFolder, record: JobRecord) -> None:
    """Seal the files of a job and its record, then write the record, which is the last of them.

    Raises:
        RecordError: the record could not be read back.
    """
    path = folder.record_path(record.architecture, record.fold)
    text = record_text(record, path)
    with waited_for(folder.path):  # whoever reads the run finds both or none
        seal(folder, _files_of_job(folder, path.parent), {path: sha256_of_text(text)}, instead_of=path.parent)
        write_text(path, text)


def check_manifest(folder: RunFolder, records: Sequence[JobRecord], *, weights: bool) -> tuple[str, ...]:
    """Compare every file of a run with its manifest, and return what a reader should know.

    Args:
        folder: the run.
        records: its records.
        weights: read the weights too, the largest files by far; else only whether they are there.

    Raises:
        RecordError: a file is missing, changed or foreign; lists all of them.
    """
    manifest = read_manifest(folder)
    notes = list(_weights_notes(folder, records, read=weights))
    if manifest is None:
        _refuse_lost(folder, records)
        return ("made before manifests: that no file is missing cannot be checked", *notes)
    lines = []
    for name, sha256 in sorted(manifest.items()):
        path = folder.path / name
        if path.suffix == ".safetensors" or (PICTURES in path.parts and not path.is_file()):
            continue
        if not path.is_file():
            lines.append(f"{name}: missing")
        elif (found := sha256_of_file(path)) != sha256:
            lines.append(f"{name}: changed (SHA-256 {found[:12]}, expected {sha256[:12]})")
    lines += [f"{name}: foreign" for name in sorted(_reading(folder) - manifest.keys())]
    if lines:
        more = [f"and {len(lines) - SHOWN_FILES} more"] if len(lines) > SHOWN_FILES else []
        raise RecordError(
            f"{folder.path}: found files that are not those of manifest.json:\n"
            + "\n".join(f"  {line}" for line in [*lines[:SHOWN_FILES], *more])
            + "\nBring them back. Or delete the folder of each job that is named (of an explanation its folder "
            f"{EXPLANATIONS}/) and run the suite again: only that is made again."
        )
    return tuple(notes)


def _weights_notes(folder: RunFolder, records: Sequence[JobRecord], *, read: bool) -> Iterable[str]:
    networks = [record for record in records if record.completed and not record.is_control]
    here = [job for job in networks if folder.weights_path(job.architecture, job.fold).is_file()]
    if len(here) < len(networks):
        if here:  # a published copy leaves all of them out
            job = next(job for job in networks if job not in here)
            raise RecordError(
                f"{folder.weights_path(job.architecture, job.fold)}: missing, and those of {len(here)} other jobs are "
                "there. Bring it back, or delete the job's folder and run the suite again."
            )
        yield f"weights of {counted(len(networks), 'job')} are not here: nobody can score images with them again"
    for job in here if read else ():
        path = folder.weights_path(job.architecture, job.fold)
        if (found := sha256_of_file(path)) != job.hashes["weights"]:
            raise RecordError(
                f"{path}: found SHA-256 {found}, expected {job.hashes['weights']} (record.json beside it). Bring the "
                "weights back, or delete the job's folder and run the suite again."
            )


def _refuse_lost(folder: RunFolder, records: Sequence[JobRecord]) -> None:
    """Refuse a run without a manifest whose records were written together with one."""
    if any("code" in record.software for record in records):
        raise RecordError(f"{folder.manifest_json}: missing, and the run was begun with one. Bring it back.")


def _files_of_run(folder: RunFolder) -> list[Path]:
    """Return every file on disk that a manifest names."""
    shared = (folder.suite_yaml, folder.index_csv, folder.folds_json, folder.audit_json, folder.environment_json)
    jobs = [folder.record_path(*job) for job in folder.jobs()]
    inside = [file for record in jobs for file in (record, *_files_of_job(folder, record.parent))]
    explanations = [file for record in jobs for file in sorted((record.parent / EXPLANATIONS).glob("*"))]
    cost = [folder.cost / name for name in COST_FILES]
    return [path for path in (*shared, *cost, *inside, *explanations) if path.is_file()]


def _files_of_job(folder: RunFolder, job: Path) -> list[Path]:
    fold = int(job.name.removeprefix(FOLD_PREFIX))
    paths = (folder.predictions_path, folder.attention_path, folder.history_path, folder.weights_path)
    files = [path(job.parent.name, fold) for path in paths]
    return [file for file in (*files, *sorted((job / PICTURES).glob("[!.]*"))) if file.is_file()]


def _reading(folder: RunFolder) -> set[str]:
    """Return the names of the files that say what a leaderboard reads: the records of jobs and of explanations."""
    found: set[str] = set()
    for job in folder.jobs():
        record = folder.record_path(*job)
        found |= {
            _name(folder, path) for path in (record, record.parent / EXPLANATIONS / EXPLANATION_FILE) if path.is_file()
        }
    return found


def _name(folder: RunFolder, path: Path) -> str:
    return path.relative_to(folder.path).as_posix()
