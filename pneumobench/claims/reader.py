"""Read the reported numbers of a paper: YAML whose numbers are kept as they are printed."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import yaml

from pneumobench.claims.checker import Claim
from pneumobench.claims.matrices import read_reported
from pneumobench.errors import SettingsError, suggestion
from pneumobench.metrics.confusion import Confusion

KEYS: Final = ("system", "architecture", "images", "pneumonia", "metrics", "matrix", "averaged_over")
CELLS: Final = ("tp", "fn", "fp", "tn")


def read_claims(path: Path) -> tuple[Claim, ...]:
    """Read the list `reported` of a file; other keys are for other readers.

    Each entry has `system`, `images`, `metrics` (by name, as printed) and may have `pneumonia`, `matrix` (tp, fn, fp,
    tn), `averaged_over` and `architecture`, the name of what reproduces it.

    Raises:
        SettingsError: the file is missing, is no YAML, or an entry is not as described.
    """
    try:
        # every scalar stays text, so that .930 keeps its last digit
        content = yaml.load(path.read_text(encoding="utf-8"), Loader=yaml.BaseLoader)
    except OSError as error:
        raise SettingsError(
            f"{path}: cannot be read ({error.strerror}); give a YAML file with a list `reported`."
        ) from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise SettingsError(f"{path}: is no YAML: {' '.join(str(error).split())}") from error
    entries = content.get("reported") if isinstance(content, dict) else None
    if not isinstance(entries, list) or not entries:
        raise SettingsError(f"{path}: found no list `reported`; expected entries with {', '.join(KEYS)}.")
    return tuple(_claim(f"{path}, reported[{number}]", entry) for number, entry in enumerate(entries))


def _claim(where: str, entry: object) -> Claim:
    if not isinstance(entry, dict):
        raise SettingsError(f"{where}: expected the keys {', '.join(KEYS)}, found {entry!r}.")
    _refuse_unknown(where, entry, KEYS)
    if missing := [key for key in ("system", "images") if key not in entry]:
        raise SettingsError(f"{where}: {missing[0]} is missing.")
    metrics, matrix = entry.get("metrics") or {}, entry.get("matrix")
    if not isinstance(metrics, dict) or not (metrics or matrix):
        raise SettingsError(f"{where}: expected `metrics` by name, as printed, or a `matrix`.")
    if matrix is not None:
        if not isinstance(matrix, dict) or set(matrix) != set(CELLS):
            raise SettingsError(f"{where}: expected a `matrix` with {', '.join(CELLS)}.")
        matrix = Confusion(**{cell: _whole(where, f"matrix.{cell}", matrix[cell], least=0) for cell in CELLS})
    try:
        reported = tuple(read_reported(str(name), str(text)) for name, text in metrics.items())
    except SettingsError as error:
        raise SettingsError(f"{where}: {error}") from error
    pneumonia = entry.get("pneumonia")
    return Claim(
        system=str(entry["system"]),
        architecture=str(entry.get("architecture", "")),
        images=_whole(where, "images", entry["images"], least=1),
        pneumonia=None if pneumonia is None else _whole(where, "pneumonia", pneumonia, least=0),
        metrics=reported,
        matrix=matrix,
        averaged_over=_whole(where, "averaged_over", entry.get("averaged_over", "1"), least=1),
    )


def _refuse_unknown(where: str, entry: Mapping[str, Any], known: tuple[str, ...]) -> None:
    for key in entry:
        if key not in known:
            raise SettingsError(f"{where}: {key!r} is not known. {suggestion(str(key), known)}".strip())


def _whole(where: str, name: str, text: object, *, least: int) -> int:
    digits = str(text).replace(",", "").replace("_", "")
    if not digits.isdecimal() or int(digits) < least:
        raise SettingsError(f"{where}: {name} is {text!r}; expected a whole number from {least}.")
    return int(digits)
