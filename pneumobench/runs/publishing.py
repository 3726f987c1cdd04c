"""A run, or several that are compared -> the copy that is published: tables of images compressed, no picture."""

from __future__ import annotations

import dataclasses
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from pneumobench.datasets.table_files import COMPRESSED, table_bytes, table_path, write_table_text
from pneumobench.errors import SettingsError
from pneumobench.files import sha256_of_file, temporary_folder, write_json
from pneumobench.records.checksums import write_checksums
from pneumobench.records.comparison import is_comparison, read_comparison
from pneumobench.records.cost_table import COST_FILES
from pneumobench.records.explanation_record import read_explanation_record
from pneumobench.records.external_record import (
    FACTS,
    VARIANT_PREDICTIONS,
    VARIANTS,
    external_facts,
    external_table,
)
from pneumobench.records.loaded_run import gather
from pneumobench.records.manifest import EXPLANATION_FILE, MANIFEST_FORMAT, read_manifest
from pneumobench.records.run_folder import RunFolder
from pneumobench.reporting.comparison import ComparisonPaths, write_comparison
from pneumobench.reporting.external_variants_table import FACTS_TABLE, PAGE, STRATA_TABLE, VARIANTS_TABLE
from pneumobench.reporting.leaderboard import LeaderboardPaths, write_leaderboard

EXTERNAL_FILES: Final = (FACTS, "index.csv", "scores.csv", "README.md")


def publish_run(run: Path, to: Path, *, replace: bool = False) -> LeaderboardPaths:
    """Copy what of a run is published to a folder, and write the leaderboard there; whole or not at all.

    Records stay as they are: the SHA-256 of a table in them is that of its text. The manifest names the files that lie
    in the copy, SHA256SUMS every file of it. A copy of a copy is the same bytes.

    Args:
        run: folder of a run, or of a published one.
        to: folder of the copy.
        replace: a published run may lie there, also the one that is copied; it is replaced.

    Raises:
        RecordError: the run is not whole, a file was changed, or two jobs do not belong together.
        LeakError: a patient is on two sides of a fold.
        SettingsError: the folder is taken, or cannot be written.
    """
    _refuse_taken(to, replace=replace)
    with temporary_folder(to.parent, to.name) as place:
        copy = RunFolder(place / to.name)
        _copy_run(RunFolder(run), copy)
        made = write_leaderboard(copy.path)
        write_checksums(copy.path)
        if to.exists():
            to.rename(place / "earlier")  # goes with the temporary folder
        copy.path.rename(to)
    moved = {key: to / getattr(made, key).relative_to(copy.path) for key in ("page", "csv", "json", "readme")}
    return dataclasses.replace(made, **moved)


def publish_comparison(comparison: Path, to: Path, *, replace: bool = False) -> ComparisonPaths:
    """Copy what of a comparison and its runs is published to a folder, and compute it there; whole or not at all.

    The copies of the runs lie inside, so that the folder is complete by itself; without their own leaderboards, which
    `pneumobench leaderboard` writes.

    Args:
        comparison: folder of a comparison, or of a published one.
        to: folder of the copy.
        replace: a published comparison may lie there, also the one that is copied; it is replaced.

    Raises:
        RecordError: comparison.json or a run is not whole, or a file was changed.
        LeakError: a patient is on two sides of a fold.
        SettingsError: the folder is taken, or cannot be written.
    """
    record = read_comparison(comparison)
    _refuse_taken(to, replace=replace)
    with temporary_folder(to.parent, to.name) as place:
        copy = place / to.name
        runs = {value: (comparison / name).resolve() for value, name in record.runs.items()}
        for run in runs.values():
            _copy_run(RunFolder(run), RunFolder(copy / run.name))
            write_checksums(copy / run.name)
        dataclasses.replace(record, runs={value: run.name for value, run in runs.items()}).write(copy)
        made = write_comparison(copy)
        write_checksums(copy, runs=[run.name for run in runs.values()])
        if to.exists():
            to.rename(place / "earlier")  # goes with the temporary folder
        copy.rename(to)
    return dataclasses.replace(made, page=to / made.page.name, csv=to / made.csv.name)


