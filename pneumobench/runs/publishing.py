"""A run -> the copy of it that is published: what a leaderboard rests on, tables of images compressed, no picture."""

from __future__ import annotations

import dataclasses
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from pneumobench.errors import SettingsError
from pneumobench.files import sha256_of_file, temporary_folder, write_json
from pneumobench.records.explanation_record import read_explanation_record
from pneumobench.records.loaded_run import gather
from pneumobench.records.manifest import EXPLANATION_FILE, MANIFEST_FORMAT, read_manifest
from pneumobench.records.run_folder import RunFolder
from pneumobench.records.table_files import COMPRESSED, table_bytes, write_table_text
from pneumobench.reporting.leaderboard import LeaderboardPaths, write_leaderboard
from pneumobench.runs.external_predictions import FACTS, external_facts, external_table

EXTERNAL_FILES: Final = (FACTS, "index.csv", "scores.csv", "README.md")


def publish_run(run: Path, to: Path, *, replace: bool = False) -> LeaderboardPaths:
    """Copy what of a run is published to a folder, and write the leaderboard there; whole or not at all.

    Records stay as they are: the SHA-256 of a table in them is that of its text. The manifest names the files that lie
    in the copy. A copy of a copy is the same bytes.

    Args:
        run: folder of a run, or of a published one.
        to: folder of the copy.
        replace: a published run may lie there, also the one that is copied; it is replaced.

    Raises:
        RecordError: the run is not whole, a file was changed, or two jobs do not belong together.
        LeakError: a patient is on two sides of a fold.
        SettingsError: the folder is taken, or cannot be written.
    """
    source = RunFolder(run)
    gather(run, check_weights=True)
    _refuse_taken(to, replace=replace)
    with temporary_folder(to.parent, to.name) as place:
        copy = RunFolder(place / to.name)
        names = {**dict(_copied(source, copy)), **dict(_copied_external(source, copy))}
        for folder in (source.confounds, source.labels):  # what was asked of the predictions
            for path in sorted(folder.glob("*.md")) + sorted(folder.glob("*.csv")):
                _as_it_is(source, copy, path)
        _write_manifest(source, copy, names)
        made = write_leaderboard(copy.path)
        if to.exists():
            to.rename(place / "earlier")  # goes with the temporary folder
        copy.path.rename(to)
    moved = {key: to / getattr(made, key).relative_to(copy.path) for key in ("page", "csv", "json", "readme")}
    return dataclasses.replace(made, **moved)


def _refuse_taken(to: Path, *, replace: bool) -> None:
    if not to.exists() or (to.is_dir() and not any(to.iterdir())):
        return
    published = RunFolder(to).suite_yaml.is_file() and not any(to.glob("*/fold-*/weights.safetensors"))
    if not (replace and published):
        why = "--replace replaces a published run" if published else "it is no published run (one without weights)"
        raise SettingsError(f"{to} is there, and {why}: choose another --to, or delete the folder.")


def _copied(source: RunFolder, copy: RunFolder) -> Iterator[tuple[str, str]]:
    """Copy the files of a run and its jobs, and give the name of each in the run and in the copy."""
    for path in (source.suite_yaml, source.index_csv, source.folds_json, source.audit_json, source.environment_json):
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
