"""The facts of a run on disk, and the claim of a folder by one run at a time."""

from __future__ import annotations

import dataclasses
import difflib
from pathlib import Path
from typing import Any

from pneumobench.datasets.folds import Folds
from pneumobench.datasets.index import Index, read_index_table
from pneumobench.errors import SettingsError
from pneumobench.files import write_json, write_text
from pneumobench.records.environment import read_environment
from pneumobench.records.job_record import read_record
from pneumobench.records.manifest import seal
from pneumobench.records.run_folder import RunFolder
from pneumobench.suite.commands import joined_command
from pneumobench.suite.forms import unsettled, with_forms
from pneumobench.suite.reader import load_suite
from pneumobench.suite.spec import Suite
from pneumobench.suite.weights import public_source, sources_by_name


def jobs_to_run(folder: RunFolder, jobs: list[tuple[str, int]], *, retry_failed: bool) -> list[tuple[str, int]]:
    """Return the jobs (architecture, fold) without a record; with `retry_failed` those too that did not complete."""

    def is_done(path: Path) -> bool:
        return path.is_file() and (not retry_failed or read_record(path).completed)

    return [job for job in jobs if not is_done(folder.record_path(*job))]


def write_run_metadata(
    folder: RunFolder, suite: Suite, index: Index, folds: Folds, audit: dict[str, Any], command: str
) -> None:
    """Write suite.yaml, index.csv, folds.json, audit.json, and the command into environment.json.

    A start that names fewer architectures, controls, explanation methods or images to check them on than an earlier one
    adds to it and takes nothing away.
    """
    public = without_places(suite)
    if folder.suite_yaml.is_file():
        earlier = load_suite(folder.suite_yaml, of_run=True)
        parts, asked = public.architectures, public.explanation
        public = dataclasses.replace(
            public,
            architectures=dataclasses.replace(
                parts,
                names=_added(earlier.architectures.names, parts.names),
                plugins=_added(earlier.architectures.plugins, parts.plugins),
            ),
            controls=dataclasses.replace(public.controls, names=_added(earlier.controls.names, public.controls.names)),
            explanation=dataclasses.replace(
                asked,
                methods=_added(earlier.explanation.methods, asked.methods),
                checked_images_per_fold=max(earlier.explanation.checked_images_per_fold, asked.checked_images_per_fold),
            ),
        )
    write_text(folder.suite_yaml, public.to_yaml())
    index.write(folder.index_csv)
    if not folder.folds_json.is_file():
        folds.write(folder.folds_json)
    write_json(folder.audit_json, audit)
    environment = read_environment(folder)
    command = joined_command(environment.get("command", ""), command)
    write_json(folder.environment_json, {**environment, **({"command": command} if command else {})})
    seal(folder, (folder.suite_yaml, folder.index_csv, folder.folds_json, folder.audit_json, folder.environment_json))


def _added(earlier: tuple[str, ...], now: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(dict.fromkeys((*earlier, *now)))


def without_places(suite: Suite) -> Suite:
    """Return a suite as a run folder keeps it: where data, plugins and weights lie is this machine's business.

    What they are is said by content: the data by index.csv, the others by the SHA-256 in environment.json.
    """

    def public(name: str) -> str:
        path = Path(name).expanduser()
        if path.is_absolute() and path.is_relative_to(Path.cwd()):
            path = path.relative_to(Path.cwd())
        return path.name if path.is_absolute() or ".." in path.parts else path.as_posix()

    parts = suite.architectures
    architectures = dataclasses.replace(
        parts,
        plugins=tuple(map(public, parts.plugins)),
        weights=public_source(parts.weights),
        weights_of=tuple(
            f"{name}={public_source(source)}" for name, source in sources_by_name(parts.weights_of).items()
        ),
    )
    return dataclasses.replace(suite, data=dataclasses.replace(suite.data, root=""), architectures=architectures)


def as_kept(folder: RunFolder, index: Index) -> Index:
    """Return an index as the run of a folder keeps it: without names of patients.

    A run of an earlier version that kept the names, and no pictures, goes on with them.
    """
    if folder.index_csv.is_file():
        columns = read_index_table(folder.index_csv).columns
        earlier = dataclasses.replace(index, table=index.table[columns])
        if earlier.to_csv() == folder.index_csv.read_text(encoding="utf-8"):
            return earlier
    return index.without_names()


def as_begun(suite: Suite, folder: RunFolder) -> Suite:
    """Return a suite whose `auto` settings are those that the run of a folder began with, if there is one."""
    names = unsettled(suite.training)
    if not names or not folder.suite_yaml.is_file():
        return suite
    earlier = load_suite(folder.suite_yaml, of_run=True).training
    forms = {name: getattr(earlier, name) for name in names}
    return dataclasses.replace(suite, training=with_forms(suite.training, forms))


def _but_free(earlier: Suite, now: Suite) -> Suite:
    """Return a suite with everything that may differ between two starts as the earlier one had it."""
    parts, before = now.architectures, earlier.architectures
    loader_workers = earlier.training.loader_workers
    asked, explained = earlier.explanation.checked_images_per_fold, earlier.explanation.methods
    return dataclasses.replace(
        now,
        data=dataclasses.replace(now.data, root=earlier.data.root),
        architectures=dataclasses.replace(parts, names=before.names, plugins=before.plugins),
        controls=earlier.controls,
        training=dataclasses.replace(now.training, loader_workers=loader_workers),
        explanation=dataclasses.replace(now.explanation, methods=explained, checked_images_per_fold=asked),
        logging=earlier.logging,
        search=earlier.search,
    )


def refuse_other_run(folder: RunFolder, suite: Suite, index: Index) -> None:
    """Let a folder that already holds a run be gone on with only for the same settings and images.

    Networks, controls, methods and what they are checked on, the place of the data, logging, loader processes and the
    search may differ.

    Raises:
        SettingsError: settings or images differ; shows the difference.
    """
    if not folder.suite_yaml.is_file():
        return
    earlier = load_suite(folder.suite_yaml, of_run=True)
    if earlier.training_hash() != suite.training_hash():
        before, now = earlier.to_yaml().splitlines(), _but_free(earlier, without_places(suite)).to_yaml().splitlines()
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
