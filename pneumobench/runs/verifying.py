"""A folder as it was published -> what in it is not what its hashes, its records and its predictions say.

Nothing of the run is executed, nothing is written, and no image is needed.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from pneumobench.datasets.table_files import COMPRESSED
from pneumobench.errors import RecordError, SettingsError
from pneumobench.records.checked_files import (
    BROKEN,
    hashed_files,
    manifest_differences,
    record_differences,
    unreadable,
)
from pneumobench.records.checksums import CHECKSUMS, checksum_differences, files_below
from pneumobench.records.comparison import COMPARISON_FILE, ComparisonRecord, read_comparison
from pneumobench.records.differences import Difference, difference_of, numbers_in, text_differences
from pneumobench.records.loaded_run import GatheredRun, gather
from pneumobench.records.manifest import read_manifest
from pneumobench.records.run_folder import RunFolder
from pneumobench.reporting.comparison import FIGURE, comparison_texts
from pneumobench.runs.recomputed import history_numbers, recomputed_files

PUBLISHED_HAVE_ONE: Final = "one in every published folder (`pneumobench publish` writes it)"
RUN_FILES: Final = ("suite.yaml", "manifest.json", "environment.json", "index.csv", f"index.csv{COMPRESSED}")


@dataclass(frozen=True, kw_only=True)
class Verification:
    """What was checked of a folder, and what differs.

    Args:
        folder: the run, the comparison, or the folder of several runs.
        files: how many files were hashed.
        numbers: how many numbers were computed again from predictions and records and compared.
        texts: how many tables and pages were compared byte for byte.
        differences: empty where all agree.
        notes: what could not be checked.
    """

    folder: Path
    files: int
    numbers: int
    texts: int
    differences: tuple[Difference, ...]
    notes: tuple[str, ...]


def verify(path: Path) -> Verification:
    """Check a run, a published run, a comparison with its runs, or a folder that holds several of these.

    Raises:
        SettingsError: there is no such folder.
        RecordError: it holds no run.
    """
    if not path.is_dir():
        raise SettingsError(f"{path}: no such folder; expected that of a run, e.g. leaderboard/kermany-cpu.")
    found = _Found(root=path)
    if not _check(path, found):
        raise RecordError(
            f"{path}: found no run, expected suite.yaml and manifest.json, or {COMPARISON_FILE}, or folders with "
            "these. Give the folder of a run."
        )
    return Verification(
        folder=path,
        files=len(found.files),
        numbers=found.numbers,
        texts=found.texts,
        differences=tuple(found.differences),
        notes=tuple(dict.fromkeys(found.notes)),
    )


@dataclass
class _Found:
    """What has been found so far below a folder."""

    root: Path
    files: set[Path] = field(default_factory=set)
    numbers: int = 0
    texts: int = 0
    differences: list[Difference] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    runs: dict[Path, GatheredRun | None] = field(default_factory=dict)

    def name(self, path: Path) -> str:
        return Path(os.path.relpath(path, self.root)).as_posix()

    def add(self, folder: Path, differences: Iterable[Difference]) -> None:
        """Add differences whose files are named relative to a folder; the same file and field only once."""
        known = {(one.file, one.field) for one in self.differences}
        for one in differences:
            name = self.name(folder / one.file)
            if (name, one.field) not in known:
                known.add((name, one.field))
                self.differences.append(Difference(file=name, field=one.field, found=one.found, expected=one.expected))

    def hashed(self, folder: Path, paths: Iterable[Path]) -> dict[str, str]:
        """Return SHA-256 by name of files in a folder."""
        files, differences = hashed_files(folder, paths)
        self.files.update(folder / name for name in files)
        self.add(folder, differences)
        return files

    def failed(self, folder: Path, error: Exception) -> None:
        """Add an error of reading a folder, unless its file is among the differences."""
        one = difference_of(error, folder)
        if self.name(folder / one.file) not in {known.file for known in self.differences}:
            self.add(folder, [one])

    def computed(self, path: Path, text: str) -> None:
        """Compare a file with its text as it was computed again."""
        self.numbers += numbers_in(path.name, text)
        self.texts += 1
        self.add(self.root, text_differences(self.name(path), path.read_bytes(), text) if path.is_file() else [
            Difference(file=self.name(path), found="no file", expected="one, computed from predictions")
        ])  # fmt: skip


def _check(path: Path, found: _Found) -> bool:
    """Check a run, a comparison, or all of these below a folder; tell whether there is any."""
    if _is_run(path):
        _check_run(path, found)
    elif (path / COMPARISON_FILE).is_file() or (path / CHECKSUMS).is_file():
        _check_comparison(path, found)
    else:
        inside = [one for one in sorted(path.iterdir()) if one.is_dir() and not one.name.startswith(".")]
        checked = {one: _check(one, found) for one in inside}
        without = [found.name(one) for one, any_there in checked.items() if not any_there]
        if not any(checked.values()):
            return False
        found.notes += [f"{name}/ holds no run or comparison: nothing in it was checked" for name in without]
    return True


def _is_run(path: Path) -> bool:
    return any((path / name).is_file() for name in RUN_FILES) and not (path / COMPARISON_FILE).is_file()


def _check_run(path: Path, found: _Found) -> GatheredRun | None:
    """Check a run, once; return its content, None where it cannot be read."""
    place = path.resolve()
    if place not in found.runs:  # a comparison names runs that may lie beside it
        found.runs[place] = _checked_run(path, found)
    return found.runs[place]


def _checked_run(path: Path, found: _Found) -> GatheredRun | None:
    before, folder = len(found.differences), RunFolder(path)
    published = (path / CHECKSUMS).is_file() or any(path.glob(f"index.csv{COMPRESSED}"))
    files: dict[str, str] = {}
    if published:
        files = found.hashed(path, files_below(path))
        _check_checksums(path, files, found)
    try:
        manifest = read_manifest(folder) or {}
    except RecordError as error:
        manifest = {}
        found.add(path, [difference_of(error, path)])
    if not published:
        there = [path / name for name in manifest if (path / name).is_file()]
        files = found.hashed(path, there)
        found.notes.append("this is no published copy: files that manifest.json does not name have no SHA-256")
    found.add(path, (*manifest_differences(manifest, files), *record_differences(folder), *unreadable(path, files)))
    inputs = {found.name(path / name) for name in (*manifest, "manifest.json")}
    changed = any(one.file in inputs for one in found.differences[before:])
    try:
        run = gather(path)
        again = dict(recomputed_files(run, found.notes))
        for file, text in again.items():
            found.computed(file, text)
        more = [one for one in sorted(folder.leaderboard.rglob("*")) if one.is_file() and one not in again]
        found.add(path, [_unexpected(one.relative_to(path).as_posix()) for one in more])
        for number in history_numbers(run):
            found.numbers += 1
            if not number.is_right:
                values = {"found": f"{number.found:.6g}", "expected": f"{number.expected:.6g} (predictions)"}
                found.add(number.path.parent, [Difference(file=number.path.name, field=number.place, **values)])
    except BROKEN as error:
        if not changed:  # else its message lists the same files
            found.failed(path, error)
        where = "" if path == found.root else f"{found.name(path)}: "
        found.notes.append(f"{where}tables were not computed again, since what they rest on differs")
        return None
    found.notes += run.notes
    return run


def _unexpected(name: str) -> Difference:
    return Difference(file=name, found="a file", expected="none: no table or page of the leaderboard")


def _check_comparison(path: Path, found: _Found) -> None:
    try:
        record: ComparisonRecord | None = read_comparison(path)
    except RecordError as error:
        record = None
        found.failed(path, error)
    beside = sorted(one for one in path.iterdir() if one.is_dir() and _is_run(one))
    runs = {one.name: one for one in beside} if record is None else {
        value: path / name for value, name in record.runs.items()
    }  # fmt: skip
    if (path / CHECKSUMS).is_file():
        inside = [run for run in runs.values() if (run / CHECKSUMS).is_file()]
        _check_checksums(path, found.hashed(path, files_below(path, but=inside)), found)
    elif any(run.parent == path for run in runs.values()):
        found.add(path, [Difference(file=CHECKSUMS, found="no file", expected=PUBLISHED_HAVE_ONE)])
    read = {value: _check_run(run, found) for value, run in runs.items()}
    whole = {value: run for value, run in read.items() if run is not None}
    if record is None or len(whole) < len(runs):
        found.notes.append("the tables of the comparison were not computed again")
        return
    try:
        made = comparison_texts(record, whole)
    except BROKEN as error:
        found.failed(path, error)
        return
    for name, text in made.files.items():
        there = (path / name).read_bytes() if (path / name).is_file() else b""
        if name != FIGURE:
            found.computed(path / name, text)
        elif there == text.encode():
            found.texts += 1
        else:
            found.notes.append(
                f"{FIGURE} is not the figure that is drawn here; another version of matplotlib may do so"
            )


def _check_checksums(path: Path, files: Mapping[str, str], found: _Found) -> None:
    try:
        listed = (path / CHECKSUMS).read_bytes()
    except OSError as error:
        found.add(path, [Difference(file=CHECKSUMS, found=error.strerror or "an error", expected=PUBLISHED_HAVE_ONE)])
        return
    found.files.add(path / CHECKSUMS)
    found.add(path, checksum_differences(listed, files))
