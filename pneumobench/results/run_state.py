"""The facts of a run on disk, and the claim of a folder by one run at a time."""

from __future__ import annotations

import dataclasses
import difflib
import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pneumobench.errors import SettingsError
from pneumobench.files import write_json, write_text
from pneumobench.radiographs.folds import Folds
from pneumobench.radiographs.index import Index, read_index_table
from pneumobench.results.provenance import machine, software_versions
from pneumobench.results.store import RunFolder
from pneumobench.suite import Suite


@contextmanager
def claim_folder(folder: Path) -> Iterator[None]:
    """Hold a run folder for this process.

    Raises:
        SettingsError: the folder cannot be written, or another process holds it.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = (folder / ".lock").open("a+", encoding="utf-8")
    except OSError as error:
        raise SettingsError(
            f"cannot write {folder}: {error.strerror}. Choose a writable folder with --output."
        ) from error
    with lock:
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
        yield


def write_run_facts(
    folder: RunFolder, suite: Suite, index: Index, folds: Folds, audit: dict[str, Any], command: str
) -> None:
    """Write suite.yaml, index.csv, folds.json, audit.json and environment.json."""
    # where the data lie is this machine's business; the index says by content what they are
    public = dataclasses.replace(suite, data=dataclasses.replace(suite.data, root=""))
    write_text(folder.suite_yaml, public.to_yaml())
    index.write(folder.index_csv)
    if not folder.folds_json.is_file():
        folds.write(folder.folds_json)
    write_json(folder.audit_json, audit)
    environment: dict[str, Any] = {"software": software_versions(), "machine": machine()}
    write_json(folder.environment_json, {**environment, "command": command} if command else environment)


def refuse_other_run(folder: RunFolder, suite: Suite, index: Index) -> None:
    """Let a folder that already holds a run be gone on with only for the same settings and images.

    The list of architectures, the place of the data, logging and loader processes may differ.

    Raises:
        SettingsError: settings or images differ; shows the difference.
    """
    if not folder.suite_yaml.is_file():
        return
    from pneumobench.suite_reader import load_suite

    earlier = load_suite(folder.suite_yaml)
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
