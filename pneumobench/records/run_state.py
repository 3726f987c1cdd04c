"""The facts of a run on disk, and the claim of a folder by one run at a time."""

from __future__ import annotations

import dataclasses
import difflib
import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, TextIO

from pneumobench.datasets.folds import Folds
from pneumobench.datasets.index import Index, read_index_table
from pneumobench.errors import SettingsError
from pneumobench.files import write_json, write_text
from pneumobench.records.job_record import read_record
from pneumobench.records.provenance import machine, software_versions
from pneumobench.records.run_folder import RunFolder
from pneumobench.suite.commands import joined_command
from pneumobench.suite.reader import load_suite
from pneumobench.suite.spec import Suite

LOCKS: Final = (".lock", ".turn")


def _lock_file(folder: Path, name: str) -> TextIO:
    """Open a file that stands for a folder, which is made if it is not there."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        return (folder / name).open("a+", encoding="utf-8")
    except OSError as error:
        raise SettingsError(
            f"cannot write {folder}: {error.strerror}. Choose a writable folder with --output."
        ) from error


@contextmanager
def claim_folder(folder: Path) -> Iterator[None]:
    """Hold a run folder for this process.

    Raises:
        SettingsError: the folder cannot be written, or another process holds it.
    """
    with _lock_file(folder, ".lock") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            lock.seek(0)
            owner = lock.read().strip() or "unknown"
            raise SettingsError(
                f"{folder} is in use by another run (process {owner}): wait for it, or choose another --output."
            ) from error
        lock.truncate(0)
        lock.write(str(os.getpid()))
        lock.flush()
        with _no_empty_folder(folder):
            yield


@contextmanager
def _no_empty_folder(folder: Path) -> Iterator[None]:
    """Take a folder away again that an error leaves with nothing in it but our own locks."""
    try:
        yield
    except BaseException:
        left = list(folder.iterdir()) if folder.is_dir() else []
        if left and all(path.name in LOCKS for path in left):
            for path in left:
                path.unlink(missing_ok=True)
            folder.rmdir()
        raise


@contextmanager
def waited_for(folder: Path) -> Iterator[None]:
    """Hold a folder for a short while; other processes that ask for it wait instead of being refused.

    Raises:
        SettingsError: the folder cannot be written.
    """
    with _lock_file(folder, ".turn") as lock, _no_empty_folder(folder):
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def is_claimed(folder: Path) -> bool:
    """Tell whether a living process of this machine holds a folder; the claim of a killed one is gone with it."""
    try:
        with (folder / ".lock").open("r", encoding="utf-8") as lock:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except OSError:
        return True
    return False


def jobs_to_run(folder: RunFolder, jobs: list[tuple[str, int]], *, retry_failed: bool) -> list[tuple[str, int]]:
    """Return the jobs (architecture, fold) without a record; with `retry_failed` records of failures are forgotten."""
    for job in jobs:
        path = folder.record_path(*job)
        if retry_failed and path.is_file() and not read_record(path).completed:
            path.unlink()
    return [job for job in jobs if not folder.record_path(*job).is_file()]


def write_run_metadata(
    folder: RunFolder, suite: Suite, index: Index, folds: Folds, audit: dict[str, Any], command: str
) -> None:
    """Write suite.yaml, index.csv, folds.json, audit.json and environment.json.

    A start that names fewer architectures than an earlier one adds to it and takes nothing away.
    """
    # where the data lie is this machine's business; the index says by content what they are
    public = dataclasses.replace(suite, data=dataclasses.replace(suite.data, root=""))
    if folder.suite_yaml.is_file():
        earlier = load_suite(folder.suite_yaml, of_run=True).architectures
        names = (*earlier.names, *(name for name in suite.architectures.names if name not in earlier.names))
        public = dataclasses.replace(public, architectures=dataclasses.replace(suite.architectures, names=names))
    write_text(folder.suite_yaml, public.to_yaml())
    index.write(folder.index_csv)
    if not folder.folds_json.is_file():
        folds.write(folder.folds_json)
    write_json(folder.audit_json, audit)
    environment: dict[str, Any] = {"software": software_versions(), "machine": machine()}
    if folder.environment_json.is_file():
        earlier_command = json.loads(folder.environment_json.read_text(encoding="utf-8")).get("command", "")
        command = joined_command(earlier_command, command)
    write_json(folder.environment_json, {**environment, "command": command} if command else environment)


def refuse_other_run(folder: RunFolder, suite: Suite, index: Index) -> None:
    """Let a folder that already holds a run be gone on with only for the same settings and images.

    The list of architectures, the place of the data, logging and loader processes may differ.

    Raises:
        SettingsError: settings or images differ; shows the difference.
    """
    if not folder.suite_yaml.is_file():
        return
    earlier = load_suite(folder.suite_yaml, of_run=True)
    if earlier.training_hash() != suite.training_hash():
        now_without_root = dataclasses.replace(suite, data=dataclasses.replace(suite.data, root=""))
        before, now = earlier.to_yaml().splitlines(), now_without_root.to_yaml().splitlines()
        changed = [
            line for line in difflib.unified_diff(before, now, n=0, lineterm="") if line[:3] not in ("---", "+++")
        ]
        difference = "\n".join(f"  {line}" for line in changed if not line.startswith("@@"))
        raise SettingsError(
            f"{folder.path} holds a run with other settings:\n{difference}\n"
            "Give this one another --name or --output, or delete the folder."
        )
    if folder.index_csv.is_file():
        before_table = read_index_table(folder.index_csv)
        if Index(root=index.root, table=before_table).hash() != index.hash():
            old, new = (
                dict(zip(before_table["image_id"], before_table["sha256"], strict=True)),
                dict(zip(index.table["image_id"], index.table["sha256"], strict=True)),
            )
            gone, added = len(old.keys() - new.keys()), len(new.keys() - old.keys())
            changed_count = sum(old[name] != new[name] for name in old.keys() & new.keys())
            raise SettingsError(
                f"{folder.path} holds a run on other images: {gone} gone, {added} new, {changed_count} changed, or "
                "labels, patients or masks differ. Bring the data back, or give this run another --output."
            )
