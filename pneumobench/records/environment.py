"""environment.json: with which code, versions, machine and further files a run was begun, and what changed since."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

from pneumobench.errors import RecordError, SettingsError
from pneumobench.files import write_json
from pneumobench.records.provenance import machine, software_versions
from pneumobench.records.run_folder import RunFolder

CODE_KEYS = ("pneumobench", "commit", "dirty", "code")  # what says which code of this package it is


def read_environment(folder: RunFolder) -> dict[str, Any]:
    """Return what environment.json says; empty where there is none.

    Raises:
        RecordError: the file is damaged.
    """
    if not folder.environment_json.is_file():
        return {}
    try:
        plain = json.loads(folder.environment_json.read_text(encoding="utf-8"))
        if isinstance(plain, dict) and all(isinstance(plain.get(key, {}), dict) for key in ("software", "inputs")):
            return plain
        error = "other content"
    except (OSError, ValueError) as caught:
        error = str(caught)
    raise RecordError(
        f"{folder.environment_json}: found {error}, expected versions, machine and inputs of the run. Bring it back."
    )


def keep_environment(folder: RunFolder, inputs: dict[str, str], *, unfinished: bool, accept_changes: bool) -> str:
    """Write environment.json of a start, and return in words which changes since the run began were accepted.

    Args:
        folder: the run.
        inputs: SHA-256 of further files that shape the jobs, see `JobRecord`.
        unfinished: whether this start trains; else code and versions may be others.
        accept_changes: go on with what has changed, and write it down.

    Raises:
        SettingsError: code, versions or inputs are not those that the run was begun with; lists them.
        RecordError: environment.json is damaged.
    """
    before, now = read_environment(folder), software_versions()
    changes = changed_inputs(before, inputs) + (
        _changed_software(before.get("software", {}), now) if unfinished else []
    )
    if changes and not accept_changes:
        listed = "\n".join(f"  {line}" for line in changes)
        raise SettingsError(
            f"{folder.path} holds a run that was begun with other code or files:\n{listed}\n"
            "One table must not mix them: bring back what it was begun with, give this run another --name or --output, "
            "or go on all the same with --accept-changes, which is written into the records."
        )
    accepted = before.get("accepted", [])
    if changes:
        accepted = [*accepted, {"on": datetime.now(UTC).isoformat(timespec="seconds"), "changes": changes}]
    renewed = unfinished or not before
    environment = {
        **before,
        "software": now if renewed else before.get("software", now),
        "machine": machine() if renewed else before.get("machine", machine()),
        "inputs": {**before.get("inputs", {}), **inputs},
        **({"accepted": accepted} if accepted else {}),
    }
    if environment != before:
        write_json(folder.environment_json, environment)
    return "; ".join(line for part in accepted for line in part["changes"])


def changed_inputs(before: dict[str, Any], inputs: dict[str, str]) -> list[str]:
    """Return a line for each input that has other content than environment.json says."""
    known: dict[str, str] = before.get("inputs", {})
    return [
        f"{key}: SHA-256 {known[key][:12]}, now {inputs[key][:12]}"
        for key in sorted(known.keys() & inputs.keys())
        if known[key] != inputs[key]
    ]


def _changed_software(before: dict[str, str], now: dict[str, str]) -> list[str]:
    """Return a line for the package's own code if it changed, and one for every version that did."""
    if not before:
        return []
    told = "code" if "code" in before else "commit"
    code = any(before.get(key) != now[key] for key in {told, "pneumobench", *(() if told == "code" else ("dirty",))})
    lines = [f"code of pneumobench: {_code_words(before)}, now {_code_words(now)}"] if code else []
    return lines + [
        f"{name}: {before[name]}, now {now[name]}"
        for name in now
        if name not in CODE_KEYS and name in before and before[name] != now[name]
    ]


def _code_words(software: dict[str, str]) -> str:
    """Return which code it is.

    >>> _code_words({"pneumobench": "0.1.0", "commit": "none", "code": "abc"})
    'version 0.1.0, SHA-256 abc'
    """
    words = [f"version {software.get('pneumobench', 'unknown')}"]
    if software.get("commit", "none") != "none":
        words.append(f"commit {software['commit'][:12]}" + (" with changes" if software.get("dirty") == "yes" else ""))
    if "code" in software:
        words.append(f"SHA-256 {software['code'][:12]}")
    return ", ".join(words)