def _copy_run(source: RunFolder, copy: RunFolder) -> None:
    """Copy what of a run is published, after all of its files were checked.

    Raises:
        RecordError, LeakError: see `publish_run`.
    """
    gather(source.path, check_weights=True)
    names = {**dict(_copied(source, copy)), **dict(_copied_external(source, copy))}
    for folder in (source.confounds, source.labels):  # what was asked of the predictions
        for path in sorted(folder.glob("*.md")) + sorted(folder.glob("*.csv")):
            _as_it_is(source, copy, path)
    _write_manifest(source, copy, names)


def _refuse_taken(to: Path, *, replace: bool) -> None:
    if not to.exists() or (to.is_dir() and not any(to.iterdir())):
        return
    known = is_comparison(to) or RunFolder(to).suite_yaml.is_file()
    published = known and not any(to.rglob("fold-*/weights.safetensors"))
    if not (replace and published):
        why = "--replace replaces a published run" if published else "it is no published run (one without weights)"
        raise SettingsError(f"{to} is there, and {why}: choose another --to, or delete the folder.")


def _copied(source: RunFolder, copy: RunFolder) -> Iterator[tuple[str, str]]:
    """Copy the files of a run and its jobs, and give the name of each in the run and in the copy."""
    for path in (source.index_csv, source.folds_json):
        yield _compressed(source, copy, path)
    shared = (source.suite_yaml, source.audit_json, source.environment_json)
    for path in (*shared, *(source.cost / name for name in COST_FILES)):
        if path.is_file():
            yield _as_it_is(source, copy, path)
    for record in source.records():
        job = (record.architecture, record.fold)
        yield _as_it_is(source, copy, source.record_path(*job))
        if (history := source.history_path(*job)).is_file():
            yield _as_it_is(source, copy, history)
        if "predictions" in record.hashes:
            yield _compressed(source, copy, source.predictions_path(*job))
        if "attention" in record.hashes:
            yield _compressed(source, copy, source.attention_path(*job))
        if (asked := read_explanation_record(source, record)) is not None:
            yield _as_it_is(source, copy, source.explanations_folder(*job) / EXPLANATION_FILE)
            for name in sorted(asked.hashes):
                yield _compressed(source, copy, source.explanation_path(*job, name))


def _copied_external(source: RunFolder, copy: RunFolder) -> Iterator[tuple[str, str]]:
    """Copy predictions and tables on other sources of images; of everything else there nothing."""
    for facts in sorted(source.external.glob(f"*/{FACTS}")):
        for name in EXTERNAL_FILES:
            if (facts.parent / name).is_file():
                yield _as_it_is(source, copy, facts.parent / name)
        variants = facts.parent / VARIANTS
        for name in (PAGE, VARIANTS_TABLE, FACTS_TABLE, STRATA_TABLE):
            if (variants / name).is_file():
                yield _as_it_is(source, copy, variants / name)
        if (table := table_path(variants / VARIANT_PREDICTIONS)).is_file():
            yield _compressed(source, copy, table)
        for name, sha256 in sorted(external_facts(facts.parent)["predictions"].items()):
            path, _ = external_table(facts.parent, name, sha256)
            yield _compressed(source, copy, path)


def _as_it_is(source: RunFolder, copy: RunFolder, path: Path) -> tuple[str, str]:
    name = path.relative_to(source.path)
    (copy.path / name).parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(path, copy.path / name)
    return name.as_posix(), name.as_posix()


def _compressed(source: RunFolder, copy: RunFolder, path: Path) -> tuple[str, str]:
    name = path.relative_to(source.path)
    there = name.with_name(f"{name.name.removesuffix(COMPRESSED)}{COMPRESSED}")
    write_table_text(copy.path / there, table_bytes(path).decode())
    return name.as_posix(), there.as_posix()


def _write_manifest(source: RunFolder, copy: RunFolder, names: dict[str, str]) -> None:
    """Write the manifest of the copy; that of a run begun before there were any has none either."""
    known = read_manifest(source)
    if known is None:
        return
    files = {
        names.get(name, name): sha256_of_file(copy.path / names[name]) if name in names else sha256
        for name, sha256 in known.items()
    }
    write_json(copy.manifest_json, {"format": MANIFEST_FORMAT, "files": files})
