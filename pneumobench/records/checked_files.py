"""The files of a run against the SHA-256 that its manifest and its records name; every one that differs is named."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Final

import yaml

from pneumobench.datasets.table_files import COMPRESSED, table_bytes
from pneumobench.errors import PneumobenchError
from pneumobench.files import sha256_of_file
from pneumobench.records.checksums import SHA256
from pneumobench.records.differences import Difference, difference_of
from pneumobench.records.explanation_record import read_explanation_record
from pneumobench.records.external_record import FACTS, external_facts, external_table
from pneumobench.records.job_record import JobRecord, read_record
from pneumobench.records.manifest import EXPLANATION_FILE, PICTURES
from pneumobench.records.run_folder import RunFolder

# what reading a damaged file can end in
BROKEN: Final = (
    PneumobenchError, OSError, ValueError, LookupError, TypeError, AttributeError, ArithmeticError, AssertionError,
    RecursionError, yaml.YAMLError,
)  # fmt: skip


def hashed_files(folder: Path, paths: Iterable[Path]) -> tuple[dict[str, str], list[Difference]]:
    """Return SHA-256 by name relative to a folder, and what has none: links, and files that cannot be read."""
    files: dict[str, str] = {}
    without = []
    for path in paths:
        name = path.relative_to(folder).as_posix()
        try:
            if path.is_file() and not path.is_symlink():
                files[name] = sha256_of_file(path)
                continue
            found = "a link or another special file"
        except OSError as error:
            found = error.strerror or "an error"
        without.append(Difference(file=name, found=found, expected="a file that can be read"))
    return files, without


def manifest_differences(manifest: Mapping[str, str], files: Mapping[str, str]) -> Iterator[Difference]:
    """Compare a manifest with files; what a published copy leaves out (weights, heat maps) may be missing."""
    for name, sha256 in manifest.items():
        if name in files:
            if files[name] != sha256:
                expected = f"{sha256[:12]} (manifest.json)"
                yield Difference(file=name, field=SHA256, found=files[name][:12], expected=expected)
        elif not (name.endswith(".safetensors") or PICTURES in Path(name).parts):
            yield Difference(file=name, found="no file", expected="one (manifest.json names it)")


def unreadable(folder: Path, files: Iterable[str]) -> Iterator[Difference]:
    """Name what cannot be read: JSON that is none, compressed tables that break off."""
    for name in files:
        path = folder / name
        try:
            if path.suffix == COMPRESSED:
                table_bytes(path).decode()
            elif path.suffix == ".json":
                json.loads(path.read_bytes())
        except (ValueError, RecursionError) as error:
            yield Difference(file=name, found=f"no {path.suffix[1:]} ({error})", expected="what was written")
        except BROKEN as error:
            yield difference_of(error, folder, file=name)


def record_differences(folder: RunFolder) -> Iterator[Difference]:
    """Compare every table with the SHA-256 of its text that a record names."""
    for job in folder.jobs():
        try:
            record = read_record(folder.record_path(*job))
            for path, sha256, by in _named_tables(folder, job, record):
                found = hashlib.sha256(table_bytes(path)).hexdigest() if path.is_file() else "no file"
                if found != sha256:
                    name = path.relative_to(folder.path).as_posix()
                    field, expected = f"{SHA256} of the text", f"{sha256[:12]} ({by})"
                    yield Difference(file=name, field=field, found=found[:12], expected=expected)
        except BROKEN as error:
            yield difference_of(error, folder.path)
    for facts in sorted(folder.external.glob(f"*/{FACTS}")):
        try:
            for name, sha256 in sorted(external_facts(facts.parent)["predictions"].items()):
                external_table(facts.parent, name, sha256)
        except BROKEN as error:
            yield difference_of(error, folder.path)


def _named_tables(folder: RunFolder, job: tuple[str, int], record: JobRecord) -> Iterator[tuple[Path, str, str]]:
    """Yield the tables of a job: where each lies, the SHA-256 of its text, and the key and the record that name it."""
    paths = {"predictions": folder.predictions_path, "attention": folder.attention_path}
    for key, path in paths.items():
        if key in record.hashes:
            yield path(*job), record.hashes[key], f"hashes.{key} in record.json"
    if (asked := read_explanation_record(folder, record)) is not None:
        for name, sha256 in sorted(asked.hashes.items()):
            yield folder.explanation_path(*job, name), sha256, f"hashes.{name} in {EXPLANATION_FILE}"
